// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/coffer-backup/coffer/archive/format"
)

// drawTree draws a listing whose paths are alike: names begin with each other, and have bytes before and after the slash.
func drawTree(rt *rapid.T, f *forger) map[string]format.Entry {
	entries := map[string]format.Entry{"": forgedDir("")}
	names := rapid.SampledFrom([]string{"a", "a.b", "ab", "a b", "a-", "a0", "b", "\xff", "A"})
	for range rapid.IntRange(0, 40).Draw(rt, "files") {
		p := path.Join(rapid.SliceOfN(names, 1, 4).Draw(rt, "path")...)
		free := true
		for _, folder := range parents(p) {
			e, there := entries[folder]
			free = free && (!there || e.Type == TypeDir)
		}
		if e, there := entries[p]; there && e.Type == TypeDir || !free {
			continue
		}
		for _, folder := range parents(p) {
			entries[folder] = forgedDir(folder)
		}
		switch rapid.IntRange(0, 3).Draw(rt, "type") {
		case 0:
			entries[p] = forgedDir(p)
		case 1:
			entries[p] = forgedLink(p, rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "target"))
		default:
			e := f.file(p, rapid.SampledFrom([]string{"one", "two"}).Draw(rt, "data"))
			e.Mode = rapid.SampledFrom([]uint32{0o600, 0o644}).Draw(rt, "mode")
			entries[p] = e
		}
	}
	return entries
}

func sortedPaths(entries map[string]format.Entry) []string {
	return slices.SortedFunc(maps.Keys(entries), format.ComparePaths)
}

// drawLeaves cuts a listing anywhere. All but the first leaf may be drawn to be lost; lost holds the paths of those.
func drawLeaves(rt *rapid.T, entries map[string]format.Entry, mayLose bool) (leaves [][]format.Entry, lost map[string]bool) {
	lost = map[string]bool{}
	for _, p := range sortedPaths(entries) {
		if len(leaves) == 0 || rapid.IntRange(0, 3).Draw(rt, "cut") == 0 {
			leaves = append(leaves, nil)
		}
		leaves[len(leaves)-1] = append(leaves[len(leaves)-1], entries[p])
	}
	for _, leaf := range leaves[1:] {
		if mayLose && rapid.IntRange(0, 3).Draw(rt, "lost") == 0 {
			for _, e := range leaf {
				lost[e.Path] = true
			}
		}
	}
	return leaves, lost
}

// shelve commits a listing, with the contents of lost leaves in no pack.
func (f *forger) shelve(leaves [][]format.Entry, lost map[string]bool) ID {
	s := &format.Snapshot{Time: f.w.clock.now()}
	for _, leaf := range leaves {
		ref := format.LeafRef{ID: format.ContentID{1}, First: leaf[0].Path}
		if !lost[leaf[0].Path] {
			ref.ID = f.content(format.EncodeLeaf(leaf))
		}
		s.Leaves = append(s.Leaves, ref)
	}
	return f.commit(s)
}

// naiveList is what List means.
func naiveList(entries map[string]format.Entry, at string, recursive bool) (paths []string) {
	for _, p := range sortedPaths(entries) {
		switch {
		case p == at && entries[p].Type != TypeDir:
		case p != at && within(p, at) && (recursive || path.Dir(p) == at || at == "" && path.Dir(p) == "."):
		default:
			continue
		}
		paths = append(paths, p)
	}
	return paths
}

