// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// budgetCheck counts evaluations where they happen, on whatever core: INV-COMMIT, that each is of a guess which is in the log, charged; and
// INV-BUDGET, that between two proofs no more distinct guesses are evaluated at a registration than its budget.
type budgetCheck struct {
	charges map[charge]int                 // in which window between proofs each was charged
	windows map[wire.RegistrationID]int    // how many proofs there were
	seen    map[window]map[charge]struct{} // evaluated
	budgets map[wire.RegistrationID]uint8
}

// charge names a guess.
type charge struct {
	account wire.AccountID
	id      wire.RegistrationID
	serial  wire.Serial
	element wire.ElementDigest
}

// window is the time between two proofs of a registration.
type window struct {
	id     wire.RegistrationID
	proofs int
}

func newBudgetCheck() *budgetCheck {
	return &budgetCheck{map[charge]int{}, map[wire.RegistrationID]int{}, map[window]map[charge]struct{}{}, map[wire.RegistrationID]uint8{}}
}

// applied takes notice of an entry of the log, in the log's order.
func (c *budgetCheck) applied(o *core.Applied) error {
	switch op := o.Op.(type) {
	case *ledger.Register:
		if _, known := c.budgets[op.ID]; !known {
			c.budgets[op.ID] = o.Policy.Budget
		}
	case *ledger.Charge:
		name := charge{o.Account, op.ID, op.Serial, op.Element}
		if _, known := c.charges[name]; !known && o.Outcome.Charged != nil {
			c.charges[name] = c.windows[op.ID]
		}
	case *ledger.Prove:
		if o.Outcome.Proved != nil {
			c.windows[op.ID]++
		}
	}
	return nil
}

// evaluating takes notice of an evaluation that a core has begun.
func (c *budgetCheck) evaluating(o *core.Evaluating) error {
	g := o.Charged
	name := charge{o.Account, g.Registration(), g.Serial(), g.Element()}
	proofs, charged := c.charges[name]
	if !charged || o.Element != g.Element() {
		return fmt.Errorf("%w: a guess at %v with serial %d is evaluated and is not in the log", ledger.ErrCommit, name.id, name.serial)
	}
	w := window{name.id, proofs}
	if c.seen[w] == nil {
		c.seen[w] = map[charge]struct{}{}
	}
	c.seen[w][name] = struct{}{}
	if n, budget := len(c.seen[w]), int(c.budgets[name.id]); n > budget {
		return fmt.Errorf("%w: %d guesses at %v since its last proof, whose budget is %d", ledger.ErrBudget, n, name.id, budget)
	}
	return nil
}
