// SPDX-License-Identifier: Apache-2.0

package core

import "encoding/binary"

// What was destroyed can still be read by who has a replica's disk, any older copy of it, and its sealer, until the next rotation is over: its
// last step is that the sealer has destroyed the old key. So a deletion is complete when that has happened at every replica. An erasure follows for how long it has not,
// here and at the others, for the operator. Nothing else rests on it.
type erasure struct {
	changed  span // since the last rotation began
	retiring span // before it, until the sealer has destroyed the key
	key      string
	ticked   bool
	others   map[Slot]heardErasure
}

// span is a time that has begun, in elapsed milliseconds; before this boot they are negative.
type span struct {
	open bool
	from int64
}

// heardErasure is what another replica said, and when.
type heardErasure struct {
	serial, ms, at uint64
}

// erasedWithin is how many times the time between two rotations a deletion may take before somebody should look.
const erasedWithin = 2

// noteChanges begins a span if something has changed that no rotation has seen.
func (c *Core) noteChanges() {
	if e := &c.erasure; !e.changed.open && (c.rotateSoon || c.anyDirty()) {
		e.changed = span{true, c.changedFrom()}
	}
	c.erasure.ticked = true
}

// changedFrom is when what has just been found to be changed may have changed: a boot finds what was done since the last rotation.
func (c *Core) changedFrom() int64 {
	from := int64(c.elapsed)
	if !c.erasure.ticked {
		for _, p := range c.parts {
			from = min(from, int64(c.elapsed)-int64(p.now-min(p.now, c.manifest.at)))
		}
	}
	return from
}

// rotationBegins has what has changed so far wait for the end of the rotation.
func (e *erasure) rotationBegins(from int64) {
	if e.changed.open {
		from = e.changed.from
	}
	if !e.retiring.open {
		e.retiring = span{true, from}
	}
	e.changed = span{}
}

// retired takes notice that the sealer has destroyed a key.
func (e *erasure) retired(key string) {
	if key == e.key {
		e.retiring = span{}
	}
}

// Unerased is for how many milliseconds something that was destroyed here may have been readable; 0: nothing is.
func (c *Core) unerased() uint64 {
	e := &c.erasure
	var ms int64
	for _, s := range []span{e.changed, e.retiring} {
		if s.open {
			ms = max(ms, int64(c.elapsed)-s.from, 1)
		}
	}
	return uint64(ms)
}

// tellErasure tells a peer.
func (c *Core) tellErasure(l *link) {
	l.put(itemErasure, binary.BigEndian.AppendUint64(nil, c.unerased()))
}

// heardErasure takes notice of what a peer tells.
func (c *Core) heardErasure(l *link, body []byte) {
	if len(body) != 8 {
		return
	}
	if s := c.slot(l.slot); s == nil || s.serial != l.serial {
		return // of who had the slot before
	}
	if c.erasure.others == nil {
		c.erasure.others = map[Slot]heardErasure{}
	}
	c.erasure.others[l.slot] = heardErasure{l.serial, binary.BigEndian.Uint64(body), c.elapsed}
}

// Unerased is for how long something that was destroyed may have been readable at a replica.
type Unerased struct {
	Slot Slot
	Ms   uint64 // 0: nothing is
}

// othersUnerased says so of every other slot. Of one that was not heard of lately, which may have something since then.
func (c *Core) othersUnerased() (list []Unerased) {
	if len(c.parts) == 0 {
		return nil
	}
	for _, s := range c.parts[0].group.slots {
		if s.number == c.place.slot {
			continue
		}
		ms := c.elapsed // since this core's start, of one that was never heard of
		if h, ok := c.erasure.others[s.number]; ok && h.serial == s.serial {
			ms = h.ms
			if silent := c.elapsed - h.at; silent > silentMs {
				ms += silent
			}
		}
		list = append(list, Unerased{s.number, ms})
	}
	return list
}
