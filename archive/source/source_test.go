// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir string, paths ...string) {
	t.Helper()
	for _, p := range paths {
		full := filepath.Join(dir, filepath.FromSlash(p))
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(p), 0o644))
	}
}

func walked(t *testing.T, dir string, exclude ...string) (paths []string) {
	t.Helper()
	tree, err := Open(dir, exclude)
	must(t, err)
	must(t, tree.Walk(t.Context(), func(it Item, err error) error {
		must(t, err)
		paths = append(paths, it.Path)
		return nil
	}))
	return paths
}

func TestExclude(t *testing.T) {
	dir := t.TempDir()
	all := []string{
		"a.tmp", "b/a.tmp", "b/c/a.tmp", "b/c/d.txt", "b/x", "cache/1", "cache/2", "deep/cache/3", "file", "x/y",
		"[odd]", "{odd}", "sp ace", "\xff.bin", "#hash", "!bang", "back\\slash",
	}
	write(t, dir, all...)
	for _, c := range []struct {
		patterns []string
		gone     []string // files; folders follow
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"# a comment"}, nil},
		{[]string{"*.tmp"}, []string{"a.tmp", "b/a.tmp", "b/c/a.tmp"}},
		{[]string{"/*.tmp"}, []string{"a.tmp"}},
		{[]string{"b/*.tmp"}, []string{"b/a.tmp"}},
		{[]string{"b/**/*.tmp"}, []string{"b/a.tmp", "b/c/a.tmp"}},
		{[]string{"b/**"}, []string{"b/a.tmp", "b/c/a.tmp", "b/c/d.txt", "b/x"}},
		{[]string{"cache"}, []string{"cache/1", "cache/2", "deep/cache/3"}},
		{[]string{"cache/"}, []string{"cache/1", "cache/2", "deep/cache/3"}},
		{[]string{"/cache"}, []string{"cache/1", "cache/2"}},
		{[]string{"/cache/"}, []string{"cache/1", "cache/2"}},
		{[]string{"file/"}, nil},
		{[]string{"x"}, []string{"b/x", "x/y"}},
		{[]string{"x/"}, []string{"x/y"}},
		{[]string{"cache/[12]"}, []string{"cache/1", "cache/2"}},
		{[]string{"cache/{1,9}"}, []string{"cache/1"}},
		{[]string{"?"}, []string{"b/a.tmp", "b/c/a.tmp", "b/c/d.txt", "b/x", "cache/1", "cache/2", "deep/cache/3", "x/y"}},
		{[]string{`\[odd\]`}, []string{"[odd]"}},
		{[]string{`\{odd\}`}, []string{"{odd}"}},
		{[]string{"sp ace"}, []string{"sp ace"}},
		{[]string{"*.bin"}, []string{"\xff.bin"}},
		{[]string{`\#hash`}, []string{"#hash"}},
		{[]string{`\!bang`}, []string{"!bang"}},
		{[]string{"[!a]bang"}, []string{"!bang"}},
		{[]string{`back\\slash`}, []string{"back\\slash"}},
		{[]string{"*"}, all},
		{[]string{"**"}, all},
		{[]string{"a.tmp", "file"}, []string{"a.tmp", "b/a.tmp", "b/c/a.tmp", "file"}},
		{[]string{"FILE"}, nil},
	} {
		got := walked(t, dir, c.patterns...)
		for _, p := range all {
			if slices.Contains(got, p) == slices.Contains(c.gone, p) {
				t.Errorf("%q: %q is there: %v", c.patterns, p, slices.Contains(got, p))
			}
		}
		if got[0] != "" {
			t.Errorf("%q: the tree itself is gone", c.patterns)
		}
	}
	for _, bad := range []string{"!file", "[", "a{b", "/", "a[b-"} {
		if _, err := Open(dir, []string{bad}); err == nil {
			t.Errorf("pattern %q was taken", bad)
		}
	}
}

