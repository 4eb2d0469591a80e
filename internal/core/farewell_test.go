// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"maps"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

func counter(h *host) { h.policy.Restart = wire.RestartCounter }

// stop has a core say its farewell.
func (f *fleet) stop(s Slot) {
	f.t.Helper()
	h := f.hosts[s]
	h.step(Stop{})
	for n := 0; n < 100 && !h.c.Idle(); n++ {
		h.now += 100
		h.step(Tick{h.now, 100})
	}
	if !h.c.Idle() || !h.c.gone {
		f.t.Fatalf("slot %d does not end", s)
	}
	h.dead = true
}

func (f *fleet) startAll() {
	for s := 1; s < len(f.hosts); s++ {
		h := f.hosts[s]
		h.dead = false
		if err := h.start(); err != nil {
			f.t.Fatalf("slot %d: %v", s, err)
		}
	}
}

// TestPlannedStop: a whole fleet is stopped in order and started again, all places are kept, and nothing is forgotten.
func TestPlannedStop(t *testing.T) {
	f := newFleet(t, 3, counter)
	id := f.register("alice")
	f.guess("alice", id, 1)
	before := f.hosts[1].c.place.incarnation
	for s := Slot(3); s >= 1; s-- {
		f.stop(s)
	}
	images := []map[string][]byte{nil, f.hosts[1].image(), f.hosts[2].image(), f.hosts[3].image()}
	f.startAll()
	f.until("it serves", func() bool { return f.leader(0) != nil })
	if f.hosts[1].c.place.incarnation != before {
		t.Error("it is another incarnation")
	}
	if s := wantOf[*wire.StatusAnswer](f, "alice", &wire.Status{}); s.Serial != 1 {
		t.Errorf("serial is %d", s.Serial)
	}
	f.guess("alice", id, 2)
	f.same()

	// Copies of the stopped disks, started after the originals.
	for s := Slot(1); s <= 3; s++ {
		f.crash(s)
		f.hosts[s].disk = images[s]
	}
	f.startAll()
	f.pass(60_000)
	if f.leader(0) != nil {
		t.Error("copies of the stopped fleet serve")
	}
	for s := Slot(1); s <= 3; s++ {
		if h := f.hosts[s]; h.c.parts[0].id != 0 || len(h.notes) != 1 {
			t.Errorf("slot %d has the raft id %d, and its operator is told %q", s, h.c.parts[0].id, h.notes)
		}
	}
}

// TestFarewellIsUsedOnce: a clone that is started first gets the place, and the original has none; a boot from another copy uses the farewell up, too.
func TestFarewellIsUsedOnce(t *testing.T) {
	f := newFleet(t, 3, counter)
	older := f.hosts[2].image()
	f.stop(2)
	h := f.hosts[2]
	stopped, keys := h.image(), maps.Clone(h.keys)
	h.dead, h.disk = false, older
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	if h.c.parts[0].id != 0 {
		t.Error("an older copy has the place")
	}
	h.disk = stopped
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	if h.c.parts[0].id != 0 || len(h.keys) != 1 || len(keys) != 2 {
		t.Errorf("the farewell was used by no boot: raft id %d, %d keys of %d", h.c.parts[0].id, len(h.keys), len(keys))
	}
	f.until("the majority admits it", func() bool { return f.votes(2) })
	f.same()
}

// TestAbortedStop: a core that has begun its farewell does nothing more, and without the record there is no place.
func TestAbortedStop(t *testing.T) {
	for _, end := range []fate{lostAndDead, storedAndDead} {
		f := newFleet(t, 3, counter)
		h := f.hosts[2]
		h.onPersist = func(p Persist) fate {
			for _, r := range p.Puts {
				if string(r.Key) == keyFarewell {
					return end
				}
			}
			return stored
		}
		h.step(Stop{})
		for n := 0; n < 100 && !h.dead; n++ {
			h.now += 100
			h.step(Tick{h.now, 100})
			f.deliver()
		}
		if !h.dead {
			t.Fatal("there was no farewell")
		}
		h.dead, h.onPersist = false, nil
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		if kept := h.c.parts[0].id != 0; kept != (end == storedAndDead) {
			t.Errorf("place kept: %t", kept)
		}
		f.until("it votes", func() bool { return f.votes(2) })
		f.same()
	}
}

// TestExchangedDisk: what was stored is exchanged for something older while the core is down: it does not start.
func TestExchangedDisk(t *testing.T) {
	f := newFleet(t, 3, counter)
	id := f.register("alice")
	h := f.hosts[2]
	before := h.image()
	f.guess("alice", id, 1)
	f.pass(1000)
	f.stop(2)
	for k, v := range h.disk {
		if _, old := before[k]; !old && k[:len(prefixLog)] == prefixLog {
			mixed := h.image()
			maps.DeleteFunc(mixed, func(k string, _ []byte) bool { _, old := before[k]; return !old && k[:len(prefixLog)] == prefixLog })
			for k, v := range before {
				if k[:len(prefixState)] == prefixState {
					mixed[k] = v
				}
			}
			h.disk, h.dead = mixed, false
			if err := h.start(); !errors.Is(err, ErrDamaged) {
				t.Errorf("it starts: %v", err)
			}
			return
		}
		_ = v
	}
	t.Fatal("nothing was stored between")
}
