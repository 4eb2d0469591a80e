// SPDX-License-Identifier: Apache-2.0

package core

import "testing"

// TestRemovedID: a raft id that was taken out is nobody's any more.
func TestRemovedID(t *testing.T) {
	f := newFleet(t, 3, majority)
	l := f.leader(0)
	victim := l.slot%3 + 1
	old := f.hosts[victim].c.parts[0].id
	f.crash(victim)
	f.restart(victim)
	f.until("it votes again", func() bool { return f.votes(victim) })
	f.same()
	for _, h := range f.live() {
		p := h.c.parts[0]
		for _, o := range h.c.peers.links {
			if p.mayUse(o, old) {
				t.Errorf("slot %d lets slot %d use the raft id %d of an incarnation that is gone", h.slot, o.slot, old)
			}
		}
	}
}