func TestDatabaseGlob(t *testing.T) {
	for _, c := range []struct {
		text string
		size uint32
		yes  []string
		no   []string
	}{
		{"*.db", 4096, []string{"x.db", "a/x.db"}, []string{"x.db-wal", "db"}},
		{"/a/x.db:1024", 1024, []string{"a/x.db"}, []string{"b/a/x.db", "x.db"}},
		{"a/*.db:65536", 65536, []string{"a/x.db"}, []string{"a/b/x.db"}},
		{"x:y:512", 512, []string{"x:y"}, []string{"x"}},
	} {
		g, err := ParseDatabaseGlob(c.text)
		if err != nil || g.PageSize != c.size {
			t.Errorf("%q: page size %d, %v", c.text, g.PageSize, err)
			continue
		}
		for _, p := range c.yes {
			if !g.Matches(p) {
				t.Errorf("%q does not match %q", c.text, p)
			}
		}
		for _, p := range c.no {
			if g.Matches(p) {
				t.Errorf("%q matches %q", c.text, p)
			}
		}
	}
	for _, bad := range []string{"", ":4096", "x:", "x:0", "x:511", "x:1000", "x:131072", "x:-4096", "x:4096k", "x:+512", "x: 512", "!x", "[", "x:y"} {
		if g, err := ParseDatabaseGlob(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, g)
		}
	}
}

// TestOrder: a walk comes in the order of a listing.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/x", "a-b", "a.b/y", "a0", "ab/z", "A", "a/x-/1", "a/x0", "b")
	paths := walked(t, dir)
	if !slices.IsSortedFunc(paths, format.ComparePaths) || len(paths) != 14 {
		t.Errorf("%q", paths)
	}
}

func TestSettledAndFresh(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		s              Stat
		settled, fresh bool
	}{
		{Stat{}, true, false},
		{Stat{ModTime: ago(time.Hour), ChangeTime: ago(time.Hour)}, true, false},
		{Stat{ModTime: ago(time.Hour), ChangeTime: ago(time.Second)}, false, false},
		{Stat{ModTime: ago(time.Second), ChangeTime: ago(time.Hour)}, false, false},
		{Stat{ModTime: ago(time.Hour), ChangeTime: ago(time.Millisecond)}, false, true},
		{Stat{ModTime: ago(time.Millisecond)}, false, true},
		{Stat{ModTime: ago(-time.Hour), ChangeTime: ago(time.Hour)}, false, false}, // a time in the future says nothing
		{Stat{ModTime: ago(-time.Hour)}, false, false},
	} {
		if c.s.Settled(now) != c.settled || c.s.Fresh(now) != c.fresh {
			t.Errorf("%+v: settled %v, fresh %v", c.s, c.s.Settled(now), c.s.Fresh(now))
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file")
	if _, err := Open(filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "file"), nil); err == nil {
		t.Error("a file was taken for a folder")
	}
	tree, err := Open(dir, nil)
	must(t, err)
	if _, _, err := tree.OpenFile("none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, _, err := tree.OpenFile(""); !errors.Is(err, ErrNotRegular) {
		t.Errorf("the folder itself: %v", err)
	}
	if s := tree.Lstat("none"); s != (Stat{}) {
		t.Errorf("%+v", s)
	}
	must(t, os.RemoveAll(dir))
	nobody := func(Item, error) error { t.Error("visited"); return nil }
	if err := tree.Walk(t.Context(), nobody); err == nil {
		t.Error("a walk through nothing")
	}
	must(t, os.WriteFile(dir, nil, 0o600))
	if err := tree.Walk(t.Context(), nobody); err == nil {
		t.Error("a walk through a file")
	}
}

func TestWalkEnds(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/b", "c")
	tree, err := Open(dir, nil)
	must(t, err)
	stop := errors.New("stop")
	if err := tree.Walk(t.Context(), func(it Item, _ error) error {
		if it.Path == "a" {
			return stop
		}
		return nil
	}); err != stop {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := tree.Walk(ctx, func(Item, error) error { cancel(stop); return nil }); err != stop {
		t.Errorf("%v", err)
	}
}
