// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"sync"

	"github.com/coffer-backup/coffer/archive/format"
)

// A catalog says where each content is. Packs are known by their number in it.
type catalog struct {
	head     *format.Head // of which it has all contents; nil: of none
	packs    []catalogPack
	numbers  map[format.Digest]uint32
	contents map[format.ContentID]location
	indexes  []catalogIndex
	damaged  []format.Digest // indexes that cannot be read
	readers  sync.Map        // pack number → *format.PackReader
}

type catalogPack struct {
	format.Pack // with Records only if no index has them
	indexed     bool
}

type catalogIndex struct {
	name    format.Digest
	records int
}

// A location is one record.
type location struct {
	pack, position, offset uint32
	size, stored           uint32
	coding                 format.Coding
}

// sealed is the record's length in the pack.
func (l location) sealed() int64 { return int64(l.stored) + 16 }

func newCatalog() *catalog {
	return &catalog{numbers: map[format.Digest]uint32{}, contents: map[format.ContentID]location{}}
}

// add enters a pack. A later description of a content wins. Of a pack there is but one: another one is forged.
func (c *catalog) add(p *format.Pack, indexed bool) uint32 {
	number, known := c.numbers[p.Name]
	if known && (p.Size != c.packs[number].Size || p.Epoch != c.packs[number].Epoch || p.Salt != c.packs[number].Salt) {
		return number
	}
	if !known {
		number = uint32(len(c.packs))
		c.numbers[p.Name] = number
		c.packs = append(c.packs, catalogPack{Pack: *p})
	}
	if indexed {
		c.packs[number].indexed, c.packs[number].Records = true, nil
	}
	p.Each(func(position, offset uint32, r *format.Record) {
		c.contents[r.ID] = location{number, position, offset, r.Size, r.Stored, r.Coding}
	})
	return number
}

// loadCatalog reads the indexes of the newest head. Packs that usable refuses are left out with all their contents, as if
// they were not there; nil takes all. An index that is damaged goes to damaged; with a nil one it is an error.
func (a *Archive) loadCatalog(ctx context.Context, usable func(*format.Pack) bool, damaged func(format.Digest, error)) (*catalog, error) {
	c := newCatalog()
	for _, name := range a.head.Indexes {
		packs, err := a.readIndex(ctx, name)
		if damaged != nil && lost(err) {
			c.damaged = append(c.damaged, name)
			damaged(name, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		records := 0
		for i := range packs {
			records += len(packs[i].Records)
			if usable == nil || usable(&packs[i]) {
				c.add(&packs[i], true)
			}
		}
		c.indexes = append(c.indexes, catalogIndex{name, records})
	}
	return c, nil
}

func (a *Archive) readIndex(ctx context.Context, name format.Digest) ([]format.Pack, error) {
	full := a.name(dirIndexes, name.String())
	plain, err := a.readObject(ctx, format.TypeIndex, full, name)
	if err != nil {
		return nil, err
	}
	packs, err := format.DecodeIndex(plain)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", full, err)
	}
	return packs, nil
}

// useCatalog makes sure that contents can be found.
func (a *Archive) useCatalog(ctx context.Context) (err error) {
	if a.catalog == nil || a.catalog.head != a.head { // a backup or prune had its own
		a.catalog, err = a.readCatalog(ctx, func(_ format.Digest, err error) {
			a.notice("an index is damaged, so the packs were read instead; run repair: %v", err)
		})
	}
	return err
}

// readCatalog reads the indexes; what a damaged one described is read from the packs themselves.
func (a *Archive) readCatalog(ctx context.Context, damaged func(format.Digest, error)) (*catalog, error) {
	whole := true
	c, err := a.loadCatalog(ctx, nil, func(name format.Digest, err error) {
		whole = false
		damaged(name, err)
	})
	if err != nil {
		return nil, err
	}
	if !whole {
		present, err := a.listPacks(ctx)
		if err == nil {
			err = a.adopt(ctx, c, present, nil, 1)
		}
		if err != nil {
			return nil, err
		}
	}
	c.head = a.head
	return c, nil
}

// maxIndexBytes splits what would make an index object too large.
const maxIndexBytes = 32 << 20

// putIndexes stores descriptions of packs as index objects.
func (a *Archive) putIndexes(ctx context.Context, packs []format.Pack) ([]format.Digest, error) {
	var names []format.Digest
	for len(packs) > 0 {
		n, size := 0, 0
		for n < len(packs) && (n == 0 || size+format.IndexSizeOf(&packs[n]) <= maxIndexBytes) {
			size += format.IndexSizeOf(&packs[n])
			n++
		}
		name, err := a.putObject(ctx, format.TypeIndex, format.EncodeIndex(packs[:n]))
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		packs = packs[n:]
	}
	return names, nil
}

// consolidate picks the newest indexes that are worth merging with records new ones, so that a head names few indexes and
// each content is rewritten a logarithmic number of times.
func (c *catalog) consolidate(records int) (merge []format.Digest) {
	for i := len(c.indexes) - 1; i >= 0 && c.indexes[i].records < 2*records; i-- {
		merge = append(merge, c.indexes[i].name)
		records += c.indexes[i].records
	}
	return merge
}
