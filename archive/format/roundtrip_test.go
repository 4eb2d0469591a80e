// SPDX-License-Identifier: Apache-2.0

package format

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// rapid prints the seed of a failure; -rapid.seed takes it back.

var (
	moments = rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-maxSeconds, maxSeconds).Draw(t, "seconds"), rapid.Int64Range(0, nanos-1).Draw(t, "nanos")).UTC()
	})
	texts  = rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 64), func(b []byte) string { return string(b) })
	counts = rapid.Uint64Range(0, 1<<62)
)

func drawHash(t *rapid.T) [32]byte {
	return [32]byte(named(rapid.StringN(0, 8, -1).Draw(t, "hash")))
}

var hashes = rapid.Custom(drawHash)

func hashesOf[H ~[32]byte](t *rapid.T, n int) []H {
	list := make([]H, n)
	for i := range list {
		list[i] = H(drawHash(t))
	}
	return list
}

func drawEntry(t *rapid.T, path string) Entry {
	e := Entry{
		Path: path, Type: rapid.SampledFrom([]EntryType{TypeDir, TypeDir, TypeFile, TypeSymlink, TypeDatabase}).Draw(t, "type"),
		Mode: rapid.Uint32Range(0, ModeMask).Draw(t, "mode"), ModTime: moments.Draw(t, "time"),
	}
	switch e.Type {
	case TypeFile:
		e.Sparse = rapid.Bool().Draw(t, "sparse")
		e.Size = rapid.OneOf(rapid.Int64Range(0, 70*SegmentSize), rapid.SampledFrom([]int64{
			0, 1, SegmentSize, SegmentSize + 1, MaxInlineIDs * SegmentSize, MaxInlineIDs*SegmentSize + 1, ListSegments * SegmentSize, ListSegments*SegmentSize + 1,
		})).Draw(t, "size")
		e.Segments = hashesOf[ContentID](t, e.segmentIDs())
	case TypeSymlink:
		e.Target = texts.Draw(t, "target")
	case TypeDatabase:
		e.PageSize = 512 << rapid.IntRange(0, 7).Draw(t, "page size")
		e.Size = int64(e.PageSize) * rapid.Int64Range(0, 1<<32-1).Draw(t, "pages")
		e.Layers = hashesOf[ContentID](t, rapid.IntRange(0, MaxLayers).Draw(t, "layers"))
	}
	return e
}

func drawRecords(t *rapid.T, limit uint32) (records []Record) {
	for range rapid.IntRange(0, 5).Draw(t, "records") {
		r := Record{ID: drawHash(t), Coding: Raw, Size: rapid.Uint32Range(1, limit).Draw(t, "size")}
		if r.Stored = r.Size; rapid.Bool().Draw(t, "compressed") {
			r.Coding, r.Stored = Zstd, rapid.Uint32Range(1, limit).Draw(t, "stored")
		}
		records = append(records, r)
	}
	return records
}

// roundTrip checks that a value comes back as it was, and that its encoding is as the encoding of what came back.
func roundTrip[V any](t *rapid.T, value V, encode func(V) []byte, decode func([]byte) (V, error)) {
	encoded := encode(value)
	got, err := decode(encoded)
	if err != nil {
		t.Fatalf("%s does not decode: %v", describe(value), err)
	}
	if describe(got) != describe(value) {
		t.Fatalf("%s came back as %s", describe(value), describe(got))
	}
	if again := encode(got); !slices.Equal(again, encoded) {
		t.Fatalf("%x came back as %x", encoded, again)
	}
}

func TestLeafRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { roundTrip(t, drawTree(t), EncodeLeaf, DecodeLeaf) })
}

func TestLayerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &Layer{}
		for range rapid.IntRange(0, 4).Draw(t, "groups") {
			g := Group{ID: drawHash(t)}
			page, slot := rapid.Uint32Range(0, 1<<32-100_000).Draw(t, "page"), uint32(0)
			for range rapid.IntRange(1, 5).Draw(t, "runs") {
				r := Run{page, slot + rapid.Uint32Range(0, 10).Draw(t, "gap"), rapid.Uint32Range(1, 300).Draw(t, "count")}
				g.Runs = append(g.Runs, r)
				page, slot = r.First+r.Count+rapid.Uint32Range(1, 1000).Draw(t, "skip"), r.Slot+r.Count
			}
			l.Groups = append(l.Groups, g)
		}
		roundTrip(t, l, (*Layer).Encode, DecodeLayer)
	})
}

func TestSnapshotRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Snapshot{Time: moments.Draw(t, "time"), Device: NewID(), Source: texts.Draw(t, "source"), Files: counts.Draw(t, "files"), Bytes: counts.Draw(t, "bytes")}
		for _, e := range drawTree(t) {
			s.Leaves = append(s.Leaves, LeafRef{drawHash(t), e.Path})
		}
		for range rapid.IntRange(0, 3).Draw(t, "problems") {
			s.Problems = append(s.Problems, Problem{texts.Draw(t, "path"), texts.Draw(t, "kind"), texts.Draw(t, "detail")})
		}
		roundTrip(t, s, (*Snapshot).Encode, DecodeSnapshot)
	})
}

func TestHeadRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &Head{Generation: counts.Draw(t, "generation") + 1, Time: moments.Draw(t, "time"), Indexes: hashesOf[Digest](t, rapid.IntRange(0, 3).Draw(t, "indexes"))}
		h.Generation = min(h.Generation, 1<<62)
		if h.Generation > 1 {
			for _, d := range rapid.SliceOfNDistinct(hashes, 1, MaxParents, rapid.ID[[32]byte]).Draw(t, "parents") {
				h.Parents = append(h.Parents, d)
			}
			slices.SortFunc(h.Parents, func(a, b Digest) int { return slices.Compare(a[:], b[:]) })
		}
		for range rapid.IntRange(0, 3).Draw(t, "snapshots") {
			h.Snapshots = append(h.Snapshots, SnapshotRef{drawHash(t), moments.Draw(t, "time"), counts.Draw(t, "files"), counts.Draw(t, "bytes")})
		}
		for range rapid.IntRange(0, 5).Draw(t, "marks") {
			h.Marks = append(h.Marks, Mark{rapid.SampledFrom([]Type{TypePack, TypeIndex, TypeSnapshot, TypeHead}).Draw(t, "type"), drawHash(t), moments.Draw(t, "since")})
		}
		slices.SortFunc(h.Marks, CompareMarks)
		h.Marks = slices.CompactFunc(h.Marks, func(a, b Mark) bool { return CompareMarks(a, b) == 0 })
		roundTrip(t, h, (*Head).Encode, DecodeHead)
	})
}

func TestLockRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &Lock{NewID(), texts.Draw(t, "host"), rapid.Uint32().Draw(t, "pid"), texts.Draw(t, "operation"), moments.Draw(t, "time")}
		roundTrip(t, l, (*Lock).Encode, DecodeLock)
	})
}

func TestIndexRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var packs []Pack
		bound := 10
		for range rapid.IntRange(0, 3).Draw(t, "packs") {
			p := Pack{Name: drawHash(t), Salt: drawHash(t), Epoch: rapid.Uint32Range(1, MaxEpochs).Draw(t, "epoch"), Size: MaxPackSize, Records: drawRecords(t, 1<<20)}
			packs = append(packs, p)
			bound += IndexSizeOf(&p)
		}
		roundTrip(t, packs, EncodeIndex, DecodeIndex)
		if n := len(EncodeIndex(packs)); n > bound {
			t.Fatalf("%d bytes, and IndexSizeOf promises %d", n, bound)
		}
	})
}

func TestIDsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roundTrip(t, hashesOf[ContentID](t, rapid.IntRange(0, 10).Draw(t, "ids")), EncodeIDs, DecodeIDs)
	})
}

func TestPackRoundTrip(t *testing.T) {
	kr := NewKeyring(NewID()).Next()
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t, 3000)
		w := kr.NewPack(make([]byte, 0, rapid.IntRange(0, 1000).Draw(t, "capacity")))
		var contents [][]byte
		for _, r := range records {
			contents = append(contents, rapid.SliceOfN(rapid.Byte(), int(r.Stored), int(r.Stored)).Draw(t, "content"))
			w.Append(r, contents[len(contents)-1])
		}
		if w.Len() != len(records) {
			t.Fatalf("Len is %d of %d", w.Len(), len(records))
		}
		pack, data := w.Finish()
		got, read, err := readPack(kr, data)
		if err != nil {
			t.Fatal(err)
		}
		if describe(got) != describe(pack) || !reflect.DeepEqual(read, contents) {
			t.Fatal("the pack does not come back")
		}
		// In two steps, with just the bytes that are asked for.
		n, err := kr.IndexSize(data[:HeaderSize], data[len(data)-trailerSize:])
		if err != nil {
			t.Fatal(err)
		}
		if got, err = kr.ReadIndex(pack.Name, int64(len(data)), data[:HeaderSize], data[len(data)-n:]); err != nil || describe(got) != describe(pack) {
			t.Fatalf("ReadIndex with just what it needs: %v", err)
		}
	})
}

func TestSealRoundTrip(t *testing.T) {
	kr, key := NewKeyring(NewID()), NewKey()
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "plain")
		object := kr.Seal(TypeSnapshot, plain)
		got, err := kr.Open(TypeSnapshot, object)
		if err != nil || !slices.Equal(got, plain) {
			t.Fatalf("%x came back as %x, %v", plain, got, err)
		}
		if Padme(len(object)) != len(object) {
			t.Fatalf("an object of %d bytes", len(object))
		}
		again, err := UnwrapKeyring(kr.archive, key, kr.Wrap(key))
		if err != nil || describe(again.secrets()) != describe(kr.secrets()) {
			t.Fatalf("the keyring does not come back: %v", err)
		}
		if kr.Epoch() < 40 {
			kr = kr.Next()
		}
	})
}
