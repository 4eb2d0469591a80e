// SPDX-License-Identifier: Apache-2.0

package format

import "encoding/binary"

// A Layer says where a run of pages of a database is: a backup writes one layer with the pages that changed. A database
// version is a list of layers, oldest first, and a page is in the newest layer that has it. So a day's backup costs
// what changed that day, in pages and in the map of pages.
type Layer struct{ Groups []Group }

// A Group is a content of up to GroupSize bytes: pages one after the other. Its runs are in ascending order of pages and
// of slots; slots that no run names hold pages that the layer does not want.
type Group struct {
	ID   ContentID
	Runs []Run
}

// A Run is Count pages from page First (from 0) of the database, in the group's slots from Slot on.
type Run struct{ First, Slot, Count uint32 }

// Encode returns the layer's canonical encoding.
func (l *Layer) Encode() []byte {
	b := binary.AppendUvarint(nil, uint64(len(l.Groups)))
	for i := range l.Groups {
		g := &l.Groups[i]
		b = append(b, g.ID[:]...)
		b = binary.AppendUvarint(b, uint64(len(g.Runs)))
		var page, slot uint32
		for _, r := range g.Runs {
			b = binary.AppendUvarint(b, uint64(r.First-page))
			b = binary.AppendUvarint(b, uint64(r.Slot-slot))
			b = binary.AppendUvarint(b, uint64(r.Count))
			page, slot = r.First+r.Count, r.Slot+r.Count
		}
	}
	return b
}

// DecodeLayer reads what Encode wrote. Errors wrap ErrDamaged.
func DecodeLayer(b []byte) (*Layer, error) {
	d := decoder{b: b}
	l := &Layer{Groups: make([]Group, d.count(MaxRecordSize, 32+1))}
	for i := range l.Groups {
		g := &l.Groups[i]
		d.read(g.ID[:])
		g.Runs = make([]Run, d.count(GroupSize/MinPageSize, 3))
		var page, slot uint64
		for j := range g.Runs {
			r := &g.Runs[j]
			page += d.uvarint(1<<32 - 1)
			gap := d.uvarint(GroupSize / MinPageSize)
			n := d.uvarint(GroupSize / MinPageSize)
			slot += gap
			*r = Run{uint32(page), uint32(slot), uint32(n)}
			if j > 0 && gap == 0 && g.Runs[j-1].First+g.Runs[j-1].Count == r.First {
				d.fail("run in two pieces")
			}
			page, slot = page+n, slot+n
			if n == 0 || page > 1<<32-1 || slot > GroupSize/MinPageSize {
				d.fail("impossible run of pages")
			}
		}
		if len(g.Runs) == 0 {
			d.fail("group without pages")
		}
		if d.err != nil {
			return nil, d.err
		}
	}
	return l, d.end()
}
