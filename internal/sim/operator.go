// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/coffer-backup/coffer/internal/core"
)

// operate gives an operator's command to the core of a machine, and of another one if it refuses or keeps silent.
func (w *World) operate(a core.Admin, first int, done func(core.Told)) {
	finished := false
	for n := range w.machines {
		m := w.machines[(first+n)%len(w.machines)]
		w.after(uint64(n)*1000, func() {
			if finished || m.main == nil {
				return
			}
			m.main.admin(a, func(t core.Told) {
				if t.Refusal != "" {
					w.trace.note("%d ms: machine %d refuses command %d: %s", w.now, m.node, a.Command, t.Refusal)
					return
				}
				if !finished {
					finished = true
					w.after(1, func() { done(t) })
				}
			})
		})
	}
}

// invite has a machine with an empty disk join, and asks again for as long as it does not get a ticket.
func (w *World) invite(m *machine) {
	if m.retired || !m.wiped {
		return
	}
	w.operate(core.Admin{Command: core.AdminInvite, Slot: m.slot()}, m.node+1, func(t core.Told) {
		if m.wiped && !m.retired {
			m.join(t.Ticket)
		}
	})
	w.after(uint64(len(w.machines))*1000+2000, func() { w.invite(m) })
}

// replace gives a machine's slot to a new one. The old machine keeps running for a while: nobody can be sure that it is dead.
func (w *World) replace(a Action) {
	old := w.machines[a.Node]
	old.retired = true
	new := w.newMachine(a.Node)
	new.wiped = true
	w.machines[a.Node] = new
	w.old = append(w.old, old)
	if a.Kind == Replace {
		w.invite(new)
		return
	}
	w.operate(core.Admin{Command: core.AdminRemove, Slot: old.slot()}, a.Node+1, func(core.Told) {})
	w.after(a.N, func() { w.invite(new) })
}
