// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// Under the policy counter a core that is stopped in order keeps its place. Its last act is one sealed record, the farewell: who this incarnation was, and what
// exactly it had stored. The record is sealed under a key of the sealer that was made for it alone. Having handed it out the core never does anything again.
//
// Each boot opens the record, if it can, and then has the sealer destroy every key that the manifest does not need, before it sends or stores anything: so the
// farewell is used up by the first boot from any copy of the disk, whether that boot had it or not. Who finds no key for it has no place, and is admitted by the majority.
// A stop that was aborted leaves a key and no record, or a record and a key that the next boot destroys.
//
// What is stored may be exchanged for something older while the core is down, so the farewell has digests of all of it.

// ErrNoKey is what an Unseal returns, perhaps wrapped, if the sealer has no such key any more.
var ErrNoKey = errors.New("the sealer has no such key")

const farewellV1 = 1

// farewellAAD is what the key of a farewell is sealed with.
func farewellAAD() []byte { return []byte(wire.DomainFarewell) }

// wantsFarewell tells whether the core has come to its end, and has yet to say so.
func (c *Core) wantsFarewell() bool {
	return c.stopping && !c.frozen && c.identity.policy.Restart == wire.RestartCounter &&
		len(c.requests) == 0 && len(c.unsynced) == 0 && c.rotation == nil && c.keepsPlace()
}

// keepsPlace tells whether there is a place to be kept in every partition. One that was admitted and has no snapshot yet is not in the manifest.
func (c *Core) keepsPlace() bool {
	return len(c.parts) > 0 && !slices.ContainsFunc(c.parts, func(p *partition) bool { return p.node == nil || p.base == 0 || p.install != nil })
}

// freeze ends all that the core does but its farewell, for which it asks for a key.
func (c *Core) freeze() {
	c.frozen = true
	c.emit(Rotate{0, farewellAAD()})
}

// farewell is handed out for storage under its key.
func (c *Core) farewell(in NewEpoch) {
	var b cryptobyte.Builder
	b.AddUint8(farewellV1)
	b.AddBytes(c.manifest.digest[:])
	b.AddBytes(c.place.bootSeed[:])
	for _, p := range c.parts {
		b.AddUint64(p.id)
		b.AddBytes(logDigest(p.hard, p.tail(p.base)))
	}
	plain := b.BytesOrPanic()
	defer clear(plain)
	head := (&epochKey{keyID: in.KeyID, sealed: in.Sealed}).head()
	sealed := c.seal(newGCM(wire.DeriveKey(in.Key[:], wire.DomainFarewell, nil)), plain, []byte(wire.DomainFarewell), head)
	// Raft's states, too: their stored commits may be older than those that the digests are over.
	puts := append(c.stateRecords(), Record{[]byte(keyFarewell), append(head, sealed...)})
	c.persist(Persist{Puts: puts}, unsynced{then: func() { c.gone = true }})
}

// logDigest is over raft's state, and the log after the base.
func logDigest(hard hardState, log []*raftpb.Entry) []byte {
	h := sha256.New()
	var b cryptobyte.Builder
	b.AddUint64(hard.term)
	b.AddUint64(hard.vote)
	b.AddUint64(hard.commit)
	h.Write(b.BytesOrPanic())
	for _, e := range log {
		var b cryptobyte.Builder
		b.AddUint32LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(encodeEntry(e)) })
		h.Write(b.BytesOrPanic())
	}
	return h.Sum(nil)
}

// openedFarewell is what a boot has found.
type openedFarewell struct {
	manifest [32]byte
	bootSeed [32]byte
	ids      []uint64
	digests  [][]byte
}

// addFarewell opens a farewell. One whose key is gone was used, by this disk or by a copy of it.
func (l *Loader) addFarewell(r Record) error {
	l.c.hasFarewell = true
	head, _, rest, err := openHead(r.Value)
	if err != nil {
		return err
	}
	key, err := l.unseal(head.keyID, head.sealed, farewellAAD())
	if errors.Is(err, ErrNoKey) {
		l.c.note("the planned stop that this disk tells of was used already, by this disk or by a copy of it: this boot has no place but what the majority gives it")
		return nil
	}
	if err != nil {
		return err
	}
	defer clear(key)
	plain, err := unseal(newGCM(wire.DeriveKey(key, wire.DomainFarewell, nil)), rest, []byte(wire.DomainFarewell), r.Value[:len(r.Value)-len(rest)])
	if err != nil {
		return err
	}
	defer clear(plain)
	f, s := new(openedFarewell), cryptobyte.String(plain)
	var version uint8
	ok := s.ReadUint8(&version) && version == farewellV1 && s.CopyBytes(f.manifest[:]) && s.CopyBytes(f.bootSeed[:])
	for range l.c.parts {
		var id uint64
		var digest []byte
		ok = ok && s.ReadUint64(&id) && s.ReadBytes(&digest, sha256.Size)
		f.ids, f.digests = append(f.ids, id), append(f.digests, bytes.Clone(digest))
	}
	if !ok || !s.Empty() {
		return damaged("a farewell cannot be read")
	}
	l.farewell = f
	return nil
}

// vouches tells whether the farewell is of exactly what was loaded. The disk must not have been exchanged for an older one in between.
func (f *openedFarewell) vouches(l *Loader) error {
	if f.manifest != l.c.manifest.digest || l.next != nil {
		return damaged("the disk is not as it was at the planned stop")
	}
	for n, p := range l.c.parts {
		if f.ids[n] != p.id || !bytes.Equal(f.digests[n], logDigest(p.stoppedHard, p.loaded)) {
			return damaged("partition %d is not as it was at the planned stop", n)
		}
	}
	return nil
}

// note has something written to the operator's log.
func (c *Core) note(text string) { c.emit(Note{text}) }
