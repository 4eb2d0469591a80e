// SPDX-License-Identifier: Apache-2.0

//go:build sabotage

package core

import (
	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// As in rules.go; here each can be left out.
var (
	ruleCommitFirst   = true
	ruleDurableFirst  = true
	ruleBootHasNoVote = true
	ruleRemoveFirst   = true
	ruleFoundedAnew   = true
	ruleAskMajority   = true
	ruleMarkInstalled = true
)

var rulesByName = map[string]*bool{
	"commit first": &ruleCommitFirst, "durable first": &ruleDurableFirst,
	"boot has no vote": &ruleBootHasNoVote, "remove first": &ruleRemoveFirst, "founded anew": &ruleFoundedAnew,
	"ask majority": &ruleAskMajority, "mark installed": &ruleMarkInstalled,
}

// Break leaves a rule out, and gives it back with mend.
func Break(rule string) (mend func()) {
	r := rulesByName[rule]
	*r = false
	return func() { *r = true }
}

var applyOp = ledger.Apply

// BreakApply puts something else in the place of ledger.Apply.
func BreakApply(apply func(real ApplyFunc) ApplyFunc) (mend func()) {
	applyOp = apply(ledger.Apply)
	return func() { applyOp = ledger.Apply }
}

// ApplyFunc is what ledger.Apply is.
type ApplyFunc = func(p *wire.Policy, now wire.UnixMs, a *ledger.Account, op ledger.Op) ledger.Outcome

// commitFirst, broken, has a guess evaluated when it is proposed, from what the account is then. The charge comes after it.
func (c *Core) commitFirst(n uint64, r *request, op *ledger.Charge) uint64 {
	if ruleCommitFirst {
		return n
	}
	a, err := r.part.account(r.account)
	if err != nil {
		return n
	}
	out := ledger.Apply(&c.identity.policy, r.part.now, a, op)
	if out.Charged == nil {
		return n
	}
	c.evaluate(n, r, out.Charged)
	return 0
}
