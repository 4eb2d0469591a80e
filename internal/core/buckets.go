// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// bucketCount is how many parts a replica's snapshot has, all partitions together. Only those that changed are written again.
const bucketCount = 4096

// buckets holds a partition's accounts, each as its encoding, sorted within a bucket: compact, and always met in the same order.
type buckets struct {
	list  []bucket
	count uint64
}

func newBuckets(n uint16) buckets { return buckets{list: make([]bucket, n)} }

type bucket struct {
	accounts []account
	applied  uint64 // entries up to this index are in the accounts
	dirty    bool   // changed since it was last written

	epoch uint64   // of the record that holds it; 0: there is none
	key   [32]byte // of that record
}

type account struct {
	id      wire.AccountID
	encoded string
}

// bucketOf spreads accounts by a hash that only the fleet can compute: the host sees bucket numbers.
func (i *identity) bucketOf(id wire.AccountID) uint16 {
	mac := hmac.New(sha256.New, i.bucketKey[:])
	mac.Write(id[:])
	return binary.BigEndian.Uint16(mac.Sum(nil)) % i.buckets
}

func (b *bucket) search(id wire.AccountID) (int, bool) {
	return slices.BinarySearchFunc(b.accounts, id, func(a account, id wire.AccountID) int {
		return slices.Compare(a.id[:], id[:])
	})
}

// get returns an account's encoding, "" for one that never was.
func (b *bucket) get(id wire.AccountID) string {
	if i, ok := b.search(id); ok {
		return b.accounts[i].encoded
	}
	return ""
}

// set stores an account's encoding and reports whether the account is new.
func (b *bucket) set(id wire.AccountID, encoded string) (added bool) {
	b.dirty = true
	i, ok := b.search(id)
	if ok {
		b.accounts[i].encoded = encoded
	} else {
		b.accounts = slices.Insert(b.accounts, i, account{id, encoded})
	}
	return !ok
}

// encode returns what is stored of a bucket.
func (b *bucket) encode() []byte {
	size := 16
	for _, a := range b.accounts {
		size += len(a.id) + 2 + len(a.encoded)
	}
	enc := cryptobyte.NewFixedBuilder(make([]byte, 0, size))
	enc.AddUint64(b.applied)
	enc.AddUint32(uint32(len(b.accounts)))
	for _, a := range b.accounts {
		enc.AddBytes(a.id[:])
		enc.AddUint16LengthPrefixed(func(e *cryptobyte.Builder) { e.AddBytes([]byte(a.encoded)) })
	}
	return enc.BytesOrPanic()
}

// decode fills an empty bucket with what encode gave.
func (b *bucket) decode(encoded []byte) error {
	s := cryptobyte.String(encoded)
	var n uint32
	if !s.ReadUint64(&b.applied) || !s.ReadUint32(&n) || uint64(n)*34 > uint64(len(s)) {
		return damaged("a bucket cannot be read")
	}
	b.accounts = make([]account, n)
	for i := range b.accounts {
		var v cryptobyte.String
		a := &b.accounts[i]
		if !s.CopyBytes(a.id[:]) || !s.ReadUint16LengthPrefixed(&v) ||
			i > 0 && slices.Compare(b.accounts[i-1].id[:], a.id[:]) >= 0 {
			return damaged("a bucket cannot be read")
		}
		a.encoded = string(v)
	}
	if !s.Empty() {
		return damaged("a bucket cannot be read")
	}
	return nil
}
