// SPDX-License-Identifier: Apache-2.0

//go:build !sabotage

package core

import "github.com/coffer-backup/coffer/internal/core/ledger"

// The rules that a build with the tag sabotage can leave out one at a time, so that the simulator can show that it would notice: see
// rules_sabotage.go. Here they are constants, and no code can break them.
const (
	ruleDurableFirst  = true // what depends on a write waits until it is durable
	ruleBootHasNoVote = true // under the policy majority a disk gives no vote
	ruleRemoveFirst   = true // an incarnation votes only when its slot's old one does not
	ruleFoundedAnew   = true // copies of the disk from before the founding are worthless
	ruleAskMajority   = true // a status is read where a majority has confirmed the leader
	ruleMarkInstalled = true // a snapshot's bucket is not changed again by entries that it has
)

var applyOp = ledger.Apply

// commitFirst keeps a guess waiting for its commitment.
func (c *Core) commitFirst(n uint64, _ *request, _ *ledger.Charge) uint64 { return n }