func TestList(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	rapid.Check(t, func(rt *rapid.T) {
		entries := drawTree(rt, f)
		leaves, gone := drawLeaves(rt, entries, true)
		s, err := f.a.Snapshot(t.Context(), f.shelve(leaves, gone).String())
		must(t, err)
		asked := append(sortedPaths(entries), "c", "a/c", "a/b/c", "aa")
		for _, at := range asked {
			for _, recursive := range []bool{false, true} {
				var want, got []string
				for _, p := range naiveList(entries, at, recursive) {
					if !gone[p] {
						want = append(want, p)
					}
				}
				failed, missing := false, false
				for e, err := range s.List(t.Context(), at+strings.Repeat("/", len(at)%2), recursive) {
					if err != nil {
						failed, missing = failed || errors.Is(err, ErrDamaged), missing || errors.Is(err, ErrNoPath)
						continue
					}
					if diff := publicEntry(ptr(entries[e.Path])); e != diff {
						rt.Errorf("%q: %+v instead of %+v", e.Path, e, diff)
					}
					got = append(got, e.Path)
				}
				if !slices.Equal(got, want) {
					rt.Errorf("List(%q, %t) = %q, want %q", at, recursive, got, want)
				}
				_, there := entries[at]
				if missing && there || !missing && !there && !failed {
					rt.Errorf("List(%q): exists %t, ErrNoPath %t", at, there, missing)
				}
				lostBelow := slices.ContainsFunc(slices.Collect(maps.Keys(gone)), func(p string) bool { return p == at || within(p, at) })
				if lostBelow && !failed || len(gone) == 0 && failed {
					rt.Errorf("List(%q, %t): error %t, lost %v", at, recursive, failed, gone)
				}
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }

func TestDiff(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	rapid.Check(t, func(rt *rapid.T) {
		old := drawTree(rt, f)
		now := maps.Clone(old)
		if rapid.Bool().Draw(rt, "unrelated") {
			now = drawTree(rt, f)
		} else {
			for _, p := range sortedPaths(old) {
				if old[p].Type == TypeFile && rapid.IntRange(0, 5).Draw(rt, "change") == 0 {
					now[p] = f.file(p, "three")
				}
				if old[p].Type != TypeDir && rapid.IntRange(0, 5).Draw(rt, "remove") == 0 {
					delete(now, p)
				}
			}
		}
		var snapshots [2]*Snapshot
		for i, entries := range []map[string]format.Entry{old, now} {
			leaves, gone := drawLeaves(rt, entries, false)
			s, err := f.a.Snapshot(t.Context(), f.shelve(leaves, gone).String())
			must(t, err)
			snapshots[i] = s
		}
		want := map[string]string{}
		for p := range union(old, now) {
			x, inOld := old[p]
			y, inNow := now[p]
			switch {
			case !inOld:
				want[p] = "added"
			case !inNow:
				want[p] = "removed"
			case x.Type != y.Type || x.Size != y.Size || !slices.Equal(x.Segments, y.Segments):
				want[p] = "changed"
			case x.Mode != y.Mode || x.Target != y.Target:
				want[p] = "metadata"
			}
		}
		got := map[string]string{}
		last := ""
		for c, err := range f.a.Diff(t.Context(), snapshots[0], snapshots[1]) {
			must(t, err)
			if len(got) > 0 && format.ComparePaths(last, c.Path) >= 0 {
				rt.Errorf("%q comes behind %q", c.Path, last)
			}
			last, got[c.Path] = c.Path, c.Kind
			if x, there := old[c.Path]; there && c.Old != publicEntry(&x) || !there && c.Old != (Entry{}) {
				rt.Errorf("%q: old %+v", c.Path, c.Old)
			}
			if y, there := now[c.Path]; there && c.New != publicEntry(&y) || !there && c.New != (Entry{}) {
				rt.Errorf("%q: new %+v", c.Path, c.New)
			}
		}
		if !maps.Equal(got, want) {
			rt.Errorf("Diff = %v, want %v", got, want)
		}
	})
}

func union(x, y map[string]format.Entry) map[string]bool {
	all := map[string]bool{}
	for p := range x {
		all[p] = true
	}
	for p := range y {
		all[p] = true
	}
	return all
}

// TestListStops: whoever has seen enough stops, and nothing is left behind.
func TestListStops(t *testing.T) {
	_, d, ids := library(t)
	a := d.mustOpen()
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	older, err := a.Snapshot(t.Context(), ids[0].String())
	must(t, err)
	before := runtime.NumGoroutine()
	for stopAt := range 5 {
		for _, seq := range []iter.Seq[error]{errorsOf(s.List(t.Context(), "", true)), errorsOf(a.Diff(t.Context(), older, s))} {
			n := 0
			for err := range seq {
				must(t, err)
				if n++; n > stopAt {
					break
				}
			}
			if n != stopAt+1 {
				t.Fatalf("there were only %d", n)
			}
		}
	}
	waitGoroutines(t, before)
}

func errorsOf[T any](seq iter.Seq2[T, error]) iter.Seq[error] {
	return func(yield func(error) bool) {
		for _, err := range seq {
			if !yield(err) {
				return
			}
		}
	}
}

// TestLeafBoundaries lists a store whose listing has many leaves, made by a backup.
func TestLeafBoundaries(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	cuts := w.cuts(d, 8)
	for _, name := range cuts {
		for _, file := range []string{name, name + "/", name + ".x", name + "-x"} {
			if !strings.HasSuffix(file, "/") {
				w.write("contacts/"+file, []byte(file))
			}
		}
	}
	d.mustBackup()
	a := d.mustOpen()
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	if len(s.body.Leaves) <= len(cuts) {
		t.Fatalf("the listing has only %d leaves", len(s.body.Leaves))
	}
	for _, name := range cuts {
		for _, file := range []string{name, name + ".x", name + "-x"} {
			if got := dumped(t, s, "contacts/"+file); string(got) != file {
				t.Errorf("%s holds %q", file, got)
			}
		}
	}
	n := 0
	for _, err := range s.List(t.Context(), "contacts", false) {
		must(t, err)
		n++
	}
	if n != 3*len(cuts) {
		t.Errorf("%d entries", n)
	}
}

func TestSnapshotNames(t *testing.T) {
	_, d, ids := library(t)
	a := d.mustOpen()
	id := ids[1].String()
	for name, want := range map[string]ID{
		"": ids[2], "latest": ids[2], id: ids[1], id[:4]: ids[1], strings.ToUpper(id[:9]): ids[1],
	} {
		s, err := a.Snapshot(t.Context(), name)
		must(t, err)
		if s.Info().ID != want || s.Info().Time.IsZero() || s.Source() == "" {
			t.Errorf("%q is %+v, want %s", name, s.Info(), want)
		}
	}
	for _, name := range []string{id[:3], "zzzz", "Latest", id + "0", "0000\x00"} {
		_, err := a.Snapshot(t.Context(), name)
		wantErr(t, name, err, ErrNoSnapshot)
	}
	// Two that begin alike.
	ref := a.head.Snapshots[0]
	ref.Name[15]++
	ref.Time = ref.Time.Add(time.Second)
	a.head.Snapshots = append(a.head.Snapshots, ref)
	_, err := a.Snapshot(t.Context(), fmt.Sprint(snapshotID(ref.Name))[:30])
	wantErr(t, "ambiguous", err, ErrNoSnapshot)
}
