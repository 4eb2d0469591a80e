// SPDX-License-Identifier: Apache-2.0

package core

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// A manifest says what a replica's state is made of: who it is, and of each partition a snapshot at a base index, whose buckets may already hold entries after
// it, each up to an index of its own; and the log from there on. Its head is in the clear, because it names the sealer's
// key that opens the rest.
type manifest struct {
	fleet      wire.FleetID
	secret     [32]byte
	epoch      uint64
	generation uint8
	policy     wire.Policy
	place      place
	parts      []partMark // of every partition, in their order
	buckets    []bucketMark
}

// partMark is a partition in a manifest. An id of 0: this replica is not admitted to it, and the rest is empty.
type partMark struct {
	id         uint64
	base, term uint64 // of the last entry before the log
	clock      wire.UnixMs
	group      group
}

// bucketMark names the record of a bucket and holds its key. All keys of a replica are in this one table, which is
// sealed anew under each epoch's key: a bucket that was rewritten or emptied can never be opened again.
type bucketMark struct {
	partition wire.Partition
	number    uint16
	epoch     uint64
	key       [32]byte
}

func (k bucketMark) place() uint32 { return uint32(k.partition)<<16 | uint32(k.number) }

// manifestMark is what is remembered of the manifest on stable storage.
type manifestMark struct {
	epoch  epochKey
	at     wire.UnixMs // by the vault's clock
	digest [32]byte    // of the record
}

const (
	maxKeyID   = 255
	maxSealed  = 8192
	manifestV1 = 1
)

func (m *manifest) encode() []byte {
	var b cryptobyte.Builder
	b.AddUint8(manifestV1)
	m.addIdentity(&b)
	m.place.add(&b)
	for i := range m.parts {
		k := &m.parts[i]
		b.AddUint64(k.id)
		b.AddUint64(k.base)
		b.AddUint64(k.term)
		b.AddUint64(uint64(k.clock))
		k.group.add(&b)
	}
	b.AddUint16(uint16(len(m.buckets)))
	for _, k := range m.buckets {
		b.AddUint16(uint16(k.partition))
		b.AddUint16(k.number)
		b.AddUint64(k.epoch)
		b.AddBytes(k.key[:])
	}
	return b.BytesOrPanic()
}

// addIdentity encodes what every replica of a fleet is told.
func (m *manifest) addIdentity(b *cryptobyte.Builder) {
	b.AddBytes(m.fleet[:])
	b.AddBytes(m.secret[:])
	b.AddUint64(m.epoch)
	b.AddUint8(m.generation)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.policy.Append(nil)) })
}

func (m *manifest) readIdentity(s *cryptobyte.String) bool {
	var policy cryptobyte.String
	if !s.CopyBytes(m.fleet[:]) || !s.CopyBytes(m.secret[:]) || !s.ReadUint64(&m.epoch) || !s.ReadUint8(&m.generation) ||
		!s.ReadUint16LengthPrefixed(&policy) {
		return false
	}
	p, err := wire.ParsePolicy(policy)
	if err != nil {
		return false
	}
	m.policy = *p
	return true
}

func decodeManifest(encoded []byte) (*manifest, error) {
	m, s := new(manifest), cryptobyte.String(encoded)
	var version uint8
	ok := s.ReadUint8(&version) && version == manifestV1 && m.readIdentity(&s) && m.place.read(&s)
	for n := 0; ok && n < int(m.policy.Partitions); n++ {
		var k partMark
		ok = s.ReadUint64(&k.id) && s.ReadUint64(&k.base) && s.ReadUint64(&k.term) && s.ReadUint64((*uint64)(&k.clock)) && k.group.read(&s)
		m.parts = append(m.parts, k)
	}
	var count uint16
	ok = ok && s.ReadUint16(&count) && count <= bucketCount
	for last := int64(-1); ok && count > 0; count-- {
		var k bucketMark
		ok = s.ReadUint16((*uint16)(&k.partition)) && s.ReadUint16(&k.number) && s.ReadUint64(&k.epoch) && s.CopyBytes(k.key[:]) &&
			int64(k.place()) > last && uint16(k.partition) < m.policy.Partitions && k.number < bucketCount/m.policy.Partitions
		last = int64(k.place())
		m.buckets = append(m.buckets, k)
	}
	if !ok || !s.Empty() {
		return nil, damaged("the manifest cannot be read")
	}
	return m, nil
}

// head is the part of an epoch's record that is in the clear.
func (e *epochKey) head() []byte {
	var b cryptobyte.Builder
	b.AddUint64(e.number)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(e.keyID)) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.sealed) })
	return b.BytesOrPanic()
}

// openHead reads the head of a record. It returns what follows, too.
func openHead(record []byte) (e epochKey, head, rest []byte, err error) {
	s := cryptobyte.String(record)
	var id, sealed cryptobyte.String
	if !s.ReadUint64(&e.number) || !s.ReadUint8LengthPrefixed(&id) || !s.ReadUint16LengthPrefixed(&sealed) || len(sealed) > maxSealed {
		return e, nil, nil, damaged("a head cannot be read")
	}
	e.keyID, e.sealed = string(id), append([]byte(nil), sealed...)
	return e, record[:len(record)-len(s)], s, nil
}

// openEpoch reads the head of a record and has its epoch key opened. It returns what follows the head.
func openEpoch(record []byte, unseal Unseal) (e epochKey, head, rest []byte, err error) {
	e, head, rest, err = openHead(record)
	if err != nil {
		return e, nil, nil, err
	}
	key, err := unseal(e.keyID, e.sealed, epochAAD(e.number))
	if err != nil {
		return e, nil, nil, err
	}
	defer clear(key)
	if len(key) != 32 {
		return e, nil, nil, damaged("an epoch key is not a key")
	}
	return newEpochKey(e.number, e.keyID, e.sealed, [32]byte(key)), head, rest, nil
}
