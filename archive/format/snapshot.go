// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"time"
)

// A Snapshot is the state of a chat store at one moment.
type Snapshot struct {
	Time     time.Time // when the backup began
	Device   ID        // that made it
	Source   string    // for people: the folder, as the device named it
	Files    uint64    // entries
	Bytes    uint64    // size of all files
	Leaves   []LeafRef
	Problems []Problem
}

// A LeafRef names a leaf of the listing, and the path of its first entry. The path is encoded whole: were it to share its
// beginning with the one before, as in a leaf, a small snapshot could make its reader fill all memory with long paths.
type LeafRef struct {
	ID    ContentID
	First string
}

// A Problem is something that the backup could not store as it should.
type Problem struct{ Path, Kind, Detail string }

// Encode returns the snapshot's canonical encoding. Texts for people, and problems, that are over their limits are left out.
func (s *Snapshot) Encode() []byte {
	b := appendTime(nil, s.Time)
	b = append(b, s.Device[:]...)
	b = appendText(b, s.Source, MaxText)
	b = binary.AppendUvarint(b, s.Files)
	b = binary.AppendUvarint(b, s.Bytes)
	b = binary.AppendUvarint(b, uint64(len(s.Leaves)))
	for i := range s.Leaves {
		b = append(b, s.Leaves[i].ID[:]...)
		b = appendString(b, s.Leaves[i].First)
	}
	problems := s.Problems[:min(len(s.Problems), MaxProblems)]
	b = binary.AppendUvarint(b, uint64(len(problems)))
	for _, p := range problems {
		b = appendText(b, p.Path, MaxText)
		b = appendText(b, p.Kind, MaxLabel)
		b = appendText(b, p.Detail, MaxText)
	}
	return b
}

// DecodeSnapshot reads what Encode wrote. Errors wrap ErrDamaged.
func DecodeSnapshot(b []byte) (*Snapshot, error) {
	d := decoder{b: b}
	s := &Snapshot{Time: d.time()}
	d.read(s.Device[:])
	s.Source = d.string(MaxText)
	s.Files, s.Bytes = d.uvarint(1<<62), d.uvarint(1<<62)
	s.Leaves = make([]LeafRef, d.count(MaxObjectSize, 32+1))
	for i := range s.Leaves {
		l := &s.Leaves[i]
		d.read(l.ID[:])
		l.First = d.string(MaxPath)
		if !ValidPath(l.First) {
			d.fail("forbidden path")
		}
		if i > 0 && ComparePaths(s.Leaves[i-1].First, l.First) >= 0 {
			d.fail("listing out of order")
		}
	}
	s.Problems = make([]Problem, d.count(MaxProblems, 3))
	for i := range s.Problems {
		s.Problems[i] = Problem{d.string(MaxText), d.string(MaxLabel), d.string(MaxText)}
	}
	return s, d.end()
}
