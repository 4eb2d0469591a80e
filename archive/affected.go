// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer/archive/format"
)

// maxAffected bounds how many damaged files a report names.
const maxAffected = 100_000

// snapshots walks through all listings and finds the files that the damage reaches.
func (v *verification) snapshots(ctx context.Context) error {
	known := func(d format.Digest) bool {
		return slices.ContainsFunc(v.a.head.Snapshots, func(s format.SnapshotRef) bool { return s.Name == d })
	}
	if err := v.orphans(ctx, format.TypeSnapshot, known); err != nil {
		return err
	}
	v.c.Progress.begin("reading snapshots", 0, int64(len(v.a.head.Snapshots)))
	seen := map[format.ContentID]leafFinding{}
	for _, ref := range v.a.head.Snapshots {
		name := v.a.name(dirSnapshots, ref.Name.String())
		s, err := v.a.readSnapshot(ctx, ref.Name)
		if err := v.look(name, 0, err); err != nil {
			return err
		}
		if err != nil {
			v.affect(ref, "")
			continue
		}
		var prev *format.Entry
		gap := false
		for i, l := range s.Leaves {
			f, done := seen[l.ID]
			if !done {
				if f, err = v.leaf(ctx, s, i, name); err != nil {
					return err
				}
				seen[l.ID] = f
			}
			if f.read && !continues(prev, &f.first, gap) {
				v.damage(name, errDisorder)
				f.read, f.paths = false, stretch(l)
			}
			for _, path := range f.paths {
				v.affect(ref, path)
			}
			if gap = !f.read; f.read {
				prev = &f.last
			}
		}
		v.c.Progress.add(0, 1)
	}
	return nil
}

func (v *verification) affect(ref format.SnapshotRef, path string) {
	switch n := len(v.report.Affected); {
	case n < maxAffected:
		v.report.Affected = append(v.report.Affected, Affected{snapshotID(ref.Name), path})
	case len(v.report.Notices) == 0:
		v.report.Notices = []string{fmt.Sprintf("more than %d files are affected; the others are not named", maxAffected)}
	}
}

// A leafFinding is what is to be known of a leaf, which many snapshots can share.
type leafFinding struct {
	read        bool
	first, last format.Entry
	paths       []string // that cannot be restored whole
}

// stretch stands for all paths that may be in a leaf that cannot be read.
func stretch(l format.LeafRef) []string {
	return []string{l.First + " … (this stretch of the listing)"}
}

func (v *verification) leaf(ctx context.Context, s *format.Snapshot, i int, snapshot string) (f leafFinding, err error) {
	var entries []format.Entry
	err = v.sound(s.Leaves[i].ID, 0, format.MaxRecordSize)
	if err == nil {
		entries, err = v.a.readLeaf(ctx, s.Leaves, i)
	}
	if err != nil {
		return leafFinding{paths: stretch(s.Leaves[i])}, v.blame(snapshot, err)
	}
	f = leafFinding{read: true, first: entries[0], last: entries[len(entries)-1]}
	for k := range entries {
		var broken error
		err := v.a.needs(ctx, &entries[k], func(id format.ContentID, least, most int64) {
			if err := v.sound(id, least, most); err != nil {
				broken = err
			}
		})
		if err = cmp.Or(broken, err); err != nil {
			f.paths = append(f.paths, entries[k].Path)
			if err := v.blame(snapshot, err); err != nil {
				return f, err
			}
		}
	}
	return f, nil
}

// blame names the object that an error is about. What is in no pack, or makes no sense, is the snapshot's own fault.
func (v *verification) blame(snapshot string, err error) error {
	if !v.isDamage(err) {
		return err
	}
	if e, ok := errors.AsType[*objectError](err); ok {
		v.damage(e.object, e.err)
	} else {
		v.damage(snapshot, err)
	}
	return nil
}

// sound tells whether a content can be read, as far as the packs were looked at, and whether its size is right.
func (v *verification) sound(id format.ContentID, least, most int64) error {
	l, ok := v.a.catalog.contents[id]
	switch {
	case !ok:
		return errNoPack
	case int64(l.offset)+l.sealed() > v.have[l.pack] || v.bad[id]:
		return &objectError{v.a.packName(l.pack), fmt.Errorf("%w: a content in it cannot be read", ErrDamaged)}
	case int64(l.size) < least || int64(l.size) > most:
		return errSegmentSize
	}
	return nil
}
