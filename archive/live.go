// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/archive/format"
)

// needs yields the ids of all contents that an entry is made of, those that say what it is made of first, and how many bytes
// each must have at least and at most.
func (a *Archive) needs(ctx context.Context, e *format.Entry, yield func(id format.ContentID, least, most int64)) error {
	switch e.Type {
	case TypeFile:
		if !e.Inline() {
			for _, id := range e.Segments {
				yield(id, 0, format.MaxRecordSize)
			}
		}
		left := e.Size
		for id, err := range a.segments(ctx, e) {
			if err != nil {
				return err
			}
			size := min(left, format.SegmentSize)
			if left -= size; !id.IsHole() {
				yield(id, size, size)
			}
		}
	case TypeDatabase:
		for _, id := range e.Layers {
			yield(id, 0, format.MaxRecordSize)
		}
		m, err := a.openDatabaseMap(ctx, e)
		if err != nil {
			return err
		}
		for _, g := range m.groups {
			if g.live > 0 {
				yield(g.id, int64(g.slots)*int64(m.pageSize), format.MaxRecordSize)
			}
		}
	}
	return nil
}

// liveContents returns all contents that the snapshots need. It fails if a listing cannot be read, because then it is not
// known what must stay. But what no index describes is lost for good, as a repair has found, and must not hold up all else.
func (a *Archive) liveContents(ctx context.Context, snapshots []format.SnapshotRef, p *Progress) (map[format.ContentID]struct{}, error) {
	live := map[format.ContentID]struct{}{}
	p.begin("reading snapshots", 0, int64(len(snapshots)))
	for _, ref := range snapshots {
		s, err := a.readSnapshot(ctx, ref.Name)
		if err != nil {
			return nil, err
		}
		for i := range s.Leaves {
			id := s.Leaves[i].ID
			if _, seen := live[id]; seen {
				continue // shared with another snapshot
			}
			live[id] = struct{}{}
			entries, err := a.readLeaf(ctx, s.Leaves, i)
			if errors.Is(err, errNoPack) {
				a.notice("a part of the listing of snapshot %s is lost", snapshotID(ref.Name))
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("snapshot %s: %w", snapshotID(ref.Name), err)
			}
			for k := range entries {
				if err := a.needs(ctx, &entries[k], func(id format.ContentID, _, _ int64) { live[id] = struct{}{} }); err != nil && !errors.Is(err, errNoPack) {
					return nil, fmt.Errorf("snapshot %s, %q: %w", snapshotID(ref.Name), entries[k].Path, err)
				}
			}
		}
		p.add(0, 1)
	}
	return live, nil
}
