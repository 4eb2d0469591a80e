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
		w.stop(m, a.N)
	case StopAll:
		for _, m := range w.machines {
			w.stop(m, a.N)
		}
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

// hinder makes a machine's host slow, wrong or false for a while.
func (w *World) hinder(m *machine, a Action) {
	for _, r := range m.running() {
		switch a.Kind {
		case Lie:
			m.tainted = true
			r.lyingUntil = w.now + a.N
		case SlowDisk:
			r.slowUntil = w.now + a.N
		case Pause:
			r.pausedUntil = w.now + a.N
		case SetClock:
			r.skewMs = int64(a.N) - leapMs
		}
	}
}

// restart turns a machine off now, and on in a while.
func (w *World) restart(m *machine, ms uint64, on func()) {
	if w.calm || w.schedule.Setup.Gentle && !w.quorumWithout(m) {
		return
	}
	m.off()
	w.after(ms, func() {
		if !w.calm {
			on()
		}
	})
}

// rewind starts from an old image, whatever the disk has now.
func (m *machine) rewind(n uint64) {
	if m.main == nil && !m.wiped && !m.retired {
		m.tainted = true
		m.disk = &disk{stored: clone(m.images[n%uint64(len(m.images))])}
		m.on()
		m.w.trace.count["rewound"]++
	}
}

// stop has a core stop in good order, and starts it again. The host keeps a copy of the disk as it is in between.
func (w *World) stop(m *machine, ms uint64) {
	if m.main == nil || m.stopping || w.schedule.Setup.Restart == wire.RestartMajority && w.schedule.Setup.Gentle && !w.quorumWithout(m) {
		return
	}
	m.stopping = true
	m.main.give(core.Stop{})
	w.whenIdle(m.main, 30, func() {
		m.off()
		m.images = append(m.images, m.disk.image())
		w.after(ms, func() {
			if !w.calm {
				m.on()
			}
		})
	})
}

// whenIdle waits until a core that stops has done what it had begun, or does not get it done.
func (w *World) whenIdle(r *replica, tries int, then func()) {
	switch {
	case r.dead || w.calm || w.failure != nil:
	case r.core.Idle() || tries == 0:
		then()
	default:
		w.after(tickMs, func() { w.whenIdle(r, tries-1, then) })
	}
}

// leap lets everybody's clock run fast for a while.
func (w *World) leap(ms uint64) {
	running := w.now < w.leapEnd
	w.leapEnd = max(w.leapEnd, w.now+ms)
	if !running {
		w.leapStep()
	}
}

func (w *World) leapStep() {
	if w.now < w.leapEnd {
		w.extra += tickMs * (leaping - 1)
		w.after(tickMs, w.leapStep)
	}
}

// depose has a leader go on for a while that does not know that it is none any more.
func (w *World) depose(m *machine, a Action) {
	if m.main == nil {
		return
	}
	m.main.admin(core.Admin{Command: core.AdminTransfer, Slot: w.machines[a.Other].slot(), All: true}, func(core.Told) {})
	for n := range w.machines {
		w.net.cutFor(n, a.Node, a.N)
	}
	w.misled, w.misledEnd = m, w.now+a.N
	for _, c := range w.clients { // something changes, and somebody looks, while there are two that take themselves for the leader
		if c.thief {
			w.after(w.between(300, 700), func() { c.perform(func(c *client) { c.status() }) })
		} else {
			w.after(w.between(50, 300), func() { c.perform((*client).wrong) })
		}
	}
}

func clone(image map[string][]byte) map[string][]byte {
	d := disk{stored: image}
	return d.image()
}
