// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// unerasedAt is what a core says of a slot, its own or another.
func (h *host) unerasedAt(s Slot) uint64 {
	stats := h.c.Stats()
	if s == h.slot {
		return stats.Unerased
	}
	for _, o := range stats.Others {
		if o.Slot == s {
			return o.Ms
		}
	}
	h.t.Fatalf("slot %d says nothing of slot %d", h.slot, s)
	return 0
}

// TestErasure: everybody sees for how long what was destroyed may be readable at whom: at a replica whose sealer does nothing, one that is down, and none.
func TestErasure(t *testing.T) {
	const rotateMs = 2000
	f := newFleet(t, 3, func(h *host) { majority(h); h.config.RotateMs = rotateMs })
	see := func(what string, at func(uint64) bool, of Slot) {
		t.Helper()
		f.until(what, func() bool {
			for _, h := range f.live() {
				if !at(h.unerasedAt(of)) {
					return false
				}
			}
			return true
		})
	}
	nothing := func(ms uint64) bool { return ms == 0 }
	late := func(ms uint64) bool { return ms > erasedWithin*rotateMs }
	f.register("alice")
	for s := Slot(1); s <= 3; s++ {
		see("it is erased everywhere", nothing, s)
	}
	// A sealer that makes no key, and later one that does not destroy the old one.
	h := f.hosts[2]
	h.sleep()
	f.register("bob")
	see("the others see a straggler", late, 2)
	see("one that works is none", nothing, 1)
	h.wake()
	see("the straggler has caught up", nothing, 2)
	if l := f.leader(0); l.c.Stats().ErasedWithin != erasedWithin*rotateMs {
		t.Errorf("within %d ms", l.c.Stats().ErasedWithin)
	}

	// One that is down has on its disk what was not destroyed by then.
	f.crash(3)
	wantOf[*wire.StatusAnswer](f, "alice", &wire.Status{})
	see("the others see that it is gone", late, 3)
	f.restart(3)
	see("it is back", nothing, 3)
	f.same()

	// Who was started after the other's end knows nothing of it, and says so sooner or later.
	f.crash(3)
	f.crash(2)
	f.restart(2)
	f.until("it is a straggler for who never heard of it", func() bool { return late(f.hosts[2].unerasedAt(3)) })
}

// TestErasureAfterBoot: what lies in the log from before a boot counts from the last rotation on.
func TestErasureAfterBoot(t *testing.T) {
	h := newHost(t, func(h *host) { h.config.RotateMs = 60 * 60_000 })
	h.user("alice").register(wire.ManageSecret{1})
	h.pass(61 * 60_000)
	h.user("bob").register(wire.ManageSecret{1})
	h.pass(10 * 60_000)
	before := h.c.Stats().Unerased
	h.mustBoot()
	h.pass(1000)
	if after := h.c.Stats().Unerased; before < 9*60_000 || after < 9*60_000 {
		t.Errorf("%d ms before the boot, %d after it", before, after)
	}
	h.pass(60 * 60_000)
	if now := h.c.Stats().Unerased; now != 0 {
		t.Errorf("%d ms after a rotation", now)
	}
}
