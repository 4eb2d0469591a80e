// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

const testPageSize = 4096

// database returns the bytes of a database with SQLite's header and pages that do not compress. A page that is in changed is
// of another version.
func database(pages int, changed map[int]byte) []byte {
	db := random(99, pages*testPageSize)
	for page, version := range changed {
		copy(db[page*testPageSize:], random(version, testPageSize))
	}
	copy(db, sqliteMagic)
	binary.BigEndian.PutUint16(db[16:], testPageSize)
	return db
}

// copyFile stands for SQLite's online backup.
func copyFile(_ context.Context, src, dst string) error {
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, data, 0o600)
}

// library makes an archive of three snapshots that has a bit of everything but large files, with several leaves and a database
// of several layers. It returns the snapshots' ids, oldest first.
func library(t *testing.T) (w *world, d *device, ids []ID) {
	t.Helper()
	w = newWorld(t)
	d = w.device()
	d.copy = copyFile
	must(t, os.Mkdir(filepath.Join(w.src, "no files"), 0o750))
	must(t, os.Symlink("/nonexistent", filepath.Join(w.src, "dangling")))
	w.write("empty", nil)
	w.write("zeros", make([]byte, 5000))
	w.write("media/old.jpg", random(1, 70_000))
	w.write("media/copy.jpg", random(1, 70_000))
	changed := map[int]byte{}
	for version := byte(1); version <= 3; version++ {
		for page := range 4 {
			changed[10*int(version)+page] = version
		}
		w.write("Databases/msgstore.db", database(40, changed))
		w.write("Databases/msgstore.db-wal", []byte("is in the copy"))
		for i, name := range w.cuts(d, 4) {
			w.write("contacts/"+name, random(byte(i), 300))
		}
		w.write(fmt.Sprintf("media/new-%d.jpg", version), random(version, 5_000))
		w.write("notes.txt", []byte{'0' + version})
		settle(t, w.src)
		ids = append(ids, d.mustBackup().Snapshot)
		delete(w.want[ids[version-1]], "Databases/msgstore.db-wal")
	}
	return w, d, ids
}

// settle gives everything that was just written an older time, so that no backup takes it for unsettled; and different ones.
func settle(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.Type()&os.ModeSymlink != 0 {
			return err
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) < time.Hour {
			old := time.Now().Add(-48*time.Hour + time.Duration(len(p))*time.Millisecond)
			err = os.Chtimes(p, old, old)
		}
		return err
	}))
}

// cuts returns names of files in contacts/ behind which a leaf of the listing ends.
func (w *world) cuts(d *device, count int) (names []string) {
	a := d.mustOpen()
	for i := 0; len(names) < count; i++ {
		name := fmt.Sprintf("%08d", i)
		if a.keyring.Hasher().Cut("contacts/" + name) {
			names = append(names, name)
		}
	}
	return names
}

// restoreTo restores into a folder of its own and returns that.
func restoreTo(t *testing.T, a *Archive, c RestoreConfig) (string, *RestoreReport) {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "target")
	}
	r, err := a.Restore(t.Context(), c)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(c.Dir, workName)); err == nil {
		t.Fatal("the private folder is left")
	}
	return c.Dir, r
}

// wantTree fails unless a folder holds exactly the tree.
func wantTree(t *testing.T, dir string, want tree) {
	t.Helper()
	if diff := want.diff(readTree(t, dir)); len(diff) > 0 {
		t.Fatalf("%s differs:\n%s", dir, strings.Join(diff, "\n"))
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return data
}

func dumped(t *testing.T, s *Snapshot, path string) []byte {
	t.Helper()
	var buf bytes.Buffer
	must(t, s.Dump(t.Context(), path, &buf))
	return buf.Bytes()
}

// counted returns the device's destination with counters in front of it, which the device uses from now on.
func (d *device) counted() *blobtest.Faulty {
	f := &blobtest.Faulty{Store: d.w.store}
	d.store = f
	return f
}

// A forger makes archives as somebody does who has the key and a program of his own.
type forger struct {
	w *world
	a *Archive
	p *packer
}

func (w *world) forger() *forger {
	a, err := Open(w.t.Context(), w.store, w.id, w.key, Options{Clock: w.clock.now})
	must(w.t, err)
	w.t.Cleanup(a.Close)
	return &forger{w, a, a.newPacker(w.t.Context(), newCatalog())}
}

// content stores a content and returns its id.
func (f *forger) content(data []byte) format.ContentID {
	id := f.a.keyring.Hasher().Content(data)
	if f.p.claim(id) {
		must(f.w.t, f.p.add(id, data, newEncoder()))
	}
	return id
}

// file is an entry with the data as its contents.
func (f *forger) file(path, data string) format.Entry {
	return format.Entry{Path: path, Type: TypeFile, Mode: 0o644, ModTime: forgedTime, Size: int64(len(data)), Segments: []format.ContentID{f.content([]byte(data))}}
}

var forgedTime = time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)

func forgedDir(path string) format.Entry {
	return format.Entry{Path: path, Type: TypeDir, Mode: 0o755, ModTime: forgedTime}
}

func forgedLink(path, target string) format.Entry {
	return format.Entry{Path: path, Type: TypeSymlink, ModTime: forgedTime, Target: target}
}

// snapshot commits a snapshot whose listing has exactly these leaves. In place of nil there is one that cannot be read, from
// the path "a" on.
func (f *forger) snapshot(leaves ...[]format.Entry) ID {
	t := f.w.t
	t.Helper()
	s := &format.Snapshot{Time: f.w.clock.now()}
	for _, entries := range leaves {
		if entries == nil {
			s.Leaves = append(s.Leaves, format.LeafRef{ID: f.content([]byte("rubbish")), First: "a"})
			continue
		}
		s.Leaves = append(s.Leaves, format.LeafRef{ID: f.content(format.EncodeLeaf(entries)), First: entries[0].Path})
	}
	return f.commit(s)
}

func (f *forger) commit(s *format.Snapshot) ID {
	t := f.w.t
	t.Helper()
	packs, err := f.p.finish()
	must(t, err)
	indexes, err := f.a.putIndexes(t.Context(), packs)
	must(t, err)
	name, err := f.a.putObject(t.Context(), format.TypeSnapshot, s.Encode())
	must(t, err)
	must(t, f.a.commit(t.Context(), func(h *format.Head) error {
		h.Indexes = append(h.Indexes, indexes...)
		h.Snapshots = append(h.Snapshots, format.SnapshotRef{Name: name, Time: s.Time})
		return nil
	}))
	f.p = f.a.newPacker(t.Context(), newCatalog())
	return snapshotID(name)
}

// counting calls count after each read that succeeded; its error is the read's.
type counting struct {
	blob.Store
	count func(name string, size int) error
}

func (c *counting) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	n, err := c.Store.ReadAt(ctx, name, p, off)
	if err == nil || errors.Is(err, io.EOF) {
		if fault := c.count(name, n); fault != nil {
			return 0, fault
		}
	}
	return n, err
}
