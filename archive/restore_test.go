// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func TestRestoreLibrary(t *testing.T) {
	w, d, ids := library(t)
	a := d.mustOpen()
	for _, id := range ids {
		dir, r := restoreTo(t, a, RestoreConfig{Snapshot: id.String()})
		wantTree(t, dir, w.want[id])
		if r.Snapshot != id || int(r.Files) != len(w.want[id]) || r.Skipped != 0 || len(r.Problems) > 0 {
			t.Errorf("report: %+v, there are %d entries", r, len(w.want[id]))
		}
	}
}

// TestRestoreAfterBackup uses one open archive for both, and a snapshot that was opened before.
func TestRestoreAfterBackup(t *testing.T) {
	w, d, ids := library(t)
	a := d.mustOpen()
	s, err := a.Snapshot(t.Context(), ids[0].String())
	must(t, err)
	w.write("new", []byte("new"))
	r, err := d.backupOn(a)
	must(t, err)
	dumped(t, s, "media/old.jpg")
	delete(w.want[r.Snapshot], "Databases/msgstore.db-wal")
	dir, _ := restoreTo(t, a, RestoreConfig{})
	wantTree(t, dir, w.want[r.Snapshot])
}

// TestRestoreContents has files of all shapes: with holes and zeros everywhere, of one and several segments, and so large that
// their segments are in lists.
func TestRestoreContents(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	const seg = format.SegmentSize
	zeros := make([]byte, seg)
	data := random(1, seg)
	for name, content := range map[string][]byte{
		"one byte": {1}, "one zero": {0}, "zeros": zeros[:9999], "exact": data, "exact zeros": zeros,
		"hole at the end": slices.Concat(data, zeros, zeros[:5]), "hole at the beginning": slices.Concat(zeros, data[:5]),
		"hole inside": slices.Concat(data, zeros, data), "twice": slices.Concat(data, data), "one more": append(slices.Clone(data), 9),
	} {
		w.write(name, content)
	}
	f, err := os.Create(filepath.Join(w.src, "sparse"))
	must(t, err)
	must(t, f.Truncate(66*seg)) // its segments are named in a list
	for _, at := range []int64{0, 5000, 7*seg - 3, 60 * seg, 66*seg - 1} {
		_, err := f.WriteAt([]byte("data"), min(at, 66*seg-4))
		must(t, err)
	}
	must(t, f.Close())
	d.mustBackup()
	a := d.mustOpen()
	var progress Progress
	dir, _ := restoreTo(t, a, RestoreConfig{Progress: &progress})
	if progress.DoneBytes.Load() != progress.TotalBytes.Load() || progress.DoneFiles.Load() != progress.TotalFiles.Load() {
		t.Errorf("at the end the progress is %d of %d bytes, %d of %d files", progress.DoneBytes.Load(), progress.TotalBytes.Load(),
			progress.DoneFiles.Load(), progress.TotalFiles.Load())
	}
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	for e, err := range s.List(t.Context(), "", true) {
		must(t, err)
		want := readFile(t, filepath.Join(w.src, e.Path))
		if !bytes.Equal(readFile(t, filepath.Join(dir, e.Path)), want) {
			t.Errorf("%q is restored wrong", e.Path)
		}
		if !bytes.Equal(dumped(t, s, e.Path), want) {
			t.Errorf("%q is dumped wrong", e.Path)
		}
	}
	if was, is := diskUse(t, filepath.Join(w.src, "sparse")), diskUse(t, filepath.Join(dir, "sparse")); is > was+64<<10 {
		t.Errorf("a sparse file took %d bytes, its restored copy %d", was, is)
	}
}

