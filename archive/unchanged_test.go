// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// TestUnchangedIsRead: with ReadAll what looks unchanged is read, and found to be.
func TestUnchangedIsRead(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.fill(1)
	first := d.mustBackup()
	d.config.ReadAll = true
	if r := d.mustBackup(); !r.Unchanged || r.ReadBytes != first.ReadBytes {
		t.Errorf("first %+v, then %+v", first, r)
	}
}

// TestTouchedJustNow uses the real clock: a file that was touched within two seconds of the last backup is read again by the
// next one, and when that finds it settled, no more.
func TestTouchedJustNow(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.write("just now", random(1, 1000))
	w.write("long ago", random(2, 500))
	old := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(filepath.Join(w.src, "long ago"), old, old)) // its change time is of now all the same
	begin := time.Now()
	for i, want := range []int64{1500, 1500, 0} {
		a := d.mustOpen()
		a.o.Clock = func() time.Time { return begin.Add(time.Duration(i) * 3 * time.Second) }
		r, err := d.backupOn(a)
		must(t, err)
		if r.ReadBytes != want || r.Unchanged != (i > 0) {
			t.Errorf("backup %d: %+v", i, r)
		}
	}
}

// TestChangesAreSeen changes a file in ways that leave most of what is known of it as it was.
func TestChangesAreSeen(t *testing.T) {
	const path, size = "dir/file", 5000
	for name, change := range map[string]func(t *testing.T, full string, was os.FileInfo){
		"same size, same time": func(t *testing.T, full string, was os.FileInfo) {
			must(t, os.WriteFile(full, random(2, size), 0o644))
			must(t, os.Chtimes(full, was.ModTime(), was.ModTime()))
		},
		"another file in its place": func(t *testing.T, full string, was os.FileInfo) {
			must(t, os.WriteFile(full+".new", random(2, size), 0o644))
			must(t, os.Chtimes(full+".new", was.ModTime(), was.ModTime()))
			must(t, os.Rename(full+".new", full))
		},
		"mode only": func(t *testing.T, full string, was os.FileInfo) { must(t, os.Chmod(full, 0o600)) },
		"time only": func(t *testing.T, full string, was os.FileInfo) {
			must(t, os.Chtimes(full, time.Time{}, time.Unix(1, 2)))
		},
		"size only": func(t *testing.T, full string, was os.FileInfo) { must(t, os.Truncate(full, size/2)) },
		"gone":      func(t *testing.T, full string, was os.FileInfo) { must(t, os.Remove(full)) },
		"a folder now": func(t *testing.T, full string, was os.FileInfo) {
			must(t, os.Remove(full))
			must(t, os.Mkdir(full, 0o700))
		},
		"folder's mode": func(t *testing.T, full string, was os.FileInfo) { must(t, os.Chmod(filepath.Dir(full), 0o700)) },
		"renamed":       func(t *testing.T, full string, was os.FileInfo) { must(t, os.Rename(full, full+"2")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.device()
			w.write(path, random(1, size))
			d.mustBackup()
			full := filepath.Join(w.src, path)
			info, err := os.Lstat(full)
			must(t, err)
			change(t, full, info)
			if r := d.mustBackup(); r.Unchanged {
				t.Errorf("%+v", r)
			}
			w.check()
		})
	}
}

// TestMovedAndCopied: what the archive has already costs a listing, whatever it is called now.
func TestMovedAndCopied(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.write("media/picture.jpg", random(1, 500_000))
	w.write("media/video.mp4", random(2, 9<<20))
	d.mustBackup()
	must(t, os.MkdirAll(filepath.Join(w.src, "sent"), 0o755))
	must(t, os.Rename(filepath.Join(w.src, "media/video.mp4"), filepath.Join(w.src, "sent/video.mp4")))
	w.write("forwarded.jpg", random(1, 500_000))
	r := d.mustBackup()
	if r.AddedBytes > 8<<10 {
		t.Errorf("%+v", r)
	}
	w.check()

	// Duplicates within one backup, read at the same time.
	for i := range 40 {
		w.write(fmt.Sprintf("chain letter/%d.mp4", i), random(3, 1<<20))
	}
	if r := d.mustBackup(); r.AddedBytes > 1<<20+64<<10 {
		t.Errorf("%+v", r)
	}
	w.check()
}

// TestDamagedCache damages the file cache everywhere. It is a hint: the backup is right all the same.
func TestDamagedCache(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	for i := range byte(40) {
		w.write(fmt.Sprintf("dir-%d/file-%d", i%3, i), random(i, 200))
	}
	d.mustBackup()
	path := filepath.Join(d.state, "cache", "files")
	good, err := os.ReadFile(path)
	must(t, err)
	try := func(name string, data []byte) {
		t.Helper()
		writeFile(t, path, data)
		r := d.mustBackup()
		if !r.Unchanged {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for at := 0; at < len(good); at += 1 + len(good)/60 {
		try(fmt.Sprintf("flipped at %d", at), append(append(bytes.Clone(good[:at]), good[at]^0x11), good[at+1:]...))
		try(fmt.Sprintf("cut at %d", at), good[:at])
	}
	try("of another version", append([]byte("coffer file cache 9\n"), good[20:]...))
	try("with a frame of 4 GB", append(bytes.Clone(good[:40]), 0xff, 0xff, 0xff, 0xff))
	try("random", random(1, 10_000))
	try("a folder's worth of nothing", nil)
	w.check()

	// An old cache in place of the newest.
	w.write("dir-1/file-1", random(99, 200))
	d.mustBackup()
	try("old", good)
	w.check()
}

// TestCacheOfAnotherArchive: what the cache takes for stored is looked up.
func TestCacheOfAnotherArchive(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = copyPlainly
	w.fill(1)
	w.write("chats.db", newPages(rand.New(rand.NewPCG(1, 1)), 512, 20).bytes())
	d.mustBackup()
	w.id, w.key, w.store, w.want = format.NewID(), format.NewKey(), blobtest.Memory(), map[ID]tree{}
	a, err := Create(t.Context(), w.store, w.id, w.key, Options{})
	must(t, err)
	a.Close()
	d.store, d.seen = w.store, Head{}
	d.mustBackup()
	w.check()
}

// TestTwoSources uses one state directory for one source after another, of the same paths.
func TestTwoSources(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	one, two := t.TempDir(), t.TempDir()
	for i, src := range []string{one, two, one, two} {
		w.src = src
		if i < 2 {
			w.fill(1)
			w.write("notes.txt", []byte(src))
		}
		if r := d.mustBackup(); r.Unchanged {
			t.Errorf("%+v", r)
		}
		w.check()
	}
}
