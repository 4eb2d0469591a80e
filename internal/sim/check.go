// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

// checks are the checkers of one run.
type checks struct {
	w            *World
	log          *logCheck
	accounts     *accountCheck
	budget       *budgetCheck
	incarnations *incarnationCheck
	linear       *linearCheck
}

func newChecks(w *World) *checks {
	return &checks{w, newLogCheck(), newAccountCheck(), newBudgetCheck(), newIncarnationCheck(w.schedule.Setup.Restart != wire.RestartTrustDisk), newLinearCheck(w)}
}

// observe is what a core calls, within its step.
func (r *replica) observe(o core.Observation) {
	c := r.w.checks
	switch o := o.(type) {
	case core.Applied:
		first, err := c.log.applied(&o)
		r.w.fail("log", err)
		if first && err == nil {
			r.w.fail("account", c.accounts.applied(&o))
			r.w.fail("budget", c.budget.applied(&o))
		}
	case core.Evaluating:
		r.w.trace.count["evaluated"]++
		r.w.fail("budget", c.budget.evaluating(&o))
	case core.Configured:
		r.w.fail("incarnation", c.incarnations.configured(&o))
		if r.core != nil { // else it is being started
			r.w.fail("incarnation", c.incarnations.uses(&o, viewOf(r.core).incarnation))
		}
	}
}

// after looks at a core after each of its steps.
func (c *checks) after(r *replica) {
	c.w.fail("incarnation", c.incarnations.saw(fmt.Sprint(r.m.info, " ", r.number), viewOf(r.core)))
}

// finish judges the whole run.
func (c *checks) finish() {
	if c.w.failure == nil {
		c.w.fail("linearizable", c.linear.finish())
	}
}