// TestRestorePaths selects parts of a snapshot.
func TestRestorePaths(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	for _, p := range []string{"a/b/c", "a/b/d", "a/bb", "a.b", "ab", "b/x/y", "b/z"} {
		w.write(p, []byte(p))
	}
	must(t, os.Chmod(filepath.Join(w.src, "a"), 0o711))
	must(t, os.Chmod(filepath.Join(w.src, "a/b"), 0o500))
	settle(t, w.src)
	want := w.want[d.mustBackup().Snapshot]
	a := d.mustOpen()
	for _, test := range []struct{ paths, want string }{
		{"", ". a a/b a/b/c a/b/d a/bb a.b ab b b/x b/x/y b/z"},
		{"/", ". a a/b a/b/c a/b/d a/bb a.b ab b b/x b/x/y b/z"},
		{"a", ". a a/b a/b/c a/b/d a/bb"},
		{"a/b/", ". a a/b a/b/c a/b/d"},
		{"a/b/d", ". a a/b a/b/d"},
		{"b/z ab a/b/d", ". a a/b a/b/d ab b b/z"},
		{"a/b/c a/b a/b a/bb b/x", ". a a/b a/b/c a/b/d a/bb b b/x b/x/y"},
		{"b/x/y a", ". a a/b a/b/c a/b/d a/bb b b/x b/x/y"},
	} {
		paths := strings.Fields(test.paths)
		kept := slices.Clone(paths)
		dir, r := restoreTo(t, a, RestoreConfig{Paths: paths})
		part := tree{}
		for _, p := range strings.Fields(test.want) {
			part[p] = want[p]
		}
		wantTree(t, dir, part)
		if !slices.Equal(paths, kept) {
			t.Errorf("the caller's paths %q became %q", kept, paths)
		}
		if test.paths == "a/b/d" && r.Files != 1 {
			t.Errorf("one file was restored, the report says %d", r.Files)
		}
	}
	for _, missing := range []string{"c", "a/b/c/d", "a/bbb", ".", "..", "../a", "a//b", "a/b\x00"} {
		dir := filepath.Join(t.TempDir(), "target")
		_, err := a.Restore(t.Context(), RestoreConfig{Dir: dir, Paths: []string{"ab", missing}})
		wantErr(t, missing, err, ErrNoPath)
		if _, err := os.Lstat(dir); err == nil {
			t.Errorf("%q: the folder was made all the same", missing)
		}
	}
}

// TestRestoreMetadata has modes and times that get in the way of writing.
func TestRestoreMetadata(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	old := time.Date(1969, 12, 31, 23, 59, 58, 999999999, time.UTC)
	entries := []format.Entry{
		{Path: "", Type: TypeDir, Mode: 0o555, ModTime: old},
		{Path: "dir", Type: TypeDir, Mode: 0o1000, ModTime: old},
		f.file("dir/none", "x"), f.file("dir/read", "y"), f.file("dir/suid", "z"),
		forgedLink("dir/to", "read"),
		{Path: "future", Type: TypeFile, Mode: 0o622, ModTime: time.Date(2100, 1, 1, 0, 0, 0, 5, time.UTC)},
	}
	entries[2].Mode, entries[3].Mode, entries[4].Mode = 0, 0o400, 0o6755
	entries[2].ModTime = old
	f.snapshot(entries)
	for _, setuid := range []bool{false, true} {
		dir, _ := restoreTo(t, f.a, RestoreConfig{Setuid: setuid})
		for _, e := range entries {
			info, err := os.Lstat(filepath.Join(dir, e.Path))
			must(t, err)
			mode := fs.FileMode(e.Mode & 0o777)
			if setuid {
				mode = (&restore{c: RestoreConfig{Setuid: true}}).mode(e.Mode)
			}
			got := info.Mode() &^ fs.ModeDir
			if e.Type == TypeSymlink {
				got = mode // a link has none
			}
			if got != mode || !info.ModTime().Equal(e.ModTime) {
				t.Errorf("setuid %t, %q: mode %v, time %v; want %v, %v", setuid, e.Path, got, info.ModTime(), mode, e.ModTime)
			}
		}
		must(t, os.Chmod(dir, 0o700)) // so that it can be removed
	}
}

