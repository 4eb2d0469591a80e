// SPDX-License-Identifier: Apache-2.0

package sealtest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/coffer-backup/coffer/seal"
)

// A secret of this content would be seen in the sealed bytes if it stood there as it is.
var (
	secret = []byte("the one small secret of a vault node, 0123456789")
	aad    = []byte("fleet 7, replica 2, epoch 41")
)

func testRoundTrip(f *fixture) {
	id := f.newKey()
	if _, err := seal.ParseKeyID(string(id)); err != nil {
		f.Fatalf("%q: %v", id, err)
	}
	for _, a := range [][]byte{aad, nil, {0}} {
		f.opens(id, f.seal(id, secret, a), a, secret)
	}
	sealed, again := f.seal(id, secret, aad), f.seal(id, secret, aad)
	if bytes.Equal(sealed, again) {
		f.Error("sealing twice gives the same bytes")
	}
	if bytes.Contains(sealed, secret[:8]) {
		f.Error("the secret can be read in the sealed bytes")
	}
	f.opens(id, sealed, aad, secret)
	f.opens(id, again, aad, secret)
	// An absent and an empty aad are the same.
	f.opens(id, f.seal(id, secret, nil), []byte{}, secret)
}

func testSlices(f *fixture) {
	id := f.newKey()
	s, a := slices.Clone(secret), slices.Clone(aad)
	sealed, err := f.Seal(f.Context(), id, s, a)
	f.check(err)
	if !bytes.Equal(s, secret) || !bytes.Equal(a, aad) {
		f.Fatal("Seal changed what it was given")
	}
	clear(s)
	clear(a)
	kept := slices.Clone(sealed)
	f.opens(id, sealed, aad, secret)
	if !bytes.Equal(sealed, kept) {
		f.Fatal("Open changed the sealed bytes")
	}
	got, err := f.Open(f.Context(), id, sealed, aad)
	f.check(err)
	clear(got) // as a caller does that has used it
	f.opens(id, sealed, aad, secret)
}

func testWrongAAD(f *fixture) {
	id := f.newKey()
	sealed := f.seal(id, secret, aad)
	for _, a := range [][]byte{nil, {}, aad[1:], aad[:len(aad)-1], append(slices.Clone(aad), 0), []byte(id)} {
		f.refuses(seal.ErrTampered, id, sealed, a)
	}
	f.refuses(seal.ErrTampered, id, sealed, make([]byte, seal.MaxAAD+1))
	f.refuses(seal.ErrTampered, id, f.seal(id, secret, nil), aad)
	f.opens(id, sealed, aad, secret)
}

func testWrongKey(f *fixture) {
	id, other := f.newKey(), f.newKey()
	if id == other {
		f.Fatal("two keys of one id")
	}
	f.refuses(seal.ErrTampered, other, f.seal(id, secret, aad), aad)
	// Where the id and the aad meet must be clear.
	joined := append([]byte(id), aad...)
	f.refuses(seal.ErrTampered, other, f.seal(id, secret, joined), aad)
}

func testAltered(f *fixture) {
	id := f.newKey()
	sealed := f.seal(id, secret, aad)
	for i := range sealed {
		b := slices.Clone(sealed)
		b[i] ^= 1 << (i % 8)
		f.refuses(seal.ErrTampered, id, b, aad)
		f.refuses(seal.ErrTampered, id, sealed[:i], aad)
	}
	f.refuses(seal.ErrTampered, id, nil, aad)
	f.refuses(seal.ErrTampered, id, append(slices.Clone(sealed), 0), aad)
	f.refuses(seal.ErrTampered, id, append(slices.Clone(sealed), sealed...), aad)
	f.refuses(seal.ErrTampered, id, make([]byte, seal.MaxSealed), aad)
	f.refuses(seal.ErrTampered, id, make([]byte, seal.MaxSealed+1), aad)
	f.opens(id, sealed, aad, secret)
}

func testSizes(f *fixture) {
	id := f.newKey()
	for _, size := range []int{1, 15, 16, 17, 32, 4000, seal.MaxSecret} {
		s, a := bytes.Repeat([]byte{7}, size), bytes.Repeat([]byte{8}, min(size, seal.MaxAAD))
		sealed := f.seal(id, s, a)
		if len(sealed) > seal.MaxSealed {
			f.Errorf("%d bytes were sealed into %d", size, len(sealed))
		}
		f.opens(id, sealed, a, s)
	}
	for _, size := range []struct{ secret, aad int }{{0, 1}, {seal.MaxSecret + 1, 1}, {1, seal.MaxAAD + 1}} {
		sealed, err := f.Seal(f.Context(), id, make([]byte, size.secret), make([]byte, size.aad))
		f.is(err, seal.ErrSize)
		if sealed != nil {
			f.Error("bytes came back with an error")
		}
	}
}

func testNoKey(f *fixture) {
	id := f.newKey()
	sealed := f.seal(id, secret, aad)
	// The last are no ids at all: one that a driver makes a path or a label of must not leave its place.
	for _, absent := range []seal.KeyID{
		seal.KeyID(strings.Repeat("0", 32)), seal.KeyID(strings.ToUpper(string(id))),
		"", id[1:], id + "0", "../" + id, "./" + id, id + "\x00", "*", "%",
	} {
		if absent == id {
			continue // an id of digits only has no upper case
		}
		f.refuses(seal.ErrNoKey, absent, sealed, aad)
		_, err := f.Seal(f.Context(), absent, secret, aad)
		f.is(err, seal.ErrNoKey)
		f.check(f.Destroy(f.Context(), absent))
	}
	f.opens(id, sealed, aad, secret)
}

func testTier(f *fixture) {
	tier := f.Tier()
	if !slices.Contains([]seal.Tier{seal.Software, seal.PKCS11, seal.TPM2}, tier) {
		f.Errorf("tier %q", tier)
	}
	f.reopen()
	if f.Tier() != tier {
		f.Errorf("tier %q became %q", tier, f.Tier())
	}
}
