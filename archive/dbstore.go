// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/archive/format"
)

// storeDatabase stores what changed of a copied database, and removes the copy.
func (r *run) storeDatabase(ctx context.Context, j *job, t *tools) error {
	defer os.Remove(j.copy.path)
	f, err := os.Open(j.copy.path)
	if err != nil {
		return fmt.Errorf("read the copy of a database: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read the copy of a database: %w", err)
	}
	size, c := info.Size(), j.copy
	if c.pageSize == 0 {
		c.pageSize = pageSizeOf(f)
	}
	j.item.Stat.Size = size
	if c.kind == notDatabase || c.pageSize == 0 || size == 0 || size%int64(c.pageSize) != 0 || size/int64(c.pageSize) > math.MaxUint32 {
		return r.storeCopy(ctx, j, f, t)
	}
	m, err := r.storePages(ctx, f, int(size/int64(c.pageSize)), c)
	if errors.Is(err, errManyLayers) {
		return r.storeCopy(ctx, j, f, t)
	}
	if err != nil {
		return err
	}
	m.stamp, m.taken = c.stamp, r.started
	j.item.Stat = c.stamp.Main
	j.entry = databaseEntry(j.item.Path, c.stamp.Main, size, m.pageSize, m.layers)
	r.count(size)
	r.c.Progress.add(size, 1)
	if err := r.saveDatabaseMap(j.item.Path, m); err != nil { // it is a hint only
		r.a.notice("%v; the next backup takes longer", err)
	}
	return nil
}

// storeCopy stores a copy that is not made of whole pages as an ordinary file.
func (r *run) storeCopy(ctx context.Context, j *job, f *os.File, t *tools) error {
	s := j.item.Stat
	s.Sparse = false
	n, err := r.storeSegments(ctx, j, f, s, t)
	j.entry.Path, j.entry.Type, j.entry.Mode, j.entry.ModTime, j.entry.Size = j.item.Path, format.TypeFile, s.Mode, s.ModTime, n
	r.c.Progress.add(0, 1)
	j.item.Stat.Inode, j.item.Stat.ChangeTime = 0, s.ModTime // a copy is not the file itself: it is looked at again
	return err
}

var errManyLayers = errors.New("the database needs more layers than an entry may have")

// foldBelow is the share of live pages under which a group's live pages are stored again, so that a restore does not read many
// groups for a few pages each. It adds at most a seventh to what is stored.
const foldBelow = 8

// storePages stores the pages of a database that changed since its previous version, as one new layer.
func (r *run) storePages(ctx context.Context, f *os.File, count int, c *databaseCopy) (*databaseMap, error) {
	m := &databaseMap{pageSize: c.pageSize, group: make([]uint32, count), slot: make([]uint16, count)}
	var err error
	if m.ids, err = r.hashPages(ctx, f, count, c.pageSize); err != nil {
		return nil, err
	}
	if old := c.previous; old != nil && old.pageSize == c.pageSize {
		r.inherit(m, old)
	} else {
		for i := range m.group {
			m.group[i] = noGroup
		}
	}
	layers, err := r.storeLayer(ctx, f, m)
	if err != nil {
		return nil, err
	}
	m.layers = append(slices.Clip(m.layers), layers...)
	if len(m.layers) > format.MaxLayers {
		err = r.mergeLayers(m)
	}
	return m, err
}

// inherit takes over from the old version the places of all pages that did not change.
func (r *run) inherit(m, old *databaseMap) {
	m.layers, m.groups = old.layers, slices.Clone(old.groups)
	stored := make([]bool, len(m.groups))
	for i := range m.groups {
		m.groups[i].live = 0
		stored[i] = r.p.have(m.groups[i].id)
	}
	for _, id := range m.layers {
		if !r.p.have(id) { // the map itself is lost: begin anew
			m.layers, m.groups, stored = nil, nil, nil
			break
		}
	}
	changed := len(m.ids) != len(old.ids)
	for i := range m.group {
		m.group[i] = noGroup
		if i < len(old.ids) && stored != nil && stored[old.group[i]] && m.ids[i] == old.ids[i] {
			m.group[i], m.slot[i] = old.group[i], old.slot[i]
			m.groups[old.group[i]].live++
		} else {
			changed = true
		}
	}
	for i, g := range m.group {
		// Page 1 counts as unchanged if only the header fields differ that each copy changes; but with any other page it goes
		// along, so that its change counter is the version's own.
		if g != noGroup && (i == 0 && changed || changed && m.groups[g].live*foldBelow < m.groups[g].slots) {
			m.group[i] = noGroup
		}
	}
	for i := range m.groups {
		m.groups[i].live = 0
	}
	for _, g := range m.group {
		if g != noGroup {
			m.groups[g].live++
		}
	}
}

