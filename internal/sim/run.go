// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

const (
	settleMs   = 120_000 // in which a healthy fleet comes together
	foundingMs = 3_000   // until every core has replaced the key of the time before the founding
	healMs     = 60_000  // in which it does so again after everything that happened
)

// Run plays a schedule. Keep is how many lines of what happened a failure is to have; see Trace.
func Run(s *Schedule, keep int) (*Result, []string) {
	w := newWorld(s, keep)
	defer func() {
		for _, stop := range w.stops {
			stop()
		}
	}()
	w.settle()
	w.play()
	w.heal()
	if w.lost {
		w.trace.count["majority lost"]++
	}
	w.finish()
	return &Result{w.failure, [32]byte(w.trace.sum.Sum(nil)), w.steps, w.trace.count}, w.trace.lines
}

func newWorld(s *Schedule, keep int) *World {
	w := &World{schedule: s, calm: true, trace: newTrace(keep), random: rand.New(rand.NewPCG(s.Seed, 2))}
	w.net = newNetwork(w)
	w.tokens = newIssuer(w)
	w.checks = newChecks(w)
	for n := range s.Setup.Replicas {
		w.machines = append(w.machines, w.newMachine(n))
	}
	for n := range s.Setup.Accounts {
		w.clients = append(w.clients, w.newClient(n, false), w.newClient(n, true))
	}
	return w
}

// settle makes the fleet, in a world without faults.
func (w *World) settle() {
	first := w.machines[0]
	first.create()
	w.run(w.now+settleMs, func() bool { return first.serves() || w.schedule.Setup.Replicas > 1 && first.main.leadsAll() })
	if w.failure == nil {
		w.descriptor = first.main.core.Descriptor()
	}
	for _, m := range w.machines[1:] {
		m.wiped = true
		w.invite(m)
		w.run(w.now+settleMs, m.votes)
		if !w.schedule.Setup.KeepsKeys {
			w.imageAll()
		}
	}
	w.run(w.now+settleMs, w.allServe)
	if w.failure == nil && !w.allServe() {
		w.fail("liveness", fmt.Errorf("a new fleet does not come together: %v", w.whoServes()))
	}
	w.run(w.now+foundingMs, nil)
	w.imageAll()
}

// imageAll has every host keep a copy of its disk, from before there is something to count.
func (w *World) imageAll() {
	for _, m := range w.machines {
		if len(m.disk.stored) > 0 {
			m.images = append(m.images, m.disk.image())
		}
	}
}

// play does the schedule.
func (w *World) play() {
	w.calm = false
	w.trace.note("%d ms: the schedule begins", w.now)
	begin := w.now
	for _, a := range w.schedule.Actions {
		w.after(a.AtMs, func() { w.act(a) })
	}
	w.run(begin+w.schedule.Setup.EndMs, nil)
}

// serves tells whether a machine's core serves every partition.
func (m *machine) serves() bool { return m.main != nil && viewOf(m.main.core).serving }

// votes tells whether a machine's core votes everywhere, in a fleet that need not be founded yet.
func (m *machine) votes() bool {
	if m.main == nil {
		return false
	}
	v := viewOf(m.main.core)
	for _, p := range v.parts {
		if !slices.Contains(p.voters, v.slot) || p.leader == 0 {
			return false
		}
	}
	return len(v.parts) > 0
}

// leadsAll tells whether a core leads every partition, as the first of a new fleet does.
func (r *replica) leadsAll() bool {
	if r == nil {
		return false
	}
	for _, p := range viewOf(r.core).parts {
		if !p.leads {
			return false
		}
	}
	return true
}

func (w *World) allServe() bool {
	for _, m := range w.machines {
		if !m.serves() {
			return false
		}
	}
	return true
}

func (w *World) whoServes() (list []string) {
	for _, m := range w.machines {
		switch {
		case m.main == nil:
			list = append(list, "off")
		default:
			list = append(list, fmt.Sprintf("%+v", m.main.core.Stats()))
		}
	}
	return list
}
