// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

// A lister turns the entries of a walk, in order, into leaves, and stores those that are new.
type lister struct {
	p       *packer
	hasher  *format.Hasher
	encoder *encoder
	cache   *cacheWriter
	entries []format.Entry
	stats   []source.Stat
	size    int
	leaves  []format.LeafRef
	files   uint64
	bytes   uint64
}

// maxLeafBytes closes a leaf early where entries are large, so that it stays within a record.
const maxLeafBytes = format.MaxRecordSize / 4

func (l *lister) add(e format.Entry, s source.Stat) error {
	l.entries, l.stats = append(l.entries, e), append(l.stats, s)
	l.files++
	l.bytes += uint64(e.Size)
	l.size += 64 + len(e.Path) + len(e.Target) + 32*(len(e.Segments)+len(e.Layers))
	if len(l.entries) == format.MaxLeafEntries || l.size >= maxLeafBytes || l.hasher.Cut(e.Path) {
		return l.flush()
	}
	return nil
}

func (l *lister) flush() error {
	if len(l.entries) == 0 {
		return nil
	}
	leaf := format.EncodeLeaf(l.entries)
	id := l.hasher.Content(leaf)
	if l.cache != nil {
		l.cache.leaf(leaf, l.stats)
	}
	l.leaves = append(l.leaves, format.LeafRef{ID: id, First: l.entries[0].Path})
	l.entries, l.stats, l.size = l.entries[:0], l.stats[:0], 0
	if !l.p.claim(id) {
		return nil
	}
	return l.p.add(id, leaf, l.encoder)
}
