// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"testing"
)

// TestFlood: a host that sends its core's handshakes again and again keeps no other out, and takes little memory.
func TestFlood(t *testing.T) {
	f := newFleet(t, 3, majority)
	f.same()
	l := f.leader(0)
	flooder, victim := l.slot%3+1, (l.slot+1)%3+1
	var hello []byte
	f.lost = func(from, to Slot) bool {
		if m := f.now; m.data[0] == peerHello && from == flooder && to == l.slot {
			hello = bytes.Clone(m.data)
		}
		return false
	}
	f.crash(flooder)
	f.restart(flooder)
	f.until("it votes again", func() bool { return f.votes(flooder) && hello != nil })
	f.lost = nil
	f.crash(victim)
	f.restart(victim)
	for range 40 {
		for n := range 200 {
			hello := bytes.Clone(hello)
			hello[2] = byte(n)
			f.mail = append([]mail{{from: flooder, to: l.slot, data: hello}}, f.mail...)
		}
		f.mail = append([]mail{{from: flooder, to: l.slot, data: hello}}, f.mail...)
		f.pass(100)
		if n := len(l.c.peers.handshakes); n > 3*maxAccepted {
			t.Fatalf("%d handshakes wait", n)
		}
	}
	if !f.votes(victim) {
		t.Error("another replica is kept out")
	}
}

// TestDoubledHandshake: messages that come twice, and late, end in a session all the same.
func TestDoubledHandshake(t *testing.T) {
	f := newFleet(t, 2, nil)
	f.same()
	f.crash(2)
	f.restart(2)
	f.double = true
	f.pass(500)
	first := f.hosts[1]
	if l := first.c.parts[0].sessionOf(f.hosts[2].c.parts[0].id); l == nil || l.incarnation != f.hosts[2].c.place.incarnation || l.received == 0 {
		t.Error("there is no session")
	}
	f.same()
}

// TestOldSessions: sessions with an incarnation that is gone, though it is a member, do not keep out the next one's.
func TestOldSessions(t *testing.T) {
	f := newFleet(t, 3, majority)
	f.same()
	l := f.leader(0)
	victim := l.slot%3 + 1
	gone := f.hosts[victim].c.place.incarnation
	for n := range byte(maxLinks) {
		i := &introduction{slot: victim, serial: f.hosts[victim].c.place.serial, incarnation: gone}
		l.c.peers.add(l.c, newLink(i, handshakeID{n}, make([]byte, 32), [32]byte{n}, true))
	}
	f.crash(victim)
	f.restart(victim)
	f.pass(2000)
	if !f.votes(victim) {
		t.Error("it is kept out")
	}
}
