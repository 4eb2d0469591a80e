// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

// behaviours are what clients do.
var behaviours = map[Kind]func(*client){
	Register:       func(c *client) { c.register(false) },
	Change:         func(c *client) { c.register(true) },
	Wrong:          (*client).wrong,
	Right:          func(c *client) { c.recover() },
	Again:          (*client).again,
	Ask:            func(c *client) { c.status() },
	Delete:         func(c *client) { c.delete(true) },
	Drop:           func(c *client) { c.delete(false) },
	ThiefRegisters: func(c *client) { c.register(false) },
	ThiefGuesses:   (*client).steal,
	ThiefProves:    func(c *client) { c.recover() },
	ThiefRepeats:   (*client).again,
	ThiefDeletes:   func(c *client) { c.delete(false) },
}

// steal guesses at a registration of another.
func (c *client) steal() {
	s := c.status()
	if s == nil {
		return
	}
	if r := target(s, func(id wire.RegistrationID) bool { return c.own(id) == nil }); r != nil {
		_, _ = c.guessAt(r.ID, s.Serial+1, "stolen")
	}
}

// act does an action, now.
func (w *World) act(a Action) {
	w.trace.note("%v", a)
	w.trace.count[a.Kind.String()]++
	if a.Kind >= Register {
		who := 2 * a.Other
		if a.Kind >= ThiefRegisters {
			who++
		}
		w.clients[who].perform(behaviours[a.Kind])
		return
	}
	m := w.machines[a.Node]
	switch a.Kind {
	case Crash:
		w.restart(m, a.N, func() { m.on() })
	case Image:
		m.images = append(m.images, m.disk.image())
	case Rewind:
		if len(m.images) > 0 {
			w.restart(m, 100, func() { m.rewind(a.N) })
		}
	case Clone:
		if len(m.images) > 0 {
			m.clone(m.images[a.N%uint64(len(m.images))])
		}
	case CloneAll:
		for _, m := range w.machines {
			if len(m.images) > 0 {
				m.clone(m.images[a.N%uint64(len(m.images))])
			}
		}
	case Stop:
		w.stop(m, a.N, m.on)
	case StopAll:
		for _, m := range w.machines {
			w.stop(m, a.N, m.on)
		}
	case HalfStop:
		w.halfStop(m, a.N)
	case HalfBoot:
		w.stop(m, a.N, func() { w.halfBoot(m, a.N) })
	case NewToken:
		w.newToken(m)
	case PowerCut:
		for _, m := range w.machines {
			w.restart(m, w.between(1, a.N), m.on)
		}
	case Depose:
		w.depose(m, a)
	case Leap:
		w.leap(a.N)
	case Cut:
		w.net.cutFor(a.Node, a.Other, a.N)
		w.net.cutFor(a.Other, a.Node, a.N)
	case CutOneWay:
		w.net.cutFor(a.Node, a.Other, a.N)
	case Starve:
		for n := range w.machines {
			w.net.cutFor(n, a.Node, a.N)
		}
	case Replay:
		w.net.replay(m)
	case Resend:
		w.resend(m)
	case Replace, Remove:
		if w.allServe() { // an operator replaces one after the other
			w.replace(a)
		}
	case Transfer:
		w.operate(core.Admin{Command: core.AdminTransfer, Slot: w.machines[a.Other].slot(), All: true}, a.Node, func(core.Told) {})
	default:
		w.hinder(m, a)
	}
}
