// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// whole gives each sealed object with its reader.
func whole(t *testing.T) (objects map[string][]byte, read map[string]func([]byte) error) {
	t.Helper()
	key, archive := NewKey(), NewID()
	kr := NewKeyring(archive).Next()
	w := kr.NewPack(nil)
	for i := range 3 {
		content := bytes.Repeat([]byte{byte(i + 1)}, 20) // of one size, so that they could stand for each other
		w.Append(Record{ID: kr.Hasher().Content(content), Size: 20, Stored: 20}, content)
	}
	_, pack := w.Finish()
	objects = map[string][]byte{"keyring": kr.Wrap(key), "head": kr.Seal(TypeHead, []byte("of any contents")), "pack": pack}
	read = map[string]func([]byte) error{
		"keyring": func(b []byte) error { _, err := UnwrapKeyring(archive, key, b); return err },
		"head":    func(b []byte) error { _, err := kr.Open(TypeHead, b); return err },
		"pack":    func(b []byte) error { _, _, err := readPack(kr, b); return err },
	}
	for name, object := range objects {
		if err := read[name](object); err != nil {
			t.Fatalf("untouched %s: %v", name, err)
		}
	}
	return objects, read
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	objects, read := whole(t)
	for name, object := range objects {
		for i := range object {
			for bit := range 8 {
				altered := bytes.Clone(object)
				altered[i] ^= 1 << bit
				err := read[name](altered)
				if i == 6 && altered[6] != 0 {
					if !errors.Is(err, ErrVersion) {
						t.Errorf("%s with another version: %v", name, err)
					}
				} else if !errors.Is(err, ErrDamaged) {
					t.Errorf("%s with bit %d of byte %d flipped: %v", name, bit, i, err)
				}
			}
		}
	}
}

func TestEveryTruncationIsFound(t *testing.T) {
	objects, read := whole(t)
	for name, object := range objects {
		for n := range object {
			for _, part := range [][]byte{object[:n], object[n+1:], slices.Concat(object[:n], object[n+1:]), slices.Insert(bytes.Clone(object), n, 0)} {
				want := ErrDamaged
				if len(part) >= HeaderSize && string(part[:6]) == magic && part[6] > version {
					want = ErrVersion
				}
				if err := read[name](part); !errors.Is(err, want) {
					t.Fatalf("%s with a change of length at byte %d: %v", name, n, err)
				}
			}
		}
		if err := read[name](append(bytes.Clone(object), 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s with a byte more: %v", name, err)
		}
	}
}

func TestCanonicalEncodingsEndWhereTheyEnd(t *testing.T) {
	for _, v := range loadVectors(t) {
		if v.Expect != "success" || !slices.Contains([]string{"index", "leaf", "layer", "snapshot", "head", "lock"}, v.Kind) {
			continue
		}
		for n := range v.body {
			if _, err := readers[v.Kind](t, &vector{body: v.body[:n]}); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s cut at %d: %v", v.name, n, err)
			}
		}
	}
}

func TestNoObjectStandsForAnother(t *testing.T) {
	key, archive := NewKey(), NewID()
	kr := NewKeyring(archive)
	newer := kr.Next()
	types := []Type{TypeIndex, TypeSnapshot, TypeHead, TypeLock}
	for _, sealed := range types {
		object := kr.Seal(sealed, nil)
		for _, wanted := range types {
			if _, err := kr.Open(wanted, object); (err == nil) != (sealed == wanted) || err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("type %d opened as %d: %v", sealed, wanted, err)
			}
		}
		if _, err := newer.Open(sealed, object); err != nil {
			t.Errorf("an object of the epoch before: %v", err)
		}
		if _, err := kr.Open(sealed, newer.Seal(sealed, nil)); !errors.Is(err, ErrDamaged) {
			t.Errorf("an object of a later epoch: %v", err)
		}
		for name, other := range map[string]*Keyring{
			"another archive": {NewID(), kr.masters}, "another master key": {archive, NewKeyring(archive).masters},
			"masters in another order": {archive, []masked{newer.masters[1], newer.masters[0]}},
		} {
			if _, err := other.Open(sealed, object); !errors.Is(err, ErrDamaged) {
				t.Errorf("an object of %s: %v", name, err)
			}
		}
	}
	if _, err := UnwrapKeyring(NewID(), key, kr.Wrap(key)); !errors.Is(err, ErrDamaged) {
		t.Errorf("the keyring of another archive: %v", err)
	}
	if _, err := UnwrapKeyring(archive, NewKey(), kr.Wrap(key)); !errors.Is(err, ErrWrongKey) {
		t.Errorf("a keyring under another key: %v", err)
	}
	if bytes.Equal(kr.Wrap(key), kr.Wrap(key)) || bytes.Equal(kr.Seal(TypeHead, nil), kr.Seal(TypeHead, nil)) {
		t.Error("a salt was used twice")
	}
}

