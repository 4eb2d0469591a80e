// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A nonceRecorder notes what it is asked to seal with.
type nonceRecorder struct {
	cipher.AEAD
	seen map[string]bool
	t    *testing.T
}

func (n nonceRecorder) Seal(dst, nonce, plain, aad []byte) []byte {
	if n.seen[string(nonce)] {
		n.t.Errorf("nonce %x is used twice", nonce)
	}
	n.seen[string(nonce)] = true
	return n.AEAD.Seal(dst, nonce, plain, aad)
}

func TestPackFullOfSmallRecords(t *testing.T) {
	kr := NewKeyring(NewID())
	w := kr.NewPack(make([]byte, 0, MaxPackSize))
	nonces := nonceRecorder{w.aead, map[string]bool{}, t}
	w.aead = nonces
	for i := uint32(0); w.Fits(1); i++ {
		r := Record{ID: ContentID{31: 1}, Size: 1, Stored: 1}
		binary.BigEndian.PutUint32(r.ID[:], i)
		w.Append(r, []byte{1})
	}
	records := w.Len()
	panics(t, "a record too many", func() { w.Append(Record{ID: ContentID{1}, Size: 1, Stored: 1}, []byte{1}) })
	pack, data := w.Finish()
	if len(data) > MaxPackSize || len(data) < MaxPackSize*8/10 || cap(data) != MaxPackSize {
		t.Errorf("a full pack has %d bytes, of a buffer of %d", len(data), cap(data))
	}
	if len(nonces.seen) != records+2 {
		t.Errorf("%d nonces for %d records, an index and a trailer", len(nonces.seen), records)
	}
	got, err := kr.ReadIndex(pack.Name, int64(len(data)), data, data)
	if err != nil || len(got.Records) != records {
		t.Fatalf("%d records came back of %d: %v", len(got.Records), records, err)
	}
	if n := len(EncodeIndex([]Pack{pack})); n > IndexSizeOf(&pack) {
		t.Errorf("its index has %d bytes, over %d", n, IndexSizeOf(&pack))
	}
}

func TestPackFullOfLargeRecords(t *testing.T) {
	kr := NewKeyring(NewID())
	w := kr.NewPack(nil)
	content := make([]byte, MaxRecordSize)
	for w.Fits(len(content)) {
		w.Append(Record{ID: ContentID{1}, Size: MaxRecordSize, Stored: MaxRecordSize}, content)
	}
	if w.Len() != 3 {
		t.Errorf("%d records of 4 MiB in a pack", w.Len())
	}
	_, data := w.Finish()
	if _, contents, err := readPack(kr, data); err != nil || !bytes.Equal(contents[2], content) {
		t.Errorf("it does not come back: %v", err)
	}
}

// What a reader would refuse is not written.
func TestImpossibleRecordsAreNotWritten(t *testing.T) {
	id := ContentID{1}
	for name, r := range map[string]Record{
		"hole": {Size: 3, Stored: 3}, "empty": {ID: id}, "no size": {ID: id, Coding: Zstd, Stored: 3},
		"raw of another size": {ID: id, Size: 4, Stored: 3}, "unknown coding": {ID: id, Coding: 2, Size: 3, Stored: 3},
		"too large": {ID: id, Coding: Zstd, Size: MaxRecordSize + 1, Stored: 3}, "stored too large": {ID: id, Coding: Zstd, Size: 3, Stored: MaxRecordSize + 1},
	} {
		w := NewKeyring(NewID()).NewPack(nil)
		panics(t, name, func() { w.Append(r, make([]byte, r.Stored)) })
	}
	panics(t, "fewer bytes than described", func() { NewKeyring(NewID()).NewPack(nil).Append(Record{ID: id, Size: 3, Stored: 3}, []byte{1, 2}) })
}

// A pack's end says how much of it is to be read; that must be bounded, and be there.
func TestEndsOfPacks(t *testing.T) {
	kr := &Keyring{ID(specArchive), []masked{conceal(master1)}}
	for length, good := range map[uint32]bool{
		0: false, tagSize - 1: false, tagSize: true, MaxPackSize - HeaderSize - trailerSize: true, MaxPackSize - HeaderSize - trailerSize + 1: false, 1<<32 - 1: false,
	} {
		p := specPack{header: specHeader(tPack, 1, named("salt")), master: master1, length: func(uint32) uint32 { return length }}.bytes()
		n, err := kr.IndexSize(p[:HeaderSize], p[len(p)-trailerSize:])
		if good && (err != nil || n != int(length)+trailerSize) || !good && !errors.Is(err, ErrDamaged) {
			t.Errorf("an index of %d bytes is read as %d with its trailer: %v", length, n, err)
		}
	}
	pack, data := kr.NewPack(nil).Finish()
	head, n := data[:HeaderSize], len(data)
	for short := range n - HeaderSize {
		if _, err := kr.ReadIndex(pack.Name, int64(n), head, data[n-short:]); !errors.Is(err, ErrDamaged) {
			t.Errorf("an index in the last %d bytes: %v", short, err)
		}
	}
	for _, size := range []int64{-1 << 63, -1, 0, int64(n) - 1, int64(n) + 1, int64(n) + 1<<32, 1<<63 - 1} {
		if _, err := kr.ReadIndex(pack.Name, size, head, data); !errors.Is(err, ErrDamaged) {
			t.Errorf("a pack of %d bytes said to have %d: %v", n, size, err)
		}
	}
}

