// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"maps"
	"testing"
)

// TestStopCrashes ends a core at every step of a planned stop, the key of its farewell made or not, and the start after it at every step of its own: with the sealer's
// step before it done, half done or not, and each write lost or stored. Of all starts from any copy, one at most has the place; and the fleet goes on.
func TestStopCrashes(t *testing.T) {
	kept := map[bool]int{}
	for _, stop := range []string{"key not made", "key made", "record lost", "record stored", "in order"} {
		for _, boot := range []string{"before the sealer", "sealer half done", "sealer done", "write lost", "write stored", "whole"} {
			name := fmt.Sprintf("stop: %s; start: %s", stop, boot)
			f := newFleet(t, 3, counter)
			f.register("alice")
			h := f.hosts[2]
			f.stopAt(h, stop)
			image, before := h.image(), maps.Clone(h.keys)

			places := f.bootAt(h, boot)
			// And then from the disk as it is, and from the copy, each again.
			for _, disk := range []map[string][]byte{h.image(), image, image} {
				h.disk = maps.Clone(disk)
				h.dead = false
				if err := h.start(); err != nil {
					t.Fatalf("%s: the next start: %v", name, err)
				}
				if h.c.parts[0].id != 0 {
					places++
				}
			}
			if places > 1 || places == 1 && stop != "in order" && stop != "record stored" {
				t.Errorf("%s: %d starts have the place", name, places)
			}
			if stop == "in order" && boot == "whole" && places != 1 {
				t.Errorf("%s: the place is lost", name)
			}
			if len(h.keys) != 1 || len(before) > 2 {
				t.Errorf("%s: %d keys are left, of %d", name, len(h.keys), len(before))
			}
			kept[places == 1]++
			f.until("the majority has a place for it", func() bool { return f.votes(2) })
			f.same()

			// A stop that was aborted does not spoil the next one.
			f.stop(2)
			h.dead = false
			if err := h.start(); err != nil {
				t.Fatal(err)
			}
			if h.c.parts[0].id == 0 {
				t.Errorf("%s: the next stop, in order, keeps no place", name)
			}
			f.until("it votes", func() bool { return f.votes(2) })
		}
	}
	if kept[true] == 0 || kept[false] == 0 {
		t.Errorf("the place was kept, or not: %v", kept)
	}
}

// stopAt ends a core within a planned stop.
func (f *fleet) stopAt(h *host, point string) {
	f.t.Helper()
	if point == "in order" {
		f.stop(h.slot)
		return
	}
	h.onPersist = func(p Persist) fate {
		for _, r := range p.Puts {
			if string(r.Key) == keyFarewell {
				return map[string]fate{"record lost": lostAndDead, "record stored": storedAndDead}[point]
			}
		}
		return stored
	}
	if point == "key not made" || point == "key made" {
		h.sleep()
	}
	h.step(Stop{})
	for n := 0; n < 100 && !h.dead && len(h.asleep) == 0; n++ {
		h.now += 100
		h.step(Tick{h.now, 100})
		f.deliver()
	}
	if point == "key made" {
		h.newEpoch() // which the core is never told of
	}
	if !h.dead && len(h.asleep) == 0 {
		f.t.Fatal("there was no farewell")
	}
	h.dead, h.asleep, h.onPersist = true, nil, nil
}

// bootAt ends a start at a point, and tells how many places it has had: one that ends before it says a word has none.
func (f *fleet) bootAt(h *host, point string) (places int) {
	f.t.Helper()
	c, _, err := h.load()
	if err != nil {
		f.t.Fatal(err)
	}
	switch point {
	case "before the sealer":
		return 0
	case "sealer half done": // one key of those that it does not need is gone
		for id := range h.keys {
			if id != c.KeyIDs()[0] {
				delete(h.keys, id)
				break
			}
		}
		return 0
	case "sealer done":
		h.keep(c.KeyIDs())
		return 0
	}
	idle := h.idle
	h.idle = func() bool { return false } // so that start leaves onPersist as it is
	defer func() { h.idle, h.onPersist = idle, nil }()
	h.onPersist = func(Persist) fate {
		return map[string]fate{"write lost": lostAndDead, "write stored": storedAndDead, "whole": stored}[point]
	}
	if err := h.start(); err != nil {
		f.t.Fatal(err)
	}
	if h.c.parts[0].id != 0 {
		places = 1
	}
	h.dead = true
	return places
}