// TestRestoreOddNames forges what no source here can have: see also the placer's tests.
func TestRestoreOddNames(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	long, deep := strings.Repeat("n", 255), strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 200)+"/", 40), "/")
	tooLong := strings.Repeat("\u3042", 86) // 258 bytes
	entries := []format.Entry{forgedDir("")}
	for _, name := range []string{"\xff\xfe", "\x01\n\x7f", `back\slash`, "C:", "CON", "con.", "a ", long, tooLong, "~", workName} {
		entries = append(entries, f.file(name, "of "+name))
	}
	for i := range deep {
		if deep[i] == '/' {
			entries = append(entries, forgedDir(deep[:i]))
		}
	}
	entries = append(entries, f.file(deep, "deep"))
	slices.SortFunc(entries, func(x, y format.Entry) int { return format.ComparePaths(x.Path, y.Path) })
	f.snapshot(entries)
	dir, r := restoreTo(t, f.a, RestoreConfig{})
	renamed := map[string]bool{}
	for _, p := range r.Problems {
		renamed[p.Path] = p.Kind == ProblemRenamed
	}
	if len(r.Problems) != 2 || !renamed[tooLong] || !renamed[workName] {
		t.Errorf("problems: %v", r.Problems)
	}
	names := map[string]string{}
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	must(t, fs.WalkDir(root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			data, err := root.ReadFile(p)
			must(t, err)
			names[string(data)] = p
		}
		return err
	}))
	for _, e := range entries {
		if e.Type == TypeFile && e.Path != deep && !renamed[e.Path] && names["of "+e.Path] != e.Path {
			t.Errorf("%q was restored as %q", e.Path, names["of "+e.Path])
		}
	}
	if got, err := root.ReadFile(deep); err != nil || string(got) != "deep" {
		t.Errorf("deep file: %q, %v", got, err)
	}
	for _, p := range []string{tooLong, workName} {
		if got := names["of "+p]; got == "" || got == p || len(got) > 255 {
			t.Errorf("%q was restored as %q", p, got)
		}
	}
}

// TestRestoreOccupied: what is in the way is named before anything is written, and stays unless it may be overwritten.
func TestRestoreOccupied(t *testing.T) {
	w, d, _ := library(t)
	a := d.mustOpen()
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "victim"), []byte("do not touch"))
	link := func(target string) func(string) error { return func(p string) error { return os.Symlink(target, p) } }
	file := func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) }
	for _, test := range []struct {
		name, path string
		make       func(string) error
		refuse     bool // with Overwrite, too
		named      string
	}{
		{"file", "notes.txt", file, false, "notes.txt"},
		{"file for a folder", "media", file, false, "media"},
		{"folder for a file", "media/old.jpg", func(p string) error { return os.Mkdir(p, 0o700) }, true, "media/old.jpg"},
		{"full folder for a link", "dangling/mine", file, true, "dangling"},
		{"file for a link", "dangling", file, false, "dangling"},
		{"link for a file", "notes.txt", link(outside + "/victim"), false, "notes.txt"},
		{"dangling link for a file", "notes.txt", link(outside + "/new"), false, "notes.txt"},
		{"link for a folder", "media", link(outside), false, "media"},
		{"inner link for a folder", "media", link("."), false, "media"},
		{"the same link", "dangling", link("/nonexistent"), false, "dangling"},
		{"link to itself", "media", link("media"), false, "media"},
		{"old journal", "Databases/msgstore.db-journal", file, false, "Databases/msgstore.db"},
		{"private folder is a file", workName, file, true, workName},
		{"private folder is a link", workName, link(outside), true, workName},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, test.path)), 0o755))
			must(t, test.make(filepath.Join(dir, test.path)))
			writeFile(t, filepath.Join(dir, "mine too"), []byte("mine"))
			before := readTree(t, dir)
			_, err := a.Restore(t.Context(), RestoreConfig{Dir: dir})
			wantErr(t, "restore", err, ErrOccupied)
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", test.named)) {
				t.Errorf("the error does not name %q: %v", test.named, err)
			}
			wantTree(t, dir, before)
			_, err = a.Restore(t.Context(), RestoreConfig{Dir: dir, Overwrite: true})
			if test.refuse {
				wantErr(t, "restore with overwrite", err, ErrOccupied)
				wantTree(t, dir, before)
			} else {
				must(t, err)
				want := w.want[latest(a)].without(".")
				want["mine too"] = before["mine too"]
				wantTree(t, dir, want.with(".", readTree(t, dir)["."]))
			}
			if got := readTree(t, outside); len(got) != 2 || string(readFile(t, outside+"/victim")) != "do not touch" {
				t.Errorf("outside the folder there is now %v", got)
			}
		})
	}
}

func latest(a *Archive) ID {
	all := a.Snapshots()
	return all[len(all)-1].ID
}

