// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// SnapshotInfo is the summary of one snapshot.
type SnapshotInfo struct {
	ID    ID        `json:"id"`
	Time  time.Time `json:"time"`
	Files int64     `json:"files"` // entries of all types
	Bytes int64     `json:"bytes"` // size of all files, before compression and sharing
}

// Snapshot is one open snapshot.
type Snapshot struct {
	a    *Archive
	ref  format.SnapshotRef
	body *format.Snapshot
}

// EntryType says what a path of a snapshot is.
type EntryType = format.EntryType

// The types of entries. A database is a regular file that is stored page-wise.
const (
	TypeDir      = format.TypeDir
	TypeFile     = format.TypeFile
	TypeSymlink  = format.TypeSymlink
	TypeDatabase = format.TypeDatabase
)

// Entry is one path of a snapshot, as people see it.
type Entry struct {
	Path    string // slash-separated, relative to the source, any bytes but NUL; "" is the source itself
	Type    EntryType
	Mode    uint32 // permission bits 0o777, setuid 0o4000, setgid 0o2000, sticky 0o1000
	ModTime time.Time
	Size    int64
	Target  string // of a symbolic link
}

func publicEntry(e *format.Entry) Entry {
	return Entry{e.Path, e.Type, e.Mode, e.ModTime, e.Size, e.Target}
}

func snapshotID(name format.Digest) ID { return ID(name[:16]) }

func snapshotInfo(s format.SnapshotRef) SnapshotInfo {
	return SnapshotInfo{snapshotID(s.Name), s.Time, int64(s.Files), int64(s.Bytes)}
}

// Snapshots lists all snapshots, oldest first.
func (a *Archive) Snapshots() []SnapshotInfo {
	infos := make([]SnapshotInfo, len(a.head.Snapshots))
	for i, s := range a.head.Snapshots {
		infos[i] = snapshotInfo(s)
	}
	return infos
}

// Snapshot opens a snapshot by name: "latest" (or ""), or at least four digits of its id that no other one begins with.
// Errors: ErrNoSnapshot, ErrDamaged, the destination's.
func (a *Archive) Snapshot(ctx context.Context, name string) (*Snapshot, error) {
	ref, err := a.findSnapshot(name)
	if err != nil {
		return nil, err
	}
	if err := a.useCatalog(ctx); err != nil {
		return nil, err
	}
	body, err := a.readSnapshot(ctx, ref.Name)
	return &Snapshot{a, ref, body}, err
}

func (a *Archive) findSnapshot(name string) (format.SnapshotRef, error) {
	refs := a.head.Snapshots
	if len(refs) == 0 {
		return format.SnapshotRef{}, fmt.Errorf("%w: the archive has none yet", ErrNoSnapshot)
	}
	if name == "" || name == "latest" {
		return refs[len(refs)-1], nil
	}
	var found []format.SnapshotRef
	for _, s := range refs {
		if len(name) >= 4 && strings.HasPrefix(snapshotID(s.Name).String(), strings.ToLower(name)) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return format.SnapshotRef{}, fmt.Errorf("%w: %q is neither \"latest\" nor the beginning (four digits or more) of a snapshot's id", ErrNoSnapshot, name)
	}
	return format.SnapshotRef{}, fmt.Errorf("%w: %d snapshots begin with %q; give more digits", ErrNoSnapshot, len(found), name)
}

func (a *Archive) readSnapshot(ctx context.Context, digest format.Digest) (*format.Snapshot, error) {
	name := a.name(dirSnapshots, digest.String())
	plain, err := a.readObject(ctx, format.TypeSnapshot, name, digest)
	if err != nil {
		return nil, err
	}
	s, err := format.DecodeSnapshot(plain)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", name, err)
	}
	return s, nil
}

// Info returns the snapshot's summary.
func (s *Snapshot) Info() SnapshotInfo { return snapshotInfo(s.ref) }

// Source returns the folder that was backed up, as the device that did it named it.
func (s *Snapshot) Source() string { return s.body.Source }

// Problems returns what the backup that made the snapshot could not store as it should.
func (s *Snapshot) Problems() []Problem {
	problems := make([]Problem, len(s.body.Problems))
	for i, p := range s.body.Problems {
		problems[i] = Problem{p.Path, ProblemKind(p.Kind), p.Detail}
	}
	return problems
}

// List yields the entry at a path, if it is no folder, or what is in the folder there: itself excluded, all below it if
// recursive. The path "" is the source. Errors: ErrNoPath, ErrDamaged, the destination's. A damaged stretch of the listing is
// yielded as an error, and the entries behind it follow.
func (s *Snapshot) List(ctx context.Context, path string, recursive bool) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := s.a.useCatalog(ctx); err != nil {
			yield(Entry{}, err)
			return
		}
		path := strings.Trim(path, "/")
		found := path == ""
		failed := false
		for e, err := range s.a.entries(ctx, s.body, path, true) {
			if err != nil {
				if failed = true; !yield(Entry{}, err) {
					return
				}
				continue
			}
			found = true
			if e.Path == path && e.Type == TypeDir {
				continue
			}
			below := strings.TrimPrefix(strings.TrimPrefix(e.Path, path), "/")
			if (recursive || !strings.Contains(below, "/")) && !yield(publicEntry(e), nil) {
				return
			}
		}
		if !found && !failed {
			yield(Entry{}, fmt.Errorf("%w: %q", ErrNoPath, path))
		}
	}
}