// hashPages computes the ids of all pages, on all cores.
func (r *run) hashPages(ctx context.Context, f *os.File, count int, pageSize uint32) ([]format.PageID, error) {
	ids := make([]format.PageID, count)
	perRead := format.GroupSize / int(pageSize)
	cores := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	for core := range cores {
		g.Go(func() error {
			hasher, buf := r.hasher.Clone(), make([]byte, perRead*int(pageSize))
			for from := core * perRead; from < count; from += cores * perRead {
				n := min(perRead, count-from)
				if err := readPages(ctx, f, buf[:n*int(pageSize)], from, pageSize); err != nil {
					return err
				}
				for i := range n {
					ids[from+i] = hasher.Page(uint32(from+i+1), buf[i*int(pageSize):(i+1)*int(pageSize)])
				}
			}
			return nil
		})
	}
	return ids, g.Wait()
}

func readPages(ctx context.Context, f *os.File, p []byte, page int, pageSize uint32) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n, err := f.ReadAt(p, int64(page)*int64(pageSize)); n < len(p) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read the copy of a database: %w", err)
	}
	return nil
}

// storeLayer stores all pages that have no group yet, enters where they are, and returns the layers that say so: none, one,
// or for a very large database several.
func (r *run) storeLayer(ctx context.Context, f *os.File, m *databaseMap) ([]format.ContentID, error) {
	var pages []uint32
	for i, g := range m.group {
		if g == noGroup {
			pages = append(pages, uint32(i))
		}
	}
	if len(pages) == 0 {
		return nil, nil
	}
	perGroup := format.GroupSize / int(m.pageSize)
	layer := &format.Layer{Groups: make([]format.Group, (len(pages)+perGroup-1)/perGroup)}
	cores := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	for core := range cores {
		g.Go(func() error {
			t := &tools{hasher: r.hasher.Clone(), encoder: newEncoder(), buf: make([]byte, perGroup*int(m.pageSize))}
			for i := core; i < len(layer.Groups); i += cores {
				list := pages[i*perGroup : min(len(pages), (i+1)*perGroup)]
				if err := r.storeGroup(ctx, f, m, list, &layer.Groups[i], t); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	first := len(m.groups)
	for i := range layer.Groups {
		list := pages[i*perGroup : min(len(pages), (i+1)*perGroup)]
		for slot, page := range list {
			m.group[page], m.slot[page] = uint32(first+i), uint16(slot)
		}
		m.groups = append(m.groups, mapGroup{layer.Groups[i].ID, uint32(len(list)), uint32(len(list))})
	}
	return r.putLayers(layer)
}

// storeGroup reads the listed pages and stores them as one content.
func (r *run) storeGroup(ctx context.Context, f *os.File, m *databaseMap, pages []uint32, out *format.Group, t *tools) error {
	var slot uint32
	for i := 0; i < len(pages); {
		n := 1
		for i+n < len(pages) && pages[i+n] == pages[i]+uint32(n) {
			n++
		}
		from := i * int(m.pageSize)
		if err := readPages(ctx, f, t.buf[from:from+n*int(m.pageSize)], int(pages[i]), m.pageSize); err != nil {
			return err
		}
		out.Runs = append(out.Runs, format.Run{First: pages[i], Slot: slot, Count: uint32(n)})
		slot += uint32(n)
		i += n
	}
	content := t.buf[:len(pages)*int(m.pageSize)]
	out.ID = t.hasher.Content(content)
	if !r.p.claim(out.ID) {
		return nil
	}
	return r.p.add(out.ID, content, t.encoder)
}

// putLayers stores a layer, cut into several where it is too large for one record.
func (r *run) putLayers(l *format.Layer) ([]format.ContentID, error) {
	const perGroup, perRun = 32 + 5, 15
	hasher, enc := r.hasher.Clone(), newEncoder()
	var ids []format.ContentID
	for rest := l.Groups; len(rest) > 0; {
		n, size := 0, 8
		for n < len(rest) {
			if size += perGroup + perRun*len(rest[n].Runs); size > format.MaxRecordSize && n > 0 {
				break
			}
			n++
		}
		encoded := (&format.Layer{Groups: rest[:n]}).Encode()
		id := hasher.Content(encoded)
		if r.p.claim(id) {
			if err := r.p.add(id, encoded, enc); err != nil {
				return nil, err
			}
		}
		ids = append(ids, id)
		rest = rest[n:]
	}
	return ids, nil
}

// mergeLayers replaces all layers by one that says where every page is, so that a database version never needs many.
func (r *run) mergeLayers(m *databaseMap) error {
	layer := &format.Layer{}
	for g, pages := range m.byGroup() {
		if len(pages) == 0 {
			continue
		}
		out := format.Group{ID: m.groups[g].id}
		for _, page := range pages {
			slot := uint32(m.slot[page])
			if n := len(out.Runs) - 1; n >= 0 && out.Runs[n].First+out.Runs[n].Count == page && out.Runs[n].Slot+out.Runs[n].Count == slot {
				out.Runs[n].Count++
			} else {
				out.Runs = append(out.Runs, format.Run{First: page, Slot: slot, Count: 1})
			}
		}
		layer.Groups = append(layer.Groups, out)
	}
	layers, err := r.putLayers(layer)
	if err == nil && len(layers) > format.MaxLayers {
		err = errManyLayers
	}
	m.layers = layers
	return err
}