// The spliced objects are whole in each part, so only what binds the parts together can tell.
func TestRecordsStayWhereTheyWere(t *testing.T) {
	kr := NewKeyring(NewID())
	build := func() (Pack, []byte) {
		w := kr.NewPack(nil)
		for i := range 3 {
			content := bytes.Repeat([]byte{byte(i + 1)}, 20)
			w.Append(Record{ID: kr.Hasher().Content(content), Size: 20, Stored: 20}, content)
		}
		return w.Finish()
	}
	p1, pack1 := build()
	p2, pack2 := build()
	open := func(p *Pack, position uint32, sealed []byte) error {
		r, err := kr.PackReader(p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.OpenRecord(position, bytes.Clone(sealed))
		return err
	}
	p1.Each(func(i, at uint32, r *Record) {
		for j := range uint32(3) {
			if err := open(&p1, j, pack1[at:at+r.sealed()]); (err == nil) != (i == j) || err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("record %d opened as record %d: %v", i, j, err)
			}
			if err := open(&p2, j, pack1[at:at+r.sealed()]); !errors.Is(err, ErrDamaged) {
				t.Errorf("record %d opened as record %d of another pack: %v", i, j, err)
			}
		}
	})
	for name, other := range map[string]Pack{
		"later epoch": {Salt: p1.Salt, Epoch: 2}, "no epoch": {Salt: p1.Salt},
	} {
		if _, err := kr.PackReader(&other); !errors.Is(err, ErrDamaged) {
			t.Errorf("reader of a pack of %s: %v", name, err)
		}
	}
	// Each part of the one pack in the place of the other's.
	cuts := []int{0, HeaderSize, HeaderSize + 36, HeaderSize + 72, HeaderSize + 108, len(pack1) - trailerSize, len(pack1)}
	for i := range len(cuts) - 1 {
		mixed := bytes.Clone(pack1)
		copy(mixed[cuts[i]:cuts[i+1]], pack2[cuts[i]:])
		if _, _, err := readPack(kr, mixed); !errors.Is(err, ErrDamaged) {
			t.Errorf("bytes %d to %d of another pack: %v", cuts[i], cuts[i+1], err)
		}
	}
}

func TestEpochOf(t *testing.T) {
	kr := NewKeyring(NewID())
	for range 3 {
		for _, object := range [][]byte{kr.Seal(TypeHead, nil), kr.Wrap(NewKey())} {
			if epoch, err := EpochOf(kr.Archive(), Type(object[7]), object); epoch != kr.Epoch() || err != nil {
				t.Errorf("epoch %d is told as %d, %v", kr.Epoch(), epoch, err)
			}
		}
		kr = kr.Next()
	}
	for what, object := range map[string][]byte{
		"another type": kr.Seal(TypeLock, nil), "no object": nil,
		"no epoch": with(kr.Seal(TypeHead, nil), 24, be32(0)...), "too many epochs": with(kr.Seal(TypeHead, nil), 24, be32(MaxEpochs+1)...),
	} {
		if _, err := EpochOf(kr.Archive(), TypeHead, object); !errors.Is(err, ErrDamaged) {
			t.Errorf("the epoch of %s: %v", what, err)
		}
	}
}
