// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/coffer-backup/coffer/internal/core"
)

// persist queues a write.
func (r *replica) persist(p core.Persist) {
	for _, put := range p.Puts {
		r.w.trace.bytes("put", r.w.now, r.m.node, put.Value)
	}
	r.disk.queue = append(r.disk.queue, queued{persist: p})
	ms := r.w.between(0, r.w.schedule.Setup.DiskMs)
	if r.w.now < r.slowUntil {
		ms = r.w.between(100, 2000)
	}
	r.w.after(ms, r.flush)
}

// flush stores what waits and says so; a host that lies only says so.
func (r *replica) flush() {
	if r.dead {
		return
	}
	if r.w.now < r.pausedUntil {
		r.w.after(r.pausedUntil-r.w.now, r.flush)
		return
	}
	var said []core.Input
	for i := range r.disk.queue {
		if q := &r.disk.queue[i]; !q.told {
			q.told = true
			said = append(said, core.Durable{Seq: q.persist.Seq})
		}
	}
	if r.w.now < r.lyingUntil {
		r.w.after(r.lyingUntil-r.w.now, r.flush)
	} else {
		r.disk.store(len(r.disk.queue))
	}
	if len(said) > 0 {
		r.give(said...)
	}
}

// ask gives a sealed request to this core.
func (r *replica) ask(envelope []byte, answered func([]byte)) {
	if r.requests == nil {
		r.requests = map[uint64]func([]byte){}
	}
	r.ids++
	r.requests[r.ids] = answered
	r.give(core.Request{ID: r.ids, Envelope: envelope})
}

// admin gives an operator's command to this core.
func (r *replica) admin(a core.Admin, told func(core.Told)) {
	if r.told == nil {
		r.told = map[uint64]func(core.Told){}
	}
	r.ids++
	a.ID = r.ids
	r.told[a.ID] = told
	r.give(a)
}
