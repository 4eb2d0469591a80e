// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"runtime/debug"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

// replica is one running core with what drives it: its runner, which keeps to the rules, and its host, which may not.
type replica struct {
	m        *machine
	w        *World
	core     *core.Core
	disk     *disk
	number   int // of its start
	started  uint64
	lastTick uint64 // by World.clock
	dead     bool
	clone    bool // it runs beside the machine's first core

	pausedUntil, lyingUntil, slowUntil uint64
	skewMs                             int64
	waiting                            []core.Input // while it is paused

	peers     []core.Member
	leaders   map[wire.Partition]core.Slot
	strangers map[core.Slot]*machine // who connected without being known
	numbers   map[*machine]core.Slot
	requests  map[uint64]func(answer []byte)
	told      map[uint64]func(core.Told)
	ids       uint64
}

// protect turns a panic of the core into a failure: a broken invariant stops a node.
func (r *replica) protect(f func() error) {
	defer func() {
		if p := recover(); p != nil {
			r.dead = true
			r.w.fail("core", fmt.Errorf("machine %d: panic: %v\n%s", r.m.node, p, debug.Stack()))
		}
	}()
	if err := f(); err != nil {
		r.dead = true
		r.w.fail("core", fmt.Errorf("machine %d: %w", r.m.node, err))
	}
}

// give gives the core inputs, now or when it is no longer paused.
func (r *replica) give(inputs ...core.Input) {
	if r.dead || r.w.failure != nil {
		return
	}
	if r.w.now < r.pausedUntil {
		r.waiting = append(r.waiting, inputs...)
		return
	}
	r.protect(func() error {
		effects, err := r.core.Step(inputs...)
		if err != nil {
			return err
		}
		r.do(effects)
		return nil
	})
	r.w.steps++
	if r.w.failure == nil && !r.dead {
		r.w.checks.after(r)
	}
}

// tick tells the time, for as long as the core lives.
func (r *replica) tick() {
	if r.dead {
		return
	}
	r.w.after(tickMs, r.tick)
	if r.w.now < r.pausedUntil {
		return
	}
	if len(r.waiting) > 0 {
		inputs := r.waiting
		r.waiting = nil
		r.give(inputs...)
	}
	now := r.w.clock()
	elapsed := now - r.lastTick
	r.lastTick = now
	r.give(core.Tick{Now: wire.UnixMs(int64(r.w.timeOfDay()) + r.skewMs), ElapsedMs: elapsed})
}

// do does effects. What follows from them follows later, never within.
func (r *replica) do(effects []core.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case core.Persist:
			r.persist(e)
		case core.Run:
			r.w.after(r.w.between(0, 2), func() { r.work(e) })
		case core.Answer:
			r.w.trace.bytes("answer", r.w.now, r.m.node, e.Envelope)
			if f := r.requests[e.ID]; f != nil {
				delete(r.requests, e.ID)
				f(e.Envelope)
			}
		case core.Rotate:
			r.w.after(r.w.between(1, 20), func() { r.newEpoch() })
		case core.Retire:
			if !r.w.schedule.Setup.KeepsKeys {
				delete(r.m.sealer.keys, e.KeyID)
			}
			r.w.after(1, func() { r.retired(e) })
		default:
			r.doFleet(e)
		}
	}
}

// doFleet does the effects that only a fleet of several has.
func (r *replica) doFleet(e core.Effect) {
	switch e := e.(type) {
	case core.Send:
		r.w.trace.bytes("send", r.w.now, r.m.node, e.Data)
		r.w.net.send(r, e)
	case core.Peers:
		r.peers = e.Members
	case core.Leads:
		if r.leaders == nil {
			r.leaders = map[wire.Partition]core.Slot{}
		}
		r.leaders[e.Partition] = e.Slot
	case core.Told:
		if f := r.told[e.ID]; f != nil {
			delete(r.told, e.ID)
			f(e)
		}
	case core.Note:
		r.w.trace.note("%d ms: machine %d notes: %s", r.w.now, r.m.node, e.Text)
	default:
		r.w.fail("world", fmt.Errorf("an unknown effect %T", e))
	}
}

// work runs a job, as a worker of the runner does.
func (r *replica) work(e core.Run) {
	if !r.dead {
		r.give(core.Done{ID: e.ID, Result: e.Job.Run()})
	}
}

func (r *replica) retired(e core.Retire) {
	if !r.dead {
		r.give(core.Retired(e))
	}
}

func (r *replica) newEpoch() {
	if !r.dead {
		r.give(r.m.sealer.newEpoch())
	}
}
