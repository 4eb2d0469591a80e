// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"maps"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

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
		m.disk = &disk{stored: maps.Clone(m.images[n%uint64(len(m.images))])}
		m.on()
		m.w.trace.count["rewound"]++
	}
}

// stop has a core stop in good order, and starts it again. The host keeps a copy of the disk as it is in between.
func (w *World) stop(m *machine, ms uint64, on func()) {
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
				on()
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
