// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

// A databaseMap says of one version of a database where each page is stored and what its id is: 22 bytes a page.
type databaseMap struct {
	pageSize uint32
	ids      []format.PageID
	group    []uint32 // page → groups
	slot     []uint16 // page → its place in the group
	groups   []mapGroup
	layers   []format.ContentID
	stamp    databaseStamp
	taken    time.Time // when the backup that stored it began
}

type mapGroup struct {
	id    format.ContentID
	slots uint32 // pages it holds
	live  uint32 // pages of this version that are in it
}

const noGroup = 1<<32 - 1

// locate fills group, slot and groups of a map with count pages from its layers, oldest first.
func (m *databaseMap) locate(layers []*format.Layer, count int64) error {
	if count > min(described(layers), math.MaxInt) { // before memory is taken for a size that may be forged
		return fmt.Errorf("%w: a database has more pages than its layers", ErrDamaged)
	}
	m.group, m.slot = make([]uint32, count), make([]uint16, count)
	for i := range m.group {
		m.group[i] = noGroup
	}
	for _, l := range layers {
		for i := range l.Groups {
			g := &l.Groups[i]
			number := uint32(len(m.groups))
			last := g.Runs[len(g.Runs)-1]
			if last.Slot+last.Count > format.GroupSize/m.pageSize {
				return fmt.Errorf("%w: a group of pages is too large", ErrDamaged)
			}
			m.groups = append(m.groups, mapGroup{id: g.ID, slots: last.Slot + last.Count})
			for _, r := range g.Runs {
				for k := range min(int64(r.Count), count-int64(r.First)) {
					page := int64(r.First) + k
					m.group[page], m.slot[page] = number, uint16(r.Slot)+uint16(k)
				}
			}
		}
	}
	for page, g := range m.group {
		if g == noGroup {
			return fmt.Errorf("%w: page %d of a database is in no layer", ErrDamaged, page+1)
		}
		m.groups[g].live++
	}
	return nil
}

// described counts the pages that layers name, again in each.
func described(layers []*format.Layer) (pages int64) {
	for _, l := range layers {
		for i := range l.Groups {
			for _, r := range l.Groups[i].Runs {
				pages += int64(r.Count)
			}
		}
	}
	return pages
}

// readLayers reads the layers of a database's entry.
func (a *Archive) readLayers(ctx context.Context, e *format.Entry) ([]*format.Layer, error) {
	layers := make([]*format.Layer, len(e.Layers))
	for i, id := range e.Layers {
		plain, err := a.content(ctx, id)
		if err != nil {
			return nil, err
		}
		if layers[i], err = format.DecodeLayer(plain); err != nil {
			return nil, err
		}
	}
	return layers, nil
}

// openDatabaseMap locates all pages of a database's entry. Ids are left out.
func (a *Archive) openDatabaseMap(ctx context.Context, e *format.Entry) (*databaseMap, error) {
	layers, err := a.readLayers(ctx, e)
	if err != nil {
		return nil, err
	}
	m := &databaseMap{pageSize: e.PageSize, layers: e.Layers}
	return m, m.locate(layers, e.Size/int64(e.PageSize))
}

// A savedMap is what the device's cache has of a databaseMap. Like the file cache it is a hint; that a group is stored is looked up
// in the archive all the same. Its file is a SHA-256 and what it is of, in gob.
type savedMap struct {
	Path     string
	PageSize uint32
	IDs      []byte
	Layers   []format.ContentID
	Groups   []format.ContentID // those with live pages
	Stamp    databaseStamp
	Taken    time.Time
}

func (s *savedMap) size() int64 { return int64(len(s.IDs)/16) * int64(s.PageSize) }

// entry makes the listing's entry of the database as it was stored last.
func (s *savedMap) entry(stat source.Stat) format.Entry {
	return databaseEntry(s.Path, stat, s.size(), s.PageSize, s.Layers)
}

func databaseEntry(path string, s source.Stat, size int64, pageSize uint32, layers []format.ContentID) format.Entry {
	return format.Entry{Path: path, Type: format.TypeDatabase, Mode: s.Mode, ModTime: s.ModTime, Size: size, PageSize: pageSize, Layers: layers}
}