// entries yields the entry at a path and, if below, all that are below it, reading only the leaves that can hold them. A
// leaf that cannot be read is yielded as an error; going on then reads the next one.
func (a *Archive) entries(ctx context.Context, s *format.Snapshot, path string, below bool) iter.Seq2[*format.Entry, error] {
	return func(yield func(*format.Entry, error) bool) {
		leaves := s.Leaves
		// The last leaf whose first entry is not behind the path is the first that can hold it.
		from := max(0, sort.Search(len(leaves), func(i int) bool { return format.ComparePaths(leaves[i].First, path) > 0 })-1)
		var prev *format.Entry // the last one before this leaf
		gap := from > 0
		for i := from; i < len(leaves); i++ {
			if i > from && leaves[i].First != path && !(below && within(leaves[i].First, path)) {
				return
			}
			entries, err := a.readLeaf(ctx, leaves, i)
			if err == nil && !continues(prev, &entries[0], gap) {
				err = errDisorder
			}
			if err != nil {
				if !yield(nil, err) || ctx.Err() != nil {
					return
				}
				gap = true
				continue
			}
			prev, gap = &entries[len(entries)-1], false
			for k := range entries {
				if e := &entries[k]; (e.Path == path || below && within(e.Path, path)) && !yield(e, nil) {
					return
				}
			}
		}
	}
}

var errDisorder = fmt.Errorf("%w: the listing is out of order", ErrDamaged)

// continues tells whether a leaf that begins with next may come behind prev, or begin the listing if that is nil. Behind a gap
// the folders of next may be missing; but still no path comes twice, nor below what is no folder.
func continues(prev, next *format.Entry, gap bool) bool {
	switch {
	case prev == nil:
		return gap || next.Path == "" && next.Type == TypeDir
	case gap:
		return format.ComparePaths(prev.Path, next.Path) < 0 && (prev.Type == TypeDir || !within(next.Path, prev.Path))
	}
	return format.Follows(prev, next)
}

// within reports whether a path is below a folder.
func within(path, dir string) bool {
	return dir == "" && path != "" || len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir
}

func (a *Archive) readLeaf(ctx context.Context, leaves []format.LeafRef, i int) ([]format.Entry, error) {
	plain, err := a.content(ctx, leaves[i].ID)
	var entries []format.Entry
	if err == nil {
		entries, err = format.DecodeLeaf(plain)
	}
	if err == nil && (len(entries) == 0 || entries[0].Path != leaves[i].First) {
		err = fmt.Errorf("%w: a leaf does not begin where it should", ErrDamaged)
	}
	if err != nil {
		until := "the end"
		if i+1 < len(leaves) {
			until = fmt.Sprintf("%q", leaves[i+1].First)
		}
		return nil, fmt.Errorf("the listing from %q to %s cannot be read: %w", leaves[i].First, until, err)
	}
	return entries, nil
}

// Change is one difference between two snapshots.
type Change struct {
	Path     string
	Kind     string // "added", "removed", "changed" (contents or type), "metadata" (mode, time or a link's target)
	Old, New Entry  // the zero Entry where there is none
}

// Diff yields what differs between two snapshots of the archive, in the order of paths. Leaves that both share are not read.
func (a *Archive) Diff(ctx context.Context, older, newer *Snapshot) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if err := a.useCatalog(ctx); err != nil {
			yield(Change{}, err)
			return
		}
		nextOld, stopOld := iter.Pull2(a.entriesNotIn(ctx, older.body, newer.body))
		defer stopOld()
		nextNew, stopNew := iter.Pull2(a.entriesNotIn(ctx, newer.body, older.body))
		defer stopNew()
		x, errX, okX := nextOld()
		y, errY, okY := nextNew()
		for okX || okY {
			if err := errX; err != nil || errY != nil {
				if err == nil {
					err = errY
				}
				yield(Change{}, err)
				return
			}
			order := 0
			switch {
			case !okX:
				order = 1
			case !okY:
				order = -1
			default:
				order = format.ComparePaths(x.Path, y.Path)
			}
			c := change(x, y, order)
			if order <= 0 {
				x, errX, okX = nextOld()
			}
			if order >= 0 {
				y, errY, okY = nextNew()
			}
			if c.Kind != "" && !yield(c, nil) {
				return
			}
		}
	}
}

// change compares entries: order < 0 means that only x is there, > 0 that only y is.
func change(x, y *format.Entry, order int) Change {
	switch {
	case order < 0:
		return Change{Path: x.Path, Kind: "removed", Old: publicEntry(x)}
	case order > 0:
		return Change{Path: y.Path, Kind: "added", New: publicEntry(y)}
	}
	c := Change{Path: x.Path, Old: publicEntry(x), New: publicEntry(y)}
	switch {
	case x.Type != y.Type || x.Size != y.Size || x.PageSize != y.PageSize || !slices.Equal(x.Segments, y.Segments) || !slices.Equal(x.Layers, y.Layers):
		c.Kind = "changed"
	case x.Mode != y.Mode || !x.ModTime.Equal(y.ModTime) || x.Target != y.Target:
		c.Kind = "metadata"
	}
	return c
}

// entriesNotIn yields the entries of leaves that the other snapshot does not share.
func (a *Archive) entriesNotIn(ctx context.Context, s, other *format.Snapshot) iter.Seq2[*format.Entry, error] {
	shared := map[format.ContentID]bool{}
	for _, l := range other.Leaves {
		shared[l.ID] = true
	}
	return func(yield func(*format.Entry, error) bool) {
		for i := range s.Leaves {
			if shared[s.Leaves[i].ID] {
				continue
			}
			entries, err := a.readLeaf(ctx, s.Leaves, i)
			if err != nil {
				yield(nil, err)
				return
			}
			for k := range entries {
				if !yield(&entries[k], nil) {
					return
				}
			}
		}
	}
}
