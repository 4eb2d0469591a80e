// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"cmp"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// A group is what the replicas of a partition agree on beside its accounts: who they are. The log makes it, so it is the same everywhere
// at the same index. The slots and invitations of the whole fleet are in the group of partition 0.
type group struct {
	conf    *raftpb.ConfState
	members []member // ascending by id
	founded bool     // requests are taken; under the policy majority a boot has no vote from now on
	world   world    // of that founding; none where boots are trusted

	slots   []slot   // ascending by number; of partition 0 only, as the next
	invites []invite // ascending by slot
}

// member binds a raft id to an incarnation of a slot. The id is the index of the entry that admitted it, so none is ever used twice.
type member struct {
	id          uint64
	slot        Slot
	serial      uint64      // of the slot's credential
	incarnation Incarnation // that may use the id
}

// slot is a place in the fleet that was taken with a ticket.
type slot struct {
	number     Slot
	serial     uint64 // index of the entry that gave it away; a later one replaces its holder
	credential [32]byte
	ticket     [32]byte // the hash that it was taken with, so that a lost answer can be given again
	host       []byte
}

// invite is a ticket that was not used yet.
type invite struct {
	slot    Slot
	ticket  [32]byte // hash of its secret
	expires wire.UnixMs
}

// world tells apart fleets that were founded from copies of the same beginning: they have the same keys, and must not take each other's members for their own.
type world [16]byte

const (
	maxMembers = 64
	maxSlots   = 32
	maxInvites = 16
)

func newGroup() group { return group{conf: new(raftpb.ConfState)} }

func (g *group) member(id uint64) *member {
	i := slices.IndexFunc(g.members, func(m member) bool { return m.id == id })
	if i < 0 {
		return nil
	}
	return &g.members[i]
}

// slotOf returns the slot of a raft id, 0 if it is not known.
func (g *group) slotOf(id uint64) Slot {
	if m := g.member(id); m != nil {
		return m.slot
	}
	return 0
}

func (g *group) slot(n Slot) *slot {
	i := slices.IndexFunc(g.slots, func(s slot) bool { return s.number == n })
	if i < 0 {
		return nil
	}
	return &g.slots[i]
}

func (g *group) voter(id uint64) bool   { return slices.Contains(g.conf.GetVoters(), id) }
func (g *group) learner(id uint64) bool { return slices.Contains(g.conf.GetLearners(), id) }

// clone is a copy that later entries do not change.
func (g *group) clone() group {
	n := *g
	n.members, n.slots, n.invites = slices.Clone(g.members), slices.Clone(g.slots), slices.Clone(g.invites)
	return n // conf is replaced and never changed
}

func (g *group) add(b *cryptobyte.Builder) {
	for _, ids := range [][]uint64{g.conf.GetVoters(), g.conf.GetLearners()} {
		b.AddUint8(uint8(len(ids)))
		for _, id := range ids {
			b.AddUint64(id)
		}
	}
	b.AddUint8(uint8(len(g.members)))
	for _, m := range g.members {
		b.AddUint64(m.id)
		b.AddUint16(uint16(m.slot))
		b.AddUint64(m.serial)
		b.AddBytes(m.incarnation[:])
	}
	b.AddUint8(bit(g.founded))
	b.AddBytes(g.world[:])
	b.AddUint8(uint8(len(g.slots)))
	for _, s := range g.slots {
		b.AddUint16(uint16(s.number))
		b.AddUint64(s.serial)
		b.AddBytes(s.credential[:])
		b.AddBytes(s.ticket[:])
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.host) })
	}
	b.AddUint8(uint8(len(g.invites)))
	for _, v := range g.invites {
		b.AddUint16(uint16(v.slot))
		b.AddBytes(v.ticket[:])
		b.AddUint64(uint64(v.expires))
	}
}

// read decodes what add gave.
func (g *group) read(s *cryptobyte.String) bool {
	*g = newGroup()
	var n, founded uint8
	for _, ids := range []*[]uint64{&g.conf.Voters, &g.conf.Learners} {
		if !s.ReadUint8(&n) || n > maxMembers {
			return false
		}
		for range n {
			var id uint64
			if !s.ReadUint64(&id) {
				return false
			}
			*ids = append(*ids, id)
		}
	}
	if !s.ReadUint8(&n) || n > maxMembers {
		return false
	}
	for range n {
		var m member
		if !s.ReadUint64(&m.id) || !s.ReadUint16((*uint16)(&m.slot)) || !s.ReadUint64(&m.serial) || !s.CopyBytes(m.incarnation[:]) {
			return false
		}
		g.members = append(g.members, m)
	}
	if !s.ReadUint8(&founded) || founded > 1 || !s.CopyBytes(g.world[:]) || !s.ReadUint8(&n) || n > maxSlots {
		return false
	}
	g.founded = founded == 1
	for range n {
		var v slot
		var host cryptobyte.String
		if !s.ReadUint16((*uint16)(&v.number)) || !s.ReadUint64(&v.serial) || !s.CopyBytes(v.credential[:]) ||
			!s.CopyBytes(v.ticket[:]) || !s.ReadUint16LengthPrefixed(&host) || len(host) > MaxHostInfo {
			return false
		}
		v.host = bytes.Clone(host)
		g.slots = append(g.slots, v)
	}
	if !s.ReadUint8(&n) || n > maxInvites {
		return false
	}
	for range n {
		var v invite
		if !s.ReadUint16((*uint16)(&v.slot)) || !s.CopyBytes(v.ticket[:]) || !s.ReadUint64((*uint64)(&v.expires)) {
			return false
		}
		g.invites = append(g.invites, v)
	}
	return g.sorted()
}

