// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"strings"
)

// A snapshot's listing is cut into leaves of some 256 entries, each a content of its own, so that an unchanged stretch of
// the tree is shared with the snapshot before.

// EncodeLeaf encodes entries in the order of ComparePaths.
func EncodeLeaf(entries []Entry) []byte {
	b := binary.AppendUvarint(nil, uint64(len(entries)))
	prev := ""
	for i := range entries {
		b = appendEntry(b, prev, &entries[i])
		prev = entries[i].Path
	}
	return b
}

// DecodeLeaf reads what EncodeLeaf wrote. It accepts only paths that cannot lead out of a folder, in order, without
// anything below what is not a folder. Errors wrap ErrDamaged.
func DecodeLeaf(b []byte) ([]Entry, error) {
	d := decoder{b: b}
	entries := make([]Entry, d.count(MaxLeafEntries, 6))
	var prev *Entry
	for i := range entries {
		before := ""
		if prev != nil {
			before = prev.Path
		}
		d.entry(before, &entries[i])
		if d.err != nil {
			return nil, d.err
		}
		if prev != nil && !Follows(prev, &entries[i]) {
			return nil, damaged("listing out of order")
		}
		prev = &entries[i]
	}
	return entries, d.end()
}

// Follows tells whether next may come right after prev in a listing.
func Follows(prev, next *Entry) bool {
	if ComparePaths(prev.Path, next.Path) >= 0 {
		return false
	}
	below := prev.Path == "" || strings.HasPrefix(next.Path, prev.Path+"/")
	return !below || prev.Type == TypeDir
}