func TestFinishedPackSealsNothing(t *testing.T) {
	w := NewKeyring(NewID()).NewPack(nil)
	w.Finish()
	panics(t, "a record behind the end", func() { w.Append(Record{ID: ContentID{1}, Size: 1, Stored: 1}, []byte{1}) })
	panics(t, "a second end", func() { w.Finish() })
}

func TestObjectLimits(t *testing.T) {
	kr := NewKeyring(NewID())
	plain := make([]byte, MaxObjectSize-HeaderSize-4-tagSize)
	object := kr.Seal(TypeIndex, plain)
	if got, err := kr.Open(TypeIndex, object); err != nil || len(object) != MaxObjectSize || len(got) != len(plain) {
		t.Errorf("the largest object: %v", err)
	}
	panics(t, "a larger object", func() { kr.Seal(TypeIndex, append(plain, 0)) })
	header := specHeader(tIndex, 1, named("salt"))
	copy(header[8:], kr.archive[:])
	if _, err := kr.Open(TypeIndex, specObject(header, kr.secrets()[0], append(plain, 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a larger object, sealed all the same: %v", err)
	}
	panics(t, "a keyring as an object", func() { kr.Seal(TypeKeyring, nil) })
}

func TestEpochLimit(t *testing.T) {
	kr, key := NewKeyring(NewID()), NewKey()
	for kr.Epoch() < MaxEpochs {
		kr = kr.Next()
	}
	if again, err := UnwrapKeyring(kr.Archive(), key, kr.Wrap(key)); err != nil || again.Epoch() != MaxEpochs {
		t.Errorf("the largest keyring: %v", err)
	}
	if _, err := kr.Open(TypeHead, kr.Seal(TypeHead, nil)); err != nil {
		t.Errorf("an object of the last epoch: %v", err)
	}
	panics(t, "a keyring that no reader takes", func() { kr.Next() })
}

// Texts that come from outside never make an object that its reader refuses.
func TestTextsAreCut(t *testing.T) {
	long := strings.Repeat("a", 1<<20)
	s := Snapshot{Source: long, Problems: slices.Repeat([]Problem{{long, long, long}}, MaxProblems+1)}
	encoded := s.Encode()
	got, err := DecodeSnapshot(encoded)
	if err != nil || len(got.Problems) != MaxProblems || len(got.Source) != MaxText {
		t.Fatalf("a snapshot with long texts: %v", err)
	}
	NewKeyring(NewID()).Seal(TypeSnapshot, encoded)
	l := Lock{Host: long, Operation: long}
	if _, err := DecodeLock(l.Encode()); err != nil {
		t.Errorf("a lock with long texts: %v", err)
	}
}

func TestTimesAreMovedToTheEnds(t *testing.T) {
	for _, c := range []struct{ in, want time.Time }{
		{time.Time{}, time.Time{}.UTC()}, {time.Unix(-1<<40-1, 3), time.Unix(-1<<40, 3)}, {time.Unix(1<<62, 3), time.Unix(1<<40, 3)},
		{time.Unix(-1<<62, 0), time.Unix(-1<<40, 0)}, {time.Unix(-1, 1).In(time.FixedZone("", 3600)), time.Unix(-1, 1)},
	} {
		d := decoder{b: appendTime(nil, c.in)}
		if got := d.time(); d.end() != nil || !got.Equal(c.want) || got.Location() != time.UTC {
			t.Errorf("%v came back as %v, %v", c.in, got, d.err)
		}
	}
}

// A few bytes that announce much must not make a decoder take memory for it.
func TestAnnouncementsTakeNoMemory(t *testing.T) {
	announcements := [][]byte{num(1 << 20), num(1 << 26), num(1 << 32), num(1<<62 - 1), num(1<<64 - 1)}
	for _, v := range loadVectors(t) {
		if v.Expect != "success" || !slices.Contains([]string{"index", "leaf", "layer", "snapshot", "head", "lock"}, v.Kind) {
			continue
		}
		for i := range v.body {
			for _, a := range announcements {
				body := cat(v.body[:i], a, v.body[i+1:])
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, _ = readers[v.Kind](t, &vector{body: body})
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
					t.Fatalf("%s with a large number at byte %d makes the decoder take %d bytes for %d", v.name, i, n, len(body))
				}
			}
		}
	}
}
