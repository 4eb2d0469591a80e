// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// fuzzFleet is a fleet of three, and what their hosts carry in half a minute in which one of them is started again and a fourth joins.
func fuzzFleet(t testing.TB) (*fleet, [][]byte) {
	f := newFleet(t, 3, majority)
	var carried [][]byte
	kinds := map[byte]int{}
	f.lost = func(Slot, Slot) bool {
		if kind := f.now.data[0]; kinds[kind] < 8 {
			kinds[kind]++
			carried = append(carried, f.now.data)
		}
		return false
	}
	f.crash(2)
	f.restart(2)
	f.join(4)
	f.pass(30_000)
	f.lost = nil
	return f, carried
}

// once tells that what a decoder takes has one encoding.
func once(t *testing.T, encoded []byte, add func(*cryptobyte.Builder)) {
	t.Helper()
	var b cryptobyte.Builder
	add(&b)
	if got := b.BytesOrPanic(); !bytes.Equal(got, encoded) {
		t.Fatalf("%x is read, and %x is written", encoded, got)
	}
}

func FuzzGroup(f *testing.F) {
	fleet, _ := fuzzFleet(f)
	for _, g := range []*group{new(group), &fleet.leader(0).c.parts[0].group} {
		var b cryptobyte.Builder
		g.add(&b)
		f.Add(b.BytesOrPanic())
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		g, s := newGroup(), cryptobyte.String(encoded)
		if g.read(&s) {
			once(t, encoded[:len(encoded)-len(s)], g.add)
		}
	})
}

func FuzzChange(f *testing.F) {
	for k := changeAdmit; k <= changeRemove; k++ {
		var b cryptobyte.Builder
		(&change{kind: k, slot: 3, serial: 7, id: 9, host: []byte("host")}).add(&b)
		f.Add(b.BytesOrPanic())
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		m, s := new(change), cryptobyte.String(encoded)
		if m.read(&s) {
			once(t, encoded, m.add)
			g := newGroup()
			g.apply(m, 100, 1) // whatever it says
		}
	})
}

func FuzzIntroduction(f *testing.F) {
	fleet, _ := fuzzFleet(f)
	var b cryptobyte.Builder
	fleet.hosts[2].c.place.introduce().add(&b)
	f.Add(b.BytesOrPanic())
	f.Fuzz(func(t *testing.T, encoded []byte) {
		n, s := new(introduction), cryptobyte.String(encoded)
		if n.read(&s) {
			once(t, encoded[:len(encoded)-len(s)], n.add)
			if n.check(&fleet.hosts[1].c.identity) && !bytes.Equal(encoded[:introductionSize], b.BytesOrPanic()[:introductionSize]) {
				t.Fatal("another introduction is good")
			}
		}
	})
}

func FuzzJoinTicket(f *testing.F) {
	fleet, _ := fuzzFleet(f)
	f.Add(fleet.leader(0).c.newTicket(9).encode())
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if ticket, err := decodeTicket(encoded); err == nil {
			once(t, encoded, func(b *cryptobyte.Builder) { b.AddBytes(ticket.encode()) })
		}
	})
}

func FuzzManifest(f *testing.F) {
	fleet, _ := fuzzFleet(f)
	c := fleet.hosts[1].c
	f.Add(c.newManifest(c.marks()).encode())
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if m, err := decodeManifest(encoded); err == nil {
			once(t, encoded, func(b *cryptobyte.Builder) { b.AddBytes(m.encode()) })
		}
	})
}

// FuzzPeer gives a core what a host may make up: no core ends by it, or writes anything.
func FuzzPeer(f *testing.F) {
	fleet, carried := fuzzFleet(f)
	for _, data := range carried {
		f.Add(uint16(2), data)
		f.Add(uint16(FirstStranger), data[:len(data)/2])
	}
	h := fleet.leader(0)
	f.Fuzz(func(t *testing.T, from uint16, data []byte) {
		h.t = t
		before := h.c.lastSeq
		h.step(Peer{Slot(from), data})
		if h.c.lastSeq != before {
			t.Error("it stores something")
		}
		h.step(Tick{h.now, 0})
		if n := len(h.c.peers.handshakes); n > 10*maxAccepted {
			t.Errorf("%d handshakes wait", n)
		}
	})
}

// FuzzChunks gives a core the parts of a snapshot that another might send: at worst it takes none.
func FuzzChunks(f *testing.F) {
	h := newHost(f, nil)
	p := h.c.parts[0]
	id := transferID{1}
	part := func(n byte, last byte, data []byte) []byte {
		return slices.Concat(id[:], []byte{0, 0, 0, 0, 0, 0, 0, n, last}, data)
	}
	f.Add(part(0, 0, []byte{0, 0, 0, 2, 8, 7}), part(1, 1, appendBucket(nil, 3, &bucket{accounts: []account{{wire.AccountID{1}, "abc"}}})))
	f.Add(part(0, 0, []byte{0, 0, 0}), part(1, 0, []byte{2, 8, 7, 0}))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		l := &link{}
		p.incoming = nil
		for _, body := range [][]byte{one, two} {
			if err := p.takeChunk(l, body); err != nil {
				t.Fatal(err)
			}
		}
		if in := p.incoming; in != nil && len(in.buffer) > len(one)+len(two) {
			t.Error("it keeps more than it was given")
		}
		p.takeAck(l, one)
	})
}
