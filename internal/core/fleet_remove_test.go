// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"slices"
	"testing"
)

func (f *fleet) voters() []Slot { return f.leader(0).c.Stats().Partitions[0].Voters }

// remove takes a slot out, as far as the operator's entry.
func (f *fleet) remove(s Slot) {
	f.t.Helper()
	if told := f.admin(Admin{Command: AdminRemove, Slot: s}); told.Refusal != "" {
		f.t.Fatal(told.Refusal)
	}
}

// TestRemoveOfTwo: the vote of a replica that is taken out is needed for that, also when their session was forgotten in between.
func TestRemoveOfTwo(t *testing.T) {
	f := newFleet(t, 2, nil)
	f.same()
	l := f.leader(0)
	gone := 3 - l.slot
	l.step(Admin{Command: AdminRemove, Slot: gone})
	f.deliver()
	if l.c.slot(gone) != nil || len(f.voters()) != 2 {
		t.Fatalf("it is not half done: %v", f.voters())
	}
	f.lost = func(_, _ Slot) bool { return true }
	f.pass(2 * forgetMs)
	f.lost = nil
	f.until("it is out", func() bool { return f.leader(0) != nil && slices.Equal(f.voters(), []Slot{l.slot}) })
	f.pass(1000)
	if n := len(l.c.peers.links); n != 0 {
		t.Errorf("%d sessions are kept with what is not in the fleet any more", n)
	}
}

// TestReplaceOfTwo: so is that of one whose slot another replica has got, and whose host is not in the address book any more.
func TestReplaceOfTwo(t *testing.T) {
	f := newFleet(t, 2, nil)
	f.same()
	s := 3 - f.leader(0).slot
	f.move(s)
	f.join(s)
	f.until("the new one votes", func() bool { return f.votes(s) })
	f.same()
}

// TestMovedHost: a replica whose host has another address is found again by the way that it comes, though its vote is needed for whatever is written.
func TestMovedHost(t *testing.T) {
	f := newFleet(t, 2, nil)
	f.same()
	l := f.leader(0)
	h := f.move(3 - l.slot)
	if err := h.start(); err != nil {
		t.Fatal(err)
	}
	h.c.host = []byte("elsewhere")
	f.until("its new address is known", func() bool {
		s := l.c.slot(h.slot)
		return s != nil && bytes.Equal(s.host, []byte("elsewhere"))
	})
}

// TestRemoveWaits: a voter is not taken out when those that are left and alive are no majority.
func TestRemoveWaits(t *testing.T) {
	f := newFleet(t, 3, nil)
	f.same()
	l := f.leader(0)
	dead, gone := l.slot%3+1, (l.slot+1)%3+1
	f.crash(dead)
	f.pass(2000)
	f.remove(gone)
	f.pass(5000)
	if f.leader(0) == nil || len(f.voters()) != 3 {
		t.Fatal("the fleet cannot go on")
	}
	f.restart(dead)
	f.until("it is out", func() bool { return f.leader(0) != nil && !slices.Contains(f.voters(), gone) })
}

// TestTicketOfMany: a ticket of a large fleet is not too long.
func TestTicketOfMany(t *testing.T) {
	h := newHost(t, nil)
	g := &h.c.parts[0].group
	for s := Slot(2); s <= maxSlots; s++ {
		g.slots = append(g.slots, slot{number: s, host: make([]byte, MaxHostInfo)})
	}
	ticket := h.c.newTicket(40).encode()
	got, err := decodeTicket(ticket)
	if err != nil {
		t.Fatalf("%d bytes: %v", len(ticket), err)
	}
	if len(got.members) < 10 || got.members[0].Slot != founderSlot {
		t.Errorf("it has %d members", len(got.members))
	}
}

// TestExpiredTicket: a request to join with a ticket that has expired writes nothing into the log, however often it comes.
func TestExpiredTicket(t *testing.T) {
	f := &fleet{t: t, hosts: []*host{nil, newHost(t, nil)}}
	l := f.hosts[1]
	f.attach(l, 1)
	f.lost = func(from, _ Slot) bool { return from == 2 }
	f.join(2)
	f.hosts[2].step(Tick{l.now, 100})
	request := f.mail[len(f.mail)-1].data
	for range inviteMs/60_000 + 2 {
		l.now += 60_000
		l.step(Tick{l.now, 60_000})
	}
	before := l.c.parts[0].lastIndex
	for range 10 {
		l.step(Peer{FirstStranger, request})
	}
	if after := l.c.parts[0].lastIndex; after != before || l.c.slot(2) != nil {
		t.Errorf("%d entries were written", after-before)
	}
}

// TestLeaderRestartedEarly: a replica that knows nobody yet hears its leader also after that was started again from its disk.
func TestLeaderRestartedEarly(t *testing.T) {
	f := newFleet(t, 1, nil)
	f.lost = func(from, _ Slot) bool { return from == 1 && f.now.data[0] == peerFrame && len(f.now.data) > 250 } // snapshots are
	f.join(2)
	f.until("it has a place, and has heard of the leader", func() bool {
		return len(f.hosts[2].c.parts) > 0 && f.hosts[2].c.parts[0].leader != 0
	})
	if f.hosts[2].c.parts[0].applied > 0 {
		t.Fatal("it has got a snapshot already")
	}
	f.crash(1)
	f.restart(1)
	f.lost = nil
	f.until("it votes", func() bool { return f.votes(2) })
}
