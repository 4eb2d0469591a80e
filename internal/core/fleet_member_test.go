// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

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

// TestTwoBeginnings: two fleets that were started from copies of the same disks, of the time before the founding, have the same keys and slots. Their networks
// are one, and they stay apart: none takes the other's members for its own, and what one knows the other does not get.
func TestTwoBeginnings(t *testing.T) {
	f := &fleet{t: t, hosts: []*host{nil, newHost(t, majority)}}
	f.attach(f.hosts[1], 1)
	for s := Slot(2); s <= 3; s++ {
		f.join(s)
		f.until("it votes", func() bool { return f.votes(s) })
	}
	f.until("all have stored who votes", func() bool {
		return !slices.ContainsFunc(f.live(), func(h *host) bool { return h.c.parts[0].base == 0 })
	})
	g := &fleet{t: t, hosts: []*host{nil}}
	for s := Slot(1); s <= 3; s++ {
		if f.hosts[s].c.parts[0].group.founded {
			t.Skip("it was founded too soon to be copied")
		}
		h := *f.hosts[s]
		h.disk, h.keys = h.image(), maps.Clone(h.keys)
		h.config.Seed[5], h.ids, h.answer, h.told = 99, h.ids+1000, map[uint64][]byte{}, map[uint64]Told{}
		g.hosts = append(g.hosts, &h)
		g.attach(&h, s)
	}
	for s := Slot(1); s <= 3; s++ {
		if err := g.hosts[s].start(); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(ms int) {
		for ; ms > 0; ms -= 100 {
			all := append(slices.Clone(f.mail), g.mail...)
			f.mail, g.mail = all, slices.Clone(all)
			f.pass(100)
			g.pass(100)
		}
	}
	check := func() {
		t.Helper()
		at := map[string][32]byte{}
		for _, h := range append(f.live(), g.live()...) {
			p := h.c.parts[0]
			key := fmt.Sprintf("%x at %d", p.group.world, p.applied)
			if d, ok := at[key]; ok && d != h.c.Digest() && p.group.founded {
				t.Fatalf("two states of %s", key)
			}
			at[key] = h.c.Digest()
		}
	}
	for range 300 {
		pass(100)
		check()
	}
	served := f
	if f.leader(0) == nil || !f.leader(0).c.parts[0].serves() {
		served = g
	}
	if served.leader(0) == nil || !served.leader(0).c.parts[0].serves() {
		t.Skip("neither was founded")
	}
	id := served.register("alice")
	served.guess("alice", id, 1)
	world := served.leader(0).c.parts[0].group.world
	for s := Slot(1); s <= 3; s++ {
		served.crash(s)
		pass(500)
		served.restart(s)
		for range 100 {
			pass(100)
			check()
		}
	}
	for _, h := range append(f.live(), g.live()...) {
		if p := h.c.parts[0]; p.ledger.count > 0 && p.group.world != world {
			t.Errorf("slot %d of another fleet has the account", h.slot)
		}
	}
}

// TestOtherWorld: what is said in another fleet of the same beginning counts for nothing, though it comes from a member.
func TestOtherWorld(t *testing.T) {
	f := newFleet(t, 3, majority)
	f.same()
	l := f.leader(0)
	p := f.hosts[l.slot%3+1].c.parts[0]
	session := p.sessionOf(p.leader)
	term := p.node.BasicStatus().GetTerm()
	say := func(w world) uint64 {
		heartbeat, to, from, later := raftpb.MsgHeartbeat, p.id, p.leader, term+1
		body, err := proto.Marshal(&raftpb.Message{Type: &heartbeat, To: &to, From: &from, Term: &later})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.c.item(session, itemRaft, slices.Concat([]byte{0, 0}, w[:], body)); err != nil {
			t.Fatal(err)
		}
		return p.node.BasicStatus().GetTerm()
	}
	if say(world{}) != term || say(world{1}) != term {
		t.Error("it listens to another fleet")
	}
	if say(p.group.world) != term+1 {
		t.Error("it does not listen to its own")
	}
}

// TestOlderDisk: where boots are trusted, a replica whose disk is older than what it told the others ends, and says why.
func TestOlderDisk(t *testing.T) {
	f := newFleet(t, 3, nil)
	f.same()
	p := f.hosts[f.leader(0).slot%3+1].c.parts[0]
	heartbeat, term, commit := raftpb.MsgHeartbeat, p.node.BasicStatus().GetTerm(), p.lastIndex+1
	err := p.take(p.sessionOf(p.leader), world{}, &raftpb.Message{Type: &heartbeat, To: &p.id, From: &p.leader, Term: &term, Commit: &commit})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("it goes on: %v", err)
	}
}

// TestIDTakenOnce: an incarnation begins with an empty log under an id that it never had, and under no other.
func TestIDTakenOnce(t *testing.T) {
	f := newFleet(t, 3, majority)
	f.crash(2)
	f.restart(2)
	p := f.hosts[2].c.parts[0]
	f.until("it is admitted", func() bool { return p.node != nil })
	id, w := p.id, p.world
	p.giveUp()
	for _, old := range []uint64{firstIndex, id - 1, id} {
		if err := p.adopt(w, old); err != nil || p.node != nil {
			t.Errorf("it takes the raft id %d again", old)
		}
	}
	if err := p.adopt(w, id+1); err != nil || p.id != id+1 {
		t.Error("it does not take a new one")
	}
	if err := p.adopt(world{1}, id+2); err != nil || p.id != id+2 {
		t.Error("it does not take a newer one, before it is founded")
	}
	p.group.founded = true
	if err := p.adopt(w, id+3); err != nil || p.id != id+2 {
		t.Error("it leaves its place")
	}
}
