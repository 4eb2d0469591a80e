// SPDX-License-Identifier: Apache-2.0

package core

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// A manifest says what a replica's state is made of: a snapshot at a base index, whose buckets may already hold entries after
// it, each up to an index of its own; and the log from there on. Its head is in the clear, because it names the sealer's
// key that opens the rest.
type manifest struct {
	fleet      wire.FleetID
	secret     [32]byte
	epoch      uint64
	generation uint8
	partition  wire.Partition
	policy     wire.Policy
	base, term uint64 // of the last entry before the log
	clock      wire.UnixMs
	voters     []uint64
	buckets    []bucketMark
}

// bucketMark names the record of a bucket and holds its key. All keys of a replica are in this one table, which is
// sealed anew under each epoch's key: a bucket that was rewritten or emptied can never be opened again.
type bucketMark struct {
	number uint16
	epoch  uint64
	key    [32]byte
}

// manifestMark is what is remembered of the manifest on stable storage.
type manifestMark struct {
	base  uint64
	epoch epochKey
	at    wire.UnixMs // by the vault's clock
}

const (
	maxVoters  = 16
	maxKeyID   = 255
	maxSealed  = 8192
	manifestV1 = 1
)

func (m *manifest) encode() []byte {
	var b cryptobyte.Builder
	b.AddUint8(manifestV1)
	b.AddBytes(m.fleet[:])
	b.AddBytes(m.secret[:])
	b.AddUint64(m.epoch)
	b.AddUint8(m.generation)
	b.AddUint16(uint16(m.partition))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.policy.Append(nil)) })
	b.AddUint64(m.base)
	b.AddUint64(m.term)
	b.AddUint64(uint64(m.clock))
	b.AddUint8(uint8(len(m.voters)))
	for _, v := range m.voters {
		b.AddUint64(v)
	}
	b.AddUint16(uint16(len(m.buckets)))
	for _, k := range m.buckets {
		b.AddUint16(k.number)
		b.AddUint64(k.epoch)
		b.AddBytes(k.key[:])
	}
	return b.BytesOrPanic()
}

func decodeManifest(encoded []byte) (*manifest, error) {
	m, s := new(manifest), cryptobyte.String(encoded)
	var version, voters uint8
	var policy cryptobyte.String
	var count uint16
	ok := s.ReadUint8(&version) && version == manifestV1 &&
		s.CopyBytes(m.fleet[:]) && s.CopyBytes(m.secret[:]) && s.ReadUint64(&m.epoch) && s.ReadUint8(&m.generation) &&
		s.ReadUint16((*uint16)(&m.partition)) && s.ReadUint16LengthPrefixed(&policy) &&
		s.ReadUint64(&m.base) && s.ReadUint64(&m.term) && s.ReadUint64((*uint64)(&m.clock)) &&
		s.ReadUint8(&voters) && voters <= maxVoters
	for range voters {
		var v uint64
		ok = ok && s.ReadUint64(&v)
		m.voters = append(m.voters, v)
	}
	ok = ok && s.ReadUint16(&count) && count <= bucketCount
	for last := -1; ok && count > 0; count-- {
		var k bucketMark
		ok = s.ReadUint16(&k.number) && s.ReadUint64(&k.epoch) && s.CopyBytes(k.key[:]) &&
			int(k.number) > last && k.number < bucketCount
		last = int(k.number)
		m.buckets = append(m.buckets, k)
	}
	if !ok || !s.Empty() {
		return nil, damaged("the manifest cannot be read")
	}
	p, err := wire.ParsePolicy(policy)
	if err != nil {
		return nil, damaged("the policy cannot be read")
	}
	m.policy = *p
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

// openEpoch reads the head of a record and has its epoch key opened. It returns what follows the head.
func openEpoch(record []byte, unseal Unseal) (e epochKey, head, rest []byte, err error) {
	s := cryptobyte.String(record)
	var number uint64
	var id, sealed cryptobyte.String
	if !s.ReadUint64(&number) || !s.ReadUint8LengthPrefixed(&id) || !s.ReadUint16LengthPrefixed(&sealed) || len(sealed) > maxSealed {
		return e, nil, nil, damaged("an epoch's head cannot be read")
	}
	key, err := unseal(string(id), sealed, epochAAD(number))
	if err != nil {
		return e, nil, nil, err
	}
	defer clear(key)
	if len(key) != 32 {
		return e, nil, nil, damaged("an epoch key is not a key")
	}
	sealed = append([]byte(nil), sealed...)
	return newEpochKey(number, string(id), sealed, [32]byte(key)), record[:len(record)-len(s)], s, nil
}
