// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"slices"
	"time"
)

// A Head is the newest state of an archive. Whoever writes one has read all it names.
type Head struct {
	Generation uint64   // one more than the largest of its parents; 1 is the first
	Parents    []Digest // the heads it follows, in byte order: one; none for the first; several where a fork was merged
	Time       time.Time
	Snapshots  []SnapshotRef // by time
	Indexes    []Digest      // of index objects; a later one may describe a pack again
	Marks      []Mark        // objects to be deleted, in order of class and name
}

// A SnapshotRef names a snapshot object and sums it up.
type SnapshotRef struct {
	Name  Digest
	Time  time.Time
	Files uint64
	Bytes uint64
}

// A Mark says since when an object is waiting for deletion. Nothing new may refer to a marked object.
type Mark struct {
	Type  Type
	Name  Digest
	Since time.Time
}

// CompareMarks orders marks by type and name.
func CompareMarks(a, b Mark) int {
	if a.Type != b.Type {
		return int(a.Type) - int(b.Type)
	}
	return slices.Compare(a.Name[:], b.Name[:])
}

// Encode returns the head's canonical encoding.
func (h *Head) Encode() []byte {
	b := binary.AppendUvarint(nil, h.Generation)
	b = appendTime(b, h.Time)
	b = appendDigests(b, h.Parents)
	b = binary.AppendUvarint(b, uint64(len(h.Snapshots)))
	for i := range h.Snapshots {
		s := &h.Snapshots[i]
		b = append(b, s.Name[:]...)
		b = appendTime(b, s.Time)
		b = binary.AppendUvarint(b, s.Files)
		b = binary.AppendUvarint(b, s.Bytes)
	}
	b = appendDigests(b, h.Indexes)
	b = binary.AppendUvarint(b, uint64(len(h.Marks)))
	for i := range h.Marks {
		b = append(b, byte(h.Marks[i].Type))
		b = append(b, h.Marks[i].Name[:]...)
		b = appendTime(b, h.Marks[i].Since)
	}
	return b
}

// DecodeHead reads what Encode wrote. Errors wrap ErrDamaged.
func DecodeHead(b []byte) (*Head, error) {
	d := decoder{b: b}
	h := &Head{Generation: d.uvarint(1 << 62), Time: d.time(), Parents: d.digests(MaxParents)}
	h.Snapshots = make([]SnapshotRef, d.count(MaxObjectSize, 32+4))
	for i := range h.Snapshots {
		s := &h.Snapshots[i]
		d.read(s.Name[:])
		s.Time, s.Files, s.Bytes = d.time(), d.uvarint(1<<62), d.uvarint(1<<62)
	}
	h.Indexes = d.digests(MaxObjectSize)
	h.Marks = make([]Mark, d.count(MaxObjectSize, 1+32+2))
	for i := range h.Marks {
		m := &h.Marks[i]
		m.Type = Type(d.byte())
		d.read(m.Name[:])
		m.Since = d.time()
		if m.Type < TypePack || m.Type > TypeHead {
			d.fail("mark on an object of no such type")
		}
		if i > 0 && CompareMarks(h.Marks[i-1], *m) >= 0 {
			d.fail("marks out of order")
		}
	}
	if h.Generation == 0 || (h.Generation == 1) != (len(h.Parents) == 0) {
		d.fail("head of an impossible generation")
	}
	for i := 1; i < len(h.Parents); i++ {
		if slices.Compare(h.Parents[i-1][:], h.Parents[i][:]) >= 0 {
			d.fail("parents out of order")
		}
	}
	return h, d.end()
}

func appendDigests(b []byte, digests []Digest) []byte {
	b = binary.AppendUvarint(b, uint64(len(digests)))
	for i := range digests {
		b = append(b, digests[i][:]...)
	}
	return b
}

func (d *decoder) digests(limit uint64) []Digest {
	digests := make([]Digest, d.count(limit, 32))
	for i := range digests {
		d.read(digests[i][:])
	}
	return digests
}