// sorted tells whether the lists are in their order, without doubles: there is one encoding.
func (g *group) sorted() bool {
	ascending := func(n int, before func(i int) bool) bool {
		for i := 1; i < n; i++ {
			if !before(i) {
				return false
			}
		}
		return true
	}
	return ascending(len(g.members), func(i int) bool { return g.members[i-1].id < g.members[i].id }) &&
		ascending(len(g.slots), func(i int) bool { return g.slots[i-1].number < g.slots[i].number }) &&
		ascending(len(g.invites), func(i int) bool { return g.invites[i-1].slot < g.invites[i].slot })
}

func bit(v bool) uint8 {
	if v {
		return 1
	}
	return 0
}

// A change is an entry of the log about the group.
type change struct {
	kind        changeKind
	slot        Slot
	serial      uint64
	id          uint64 // of changeBind
	incarnation Incarnation
	credential  [32]byte
	ticket      [32]byte // hash
	expires     wire.UnixMs
	world       world // of changeFound
	host        []byte
}

type changeKind uint8

const (
	changeAdmit  changeKind = 1 // an incarnation gets the entry's index for a raft id
	changeBind   changeKind = 2 // a member that booted from disk while the fleet is founded
	changeFound  changeKind = 3 // from now on requests are taken
	changeInvite changeKind = 4 // of partition 0, as what follows
	changeJoin   changeKind = 5
	changeHost   changeKind = 6
	changeRemove changeKind = 7
)

func (m *change) add(b *cryptobyte.Builder) {
	b.AddUint8(uint8(m.kind))
	b.AddUint16(uint16(m.slot))
	b.AddUint64(m.serial)
	b.AddUint64(m.id)
	b.AddBytes(m.incarnation[:])
	b.AddBytes(m.credential[:])
	b.AddBytes(m.ticket[:])
	b.AddUint64(uint64(m.expires))
	b.AddBytes(m.world[:])
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.host) })
}

func (m *change) read(s *cryptobyte.String) bool {
	var host cryptobyte.String
	ok := s.ReadUint8((*uint8)(&m.kind)) && s.ReadUint16((*uint16)(&m.slot)) && s.ReadUint64(&m.serial) && s.ReadUint64(&m.id) &&
		s.CopyBytes(m.incarnation[:]) && s.CopyBytes(m.credential[:]) && s.CopyBytes(m.ticket[:]) &&
		s.ReadUint64((*uint64)(&m.expires)) && s.CopyBytes(m.world[:]) && s.ReadUint16LengthPrefixed(&host) && len(host) <= MaxHostInfo && s.Empty()
	m.host = bytes.Clone(host)
	return ok && m.kind >= changeAdmit && m.kind <= changeRemove
}

// apply makes a committed change at an index and a time. What is not possible any more changes nothing.
func (g *group) apply(m *change, index uint64, now wire.UnixMs) {
	switch m.kind {
	case changeAdmit:
		known := slices.ContainsFunc(g.members, func(o member) bool { return o.incarnation == m.incarnation })
		if !known && len(g.members) < maxMembers {
			g.members = append(slices.Clone(g.members), member{index, m.slot, m.serial, m.incarnation})
		}
	case changeBind:
		if o := g.member(m.id); o != nil && o.slot == m.slot && !g.founded {
			g.members = slices.Clone(g.members)
			g.member(m.id).incarnation = m.incarnation
		}
	case changeFound:
		if !g.founded {
			g.founded, g.world = true, m.world
		}
	case changeInvite:
		g.invites = slices.DeleteFunc(slices.Clone(g.invites), func(v invite) bool { return v.slot == m.slot || v.expires <= now })
		if len(g.invites) < maxInvites {
			g.invites = append(g.invites, invite{m.slot, m.ticket, m.expires})
			slices.SortFunc(g.invites, func(a, b invite) int { return cmp.Compare(a.slot, b.slot) })
		}
	case changeJoin:
		g.joined(m, index, now)
	case changeHost:
		if s := g.slot(m.slot); s != nil && s.serial == m.serial {
			g.slots = slices.Clone(g.slots)
			g.slot(m.slot).host = m.host
		}
	case changeRemove:
		g.slots = slices.DeleteFunc(slices.Clone(g.slots), func(s slot) bool { return s.number == m.slot })
	}
}

// joined gives a slot away, if its ticket is good: once.
func (g *group) joined(m *change, index uint64, now wire.UnixMs) {
	i := slices.IndexFunc(g.invites, func(v invite) bool { return v.slot == m.slot && v.ticket == m.ticket && v.expires > now })
	if i < 0 {
		return
	}
	g.invites = slices.Delete(slices.Clone(g.invites), i, i+1)
	g.slots = slices.DeleteFunc(slices.Clone(g.slots), func(s slot) bool { return s.number == m.slot })
	if len(g.slots) < maxSlots {
		g.slots = append(g.slots, slot{m.slot, index, m.credential, m.ticket, m.host})
		slices.SortFunc(g.slots, func(a, b slot) int { return cmp.Compare(a.number, b.number) })
	}
}

// forget drops the members that are in no configuration any more after a removal.
func (g *group) forget(id uint64) {
	g.members = slices.DeleteFunc(slices.Clone(g.members), func(m member) bool { return m.id == id })
}
