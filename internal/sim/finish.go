// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"

	"github.com/coffer-backup/coffer/wire"
)

// heal ends everything that is done to hosts and network, and lets time pass.
func (w *World) heal() {
	w.calm = true
	w.trace.note("%d ms: everything heals", w.now)
	clear(w.net.cut)
	w.leapEnd = w.now
	for _, m := range w.old {
		m.off()
		m.endClones()
	}
	for _, m := range w.machines {
		m.endClones()
		if m.stopping {
			m.off()
		}
		if m.main != nil {
			m.main.pausedUntil, m.main.lyingUntil, m.main.slowUntil, m.main.skewMs = w.now, w.now, w.now, 0
		}
		w.mend(m)
	}
	w.run(w.now+healMs, w.allServe)
	for _, m := range w.machines {
		if !m.serves() && w.failure == nil { // an operator would look at it and start it again
			m.off()
			w.mend(m)
		}
	}
	w.run(w.now+healMs, w.allServe)
	w.leap(3_000) // a minute: by the slowest of the fleet's clocks every cooldown is over
	w.run(w.now+3_000, nil)
}

// mend starts a machine, and has one join anew that has no disk which a core starts from.
func (w *World) mend(m *machine) {
	m.on()
	if m.main == nil && !m.wiped {
		m.wiped = true
		w.invite(m)
	}
}

// finish asks what became of every account, and has the checkers judge the whole.
func (w *World) finish() {
	if w.failure == nil && !w.lost && !w.allServe() {
		w.fail("liveness", fmt.Errorf("the healed fleet does not serve: %v", w.whoServes()))
	}
	var open int
	for _, c := range w.clients {
		open++
		c.perform(func(c *client) {
			c.atLast()
			open--
		})
	}
	w.run(w.now+20*healMs, func() bool { return open == 0 })
	if w.failure == nil && open > 0 {
		w.fail("world", fmt.Errorf("%d clients never end", open))
	}
	w.checks.finish()
}

// atLast is what each client does in the end: its account is readable, and the owner's password still opens what is left.
func (c *client) atLast() {
	for range 12 {
		s := c.status()
		if c.w.lost {
			return
		}
		if s == nil {
			c.w.fail("liveness", fmt.Errorf("the healed fleet does not answer %s", c.name))
			return
		}
		if c.thief || target(s, func(id wire.RegistrationID) bool { return c.own(id) != nil }) == nil || c.recover() {
			return
		}
		c.sleep(5_000) // it may be locked yet
	}
	c.w.fail("liveness", fmt.Errorf("%s cannot recover from the healed fleet", c.name))
}