// TestRestoreOverwriteDatabase: what belongs to the old database goes, what was restored beside the new one stays.
func TestRestoreOverwriteDatabase(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = copyFile
	d.config.Databases = []string{"cipher.db:4096"}
	w.write("plain.db", database(3, nil))
	w.write("cipher.db", random(5, 3*4096))
	w.write("cipher.db-wal", random(6, 500))
	want := w.want[d.mustBackup().Snapshot]
	dir := t.TempDir()
	for _, db := range []string{"plain.db", "cipher.db"} {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", "-else"} {
			writeFile(t, filepath.Join(dir, db+suffix), []byte("old"))
		}
	}
	for range 20 { // the order of the files is not the listing's
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir, Overwrite: true})
		got := readTree(t, dir)
		wantTree(t, dir, want.with(".", got["."]).with("plain.db-else", got["plain.db-else"]).with("cipher.db-else", got["cipher.db-else"]))
	}
}

// TestRestoreKeepsFolder: a folder that was there before keeps its mode and time.
func TestRestoreKeepsFolder(t *testing.T) {
	_, d, _ := library(t)
	for _, full := range []bool{false, true} {
		dir := t.TempDir()
		if full {
			writeFile(t, filepath.Join(dir, "media", "mine"), []byte("mine"))
		}
		must(t, os.Chmod(dir, 0o751))
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir, Paths: []string{"media/copy.jpg"}})
		info, err := os.Stat(dir)
		must(t, err)
		if info.Mode().Perm() != 0o751 || time.Since(info.ModTime()) > time.Hour {
			t.Errorf("the folder has become %v, %v", info.Mode(), info.ModTime())
		}
		if info, err = os.Stat(filepath.Join(dir, "media")); err != nil || full && time.Since(info.ModTime()) > time.Hour {
			t.Errorf("a folder that only leads to what was restored has become %v, %v", info.ModTime(), err)
		}
	}
}

// TestRestoreHidden: nobody sees a file before it is complete.
func TestRestoreHidden(t *testing.T) {
	w, d, _ := library(t)
	big := append(random(9, 3*format.SegmentSize), 'x')
	w.write("big", big)
	w.write("script", []byte("#!"))
	must(t, os.Chmod(filepath.Join(w.src, "script"), 0o777))
	d.mustBackup()
	dir := filepath.Join(t.TempDir(), "target")
	complete := map[string]bool{}
	must(t, filepath.WalkDir(w.src, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			complete[string(readFile(t, p))] = true
		}
		return err
	}))
	look := func(op, name string) error {
		filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			info, err := e.Info()
			rel, _ := filepath.Rel(dir, p)
			if err != nil || rel == "." {
				return nil
			}
			if top, _, inside := strings.Cut(rel, "/"); top == workName {
				if data, err := os.ReadFile(p); err == nil && inside && info.Mode().Perm() != 0o600 && !complete[string(data)] {
					t.Errorf("%s has mode %v and is not complete", rel, info.Mode())
				}
			} else if info.Mode().IsRegular() && !bytes.Equal(readFile(t, p), readFile(t, filepath.Join(w.src, rel))) {
				t.Errorf("%s can be seen unfinished", rel)
			} else if e.IsDir() && info.Mode().Perm() != 0o700 {
				t.Errorf("folder %s has mode %v during the restore", rel, info.Mode())
			}
			return nil
		})
		return nil
	}
	d.store = &blobtest.Faulty{Store: w.store, Before: look, After: look}
	restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir})
}

// TestRestoreTwiceAtOnce: of two restores into one folder one is refused, or both bring the same.
func TestRestoreTwiceAtOnce(t *testing.T) {
	w, d, ids := library(t)
	for range 10 {
		dir := filepath.Join(t.TempDir(), "target")
		var errs [2]error
		var wg sync.WaitGroup
		for i := range errs {
			a := d.mustOpen()
			wg.Go(func() { _, errs[i] = a.Restore(t.Context(), RestoreConfig{Dir: dir, Overwrite: true}) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				wantErr(t, "the second restore", err, ErrOccupied)
			}
		}
		if errs[0] != nil && errs[1] != nil {
			t.Fatalf("both were refused: %v, %v", errs[0], errs[1])
		}
		got := readTree(t, dir)
		wantTree(t, dir, w.want[ids[2]].with(".", got["."]))
	}
}

// TestRestoreAppears: a file that appears while a restore is at work is not overwritten.
func TestRestoreAppears(t *testing.T) {
	w, d, _ := library(t)
	for _, path := range []string{"notes.txt", "media/old.jpg", "Databases/msgstore.db", "dangling"} {
		dir := filepath.Join(t.TempDir(), "target")
		d.store = &blobtest.Faulty{Store: w.store, After: func(op, name string) error {
			mine := filepath.Join(dir, path)
			if _, err := os.Lstat(filepath.Join(dir, workName)); err == nil && strings.Contains(name, dirPacks) {
				if _, err := os.Lstat(mine); err != nil {
					os.MkdirAll(filepath.Dir(mine), 0o700)
					os.WriteFile(mine, []byte("mine"), 0o600)
				}
			}
			return nil
		}}
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir})
		wantErr(t, path, err, ErrOccupied)
		if got := readFile(t, filepath.Join(dir, path)); string(got) != "mine" {
			t.Errorf("%s was overwritten", path)
		}
	}
}