func (r *run) mapPath(path string) string {
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(r.c.StateDir, "cache", "database-"+hex.EncodeToString(sum[:16]))
}

func (r *run) saveDatabaseMap(path string, m *databaseMap) error {
	s := &savedMap{Path: path, PageSize: m.pageSize, Layers: m.layers, Stamp: m.stamp, Taken: m.taken, IDs: make([]byte, 0, 16*len(m.ids))}
	for i := range m.ids {
		s.IDs = append(s.IDs, m.ids[i][:]...)
	}
	for i := range m.groups {
		if m.groups[i].live > 0 {
			s.Groups = append(s.Groups, m.groups[i].id)
		}
	}
	var b bytes.Buffer
	b.Write(make([]byte, sha256.Size))
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return fmt.Errorf("write the cache: %w", err)
	}
	sum := sha256.Sum256(b.Bytes()[sha256.Size:])
	copy(b.Bytes(), sum[:])
	name := r.mapPath(path)
	err := os.WriteFile(name+".new", b.Bytes(), 0o600)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		os.Remove(name + ".new")
		return fmt.Errorf("write the cache: %w", err)
	}
	return nil
}

// loadSavedMap returns what the cache has of a database, or nil.
func (r *run) loadSavedMap(path string) *savedMap {
	data, err := os.ReadFile(r.mapPath(path))
	if err != nil || len(data) < sha256.Size || sha256.Sum256(data[sha256.Size:]) != [32]byte(data[:sha256.Size]) {
		return nil
	}
	s := new(savedMap)
	if err := gob.NewDecoder(bytes.NewReader(data[sha256.Size:])).Decode(s); err != nil || s.Path != path {
		return nil
	}
	return s
}

// previousMap returns what the archive has of a database: as the cache says, or else as the previous snapshot says, whose pages
// are then read back to tell which have changed since. nil means nothing, and that all pages will be stored.
func (r *run) previousMap(ctx context.Context, path string, saved *savedMap) (*databaseMap, error) {
	if saved != nil {
		m, err := r.a.openDatabaseMap(ctx, &format.Entry{Size: saved.size(), PageSize: saved.PageSize, Layers: saved.Layers})
		if err == nil {
			m.ids = make([]format.PageID, len(m.group))
			for i := range m.ids {
				copy(m.ids[i][:], saved.IDs[16*i:])
			}
			return m, nil
		}
		if !lost(err) {
			return nil, err
		}
	}
	if r.previous == nil {
		return nil, nil
	}
	for e, err := range r.a.entries(ctx, r.previous, path, false) {
		if err == nil && e.Type != format.TypeDatabase {
			break
		}
		var m *databaseMap
		if err == nil {
			m, err = r.a.openDatabaseMap(ctx, e)
		}
		if err == nil {
			err = r.hashStored(ctx, m)
		}
		if err == nil {
			return m, nil
		}
		if !lost(err) {
			return nil, err
		}
	}
	return nil, nil
}

// hashStored computes the ids of all pages from the archive.
func (r *run) hashStored(ctx context.Context, m *databaseMap) error {
	m.ids = make([]format.PageID, len(m.group))
	hasher, pages := r.hasher.Clone(), m.byGroup()
	for g, list := range pages {
		if len(list) == 0 {
			continue
		}
		content, err := r.a.content(ctx, m.groups[g].id)
		if err != nil {
			return err
		}
		for _, page := range list {
			p, err := m.page(content, page)
			if err != nil {
				return err
			}
			m.ids[page] = hasher.Page(page+1, p)
		}
	}
	return nil
}

// byGroup lists the pages in each group, in order.
func (m *databaseMap) byGroup() [][]uint32 {
	pages := make([][]uint32, len(m.groups))
	for page, g := range m.group {
		pages[g] = append(pages[g], uint32(page))
	}
	return pages
}

// page cuts a page out of the content of its group.
func (m *databaseMap) page(content []byte, page uint32) ([]byte, error) {
	from := int(m.slot[page]) * int(m.pageSize)
	if from+int(m.pageSize) > len(content) {
		return nil, fmt.Errorf("%w: a group of pages is too short", ErrDamaged)
	}
	return content[from : from+int(m.pageSize)], nil
}