// TestRestoreBatches restores with limits so low that batches end everywhere, also inside files.
func TestRestoreBatches(t *testing.T) {
	w, d, ids := library(t)
	w.write("big", random(1, 3*format.SegmentSize+1))
	id := d.mustBackup().Snapshot
	delete(w.want[id], "Databases/msgstore.db-wal")
	defer func(f, w, p int) { batchFiles, batchWants, batchPaths = f, w, p }(batchFiles, batchWants, batchPaths)
	for _, limits := range [][3]int{{1, 1, 1}, {2, 9, 1 << 20}, {9, 2, 1 << 20}, {9, 9, 50}} {
		batchFiles, batchWants, batchPaths = limits[0], limits[1], limits[2]
		for _, id := range append(ids, id) {
			dir, _ := restoreTo(t, d.mustOpen(), RestoreConfig{Snapshot: id.String()})
			wantTree(t, dir, w.want[id])
		}
	}
}

// TestWrongKey is named before anything else is read, and nothing is written.
func TestWrongKey(t *testing.T) {
	w, d, _ := library(t)
	f := &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
		if !strings.Contains(name, dirKeys) {
			return blobtest.ErrInjected
		}
		return nil
	}}
	_, err := Open(t.Context(), f, w.id, format.NewKey(), Options{Device: d.id})
	wantErr(t, "open", err, ErrWrongKey)
	if ops := f.Ops(); ops[blobtest.OpPut]+ops[blobtest.OpDelete] > 0 || ops[blobtest.OpReadAt] > 2 {
		t.Errorf("operations: %v", ops)
	}
}

// TestRestoreGone: the destination or the target goes away half-way.
func TestRestoreGone(t *testing.T) {
	w, d, ids := library(t)
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "target")
		f := &blobtest.Faulty{Store: w.store, Before: blobtest.FromNth(blobtest.OpReadAt, n, blob.ErrUnreachable)}
		d.store = f
		a, err := d.open()
		if err == nil {
			_, err = a.Restore(t.Context(), RestoreConfig{Dir: dir, KeepGoing: true})
		}
		d.store = w.store
		if err == nil {
			break
		}
		wantErr(t, "restore", err, blob.ErrUnreachable)
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir})
		wantTree(t, dir, w.want[ids[2]])
	}
	dir := filepath.Join(t.TempDir(), "target")
	d.store = &blobtest.Faulty{Store: w.store, After: func(op, name string) error {
		if _, err := os.Lstat(filepath.Join(dir, workName, stateName)); err == nil {
			os.RemoveAll(dir)
		}
		return nil
	}}
	_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir})
	wantErr(t, "restore into a folder that was removed", err, fs.ErrNotExist)
}

func TestRestoreCancelled(t *testing.T) {
	w, d, ids := library(t)
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), "target")
		ctx, cancel := context.WithCancel(t.Context())
		reads := 0
		d.store = &blobtest.Faulty{Store: w.store}
		a := d.mustOpen()
		var mu sync.Mutex
		d.store.(*blobtest.Faulty).After = func(op, name string) error {
			mu.Lock()
			defer mu.Unlock()
			if reads++; reads == n {
				cancel()
			}
			return nil
		}
		_, err := a.Restore(ctx, RestoreConfig{Dir: dir, KeepGoing: true})
		cancel()
		d.store = w.store
		if err == nil {
			break
		}
		wantErr(t, "restore", err, context.Canceled)
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir})
		wantTree(t, dir, w.want[ids[2]])
	}
}

// with returns the tree with one more line.
func (tr tree) with(path, line string) tree {
	more := tr.without()
	more[path] = line
	return more
}
