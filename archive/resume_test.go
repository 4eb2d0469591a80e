// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/folder"
)

// gallery makes a snapshot of incompressible files of all sizes and no database.
func gallery(t *testing.T) (w *world, d *device) {
	w = newWorld(t)
	d = w.device()
	for i := range byte(40) {
		w.write(fmt.Sprintf("media/%02d.jpg", i), random(i, 100_000))
	}
	w.write("video.mp4", random(50, 5*format.SegmentSize+123))
	w.write("clip.mp4", random(51, format.SegmentSize+1))
	must(t, os.Symlink("video.mp4", filepath.Join(w.src, "link")))
	must(t, os.Chmod(filepath.Join(w.src, "media/07.jpg"), 0))
	must(t, os.Chmod(filepath.Join(w.src, "media"), 0o500))
	must(t, os.Chmod(w.src, 0o551))
	settle(t, w.src)
	d.mustBackup()
	must(t, os.Chmod(filepath.Join(w.src, "media"), 0o700)) // so that it can be removed
	must(t, os.Chmod(w.src, 0o700))
	return w, d
}

// countPacks counts the bytes that are read of packs. From the nth read on, it fails if n is not 0.
func countPacks(store blob.Store, n int64, read *atomic.Int64) blob.Store {
	var reads atomic.Int64
	return &counting{Store: store, count: func(name string, size int) error {
		if !strings.Contains(name, dirPacks) {
			return nil
		}
		if n > 0 && reads.Add(1) >= n {
			return blob.ErrUnreachable
		}
		read.Add(int64(size))
		return nil
	}}
}

// TestResume interrupts a restore at each of its reads, and continues. What was complete is not read again.
func TestResume(t *testing.T) {
	w, d := gallery(t)
	want := w.want[d.seenLatest()]
	var whole atomic.Int64
	d.store = countPacks(w.store, 0, &whole)
	restoreTo(t, d.mustOpen(), RestoreConfig{})
	const slack = 300_000 // the listing, and what lies between contents
	for n := int64(2); ; n++ {
		dir := filepath.Join(t.TempDir(), "target")
		var first, second atomic.Int64
		d.store = countPacks(w.store, n, &first)
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir})
		if err == nil {
			break
		}
		wantErr(t, "restore", err, blob.ErrUnreachable)
		if _, err := os.Lstat(dir); err != nil {
			continue // it was still reading the listing
		}
		inPlace := countFiles(t, dir)
		d.store = countPacks(w.store, 0, &second)
		_, r := restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir})
		wantTree(t, dir, want)
		if first.Load()+second.Load() > whole.Load()+slack {
			t.Errorf("interrupted at read %d: %d bytes were read, then %d; at once it takes %d", n, first.Load(), second.Load(), whole.Load())
		}
		if r.Skipped < inPlace {
			t.Errorf("%d files were in place, the report says %d", inPlace, r.Skipped)
		}
		must(t, os.Chmod(dir, 0o700))
		must(t, os.Chmod(filepath.Join(dir, "media"), 0o700))
	}
}

func (d *device) seenLatest() ID {
	a, err := d.open()
	must(d.w.t, err)
	defer a.Close()
	return latest(a)
}

// countFiles counts the files outside the private folder.
func countFiles(t *testing.T, dir string) (n int64) {
	for p := range readTree(t, dir) {
		if info, err := os.Lstat(filepath.Join(dir, p)); err == nil && info.Mode().IsRegular() && !strings.HasPrefix(p, workName) {
			n++
		}
	}
	return n
}

// unfinished leaves a folder as a restore does that is killed when only some paths are missing.
func (d *device) unfinished(c RestoreConfig, missing ...string) {
	t := d.w.t
	t.Helper()
	a := d.mustOpen()
	_, err := os.Stat(c.Dir)
	_, report := restoreTo(t, a, c)
	s, err2 := a.Snapshot(t.Context(), report.Snapshot.String())
	must(t, err2)
	r := &restore{a: a, s: s}
	must(t, os.Chmod(c.Dir, 0o700))
	must(t, os.Mkdir(filepath.Join(c.Dir, workName), 0o700))
	must(t, os.WriteFile(filepath.Join(c.Dir, workName, stateName), []byte(r.state(err != nil)), 0o600))
	for _, path := range missing {
		must(t, os.Remove(filepath.Join(c.Dir, path)))
	}
}

// TestResumeTorn: what a loss of power has torn behind an interrupted restore's back is found, though size and time are right.
func TestResumeTorn(t *testing.T) {
	w, d := gallery(t)
	want := w.want[d.seenLatest()]
	dir := filepath.Join(t.TempDir(), "target")
	d.unfinished(RestoreConfig{Dir: dir})
	torn := 0
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == stateName {
			return err
		}
		info, err := e.Info()
		must(t, err)
		must(t, os.Chmod(p, 0o600))
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt(make([]byte, min(4096, info.Size())), info.Size()/2)
		must(t, err)
		must(t, f.Close())
		torn++
		return os.Chtimes(p, info.ModTime(), info.ModTime())
	}))
	if torn != 42 {
		t.Fatalf("%d files were there", torn)
	}
	restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir})
	wantTree(t, dir, want)
	must(t, os.Chmod(dir, 0o700))
}

// TestResumeOthers: an unfinished restore does not open the folder to anything else.
func TestResumeOthers(t *testing.T) {
	w, d, ids := library(t)
	newDir := func() string {
		dir := filepath.Join(t.TempDir(), "target")
		d.unfinished(RestoreConfig{Dir: dir, Snapshot: ids[0].String()}, "zeros", "dangling", "media/old.jpg")
		return dir
	}
	t.Run("another snapshot", func(t *testing.T) {
		dir := newDir()
		before := readTree(t, dir)
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir, Snapshot: ids[1].String()})
		wantErr(t, "restore", err, ErrOccupied)
		wantTree(t, dir, before)
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir, Snapshot: ids[1].String(), Overwrite: true})
		wantTree(t, dir, w.want[ids[1]])
	})
	t.Run("a file of the user", func(t *testing.T) {
		dir := newDir()
		writeFile(t, filepath.Join(dir, "zeros"), []byte("mine"))
		before := readTree(t, dir)
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir, Snapshot: ids[0].String()})
		wantErr(t, "restore", err, ErrOccupied)
		wantTree(t, dir, before)
	})
	t.Run("a link of the user", func(t *testing.T) {
		dir := newDir()
		must(t, os.Symlink("mine", filepath.Join(dir, "dangling")))
		before := readTree(t, dir)
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir, Snapshot: ids[0].String()})
		wantErr(t, "restore", err, ErrOccupied)
		wantTree(t, dir, before)
	})
	t.Run("data in place of a hole", func(t *testing.T) {
		dir := newDir()
		info, err := os.Stat(filepath.Join(w.src, "zeros"))
		must(t, err)
		writeFile(t, filepath.Join(dir, "zeros"), random(1, 5000))
		must(t, os.Chtimes(filepath.Join(dir, "zeros"), info.ModTime(), info.ModTime()))
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir, Snapshot: ids[0].String()})
		wantTree(t, dir, w.want[ids[0]])
	})
	t.Run("part of the snapshot", func(t *testing.T) {
		dir := newDir()
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir, Snapshot: ids[0].String(), Paths: []string{"notes.txt", "Databases"}})
		got := readTree(t, dir)
		for _, p := range []string{"notes.txt", "Databases", "Databases/msgstore.db", "."} {
			if got[p] != w.want[ids[0]][p] {
				t.Errorf("%s: %s", p, got[p])
			}
		}
	})
	t.Run("a lost state file", func(t *testing.T) {
		dir := newDir()
		leftover := filepath.Join(dir, workName, "leftover")
		writeFile(t, filepath.Join(dir, workName, stateName), []byte("archive"))
		writeFile(t, leftover, []byte("x"))
		removed := false
		dev := *d
		dev.store = &counting{Store: w.store, count: func(string, int) error {
			_, err := os.Lstat(leftover)
			removed = err != nil
			return nil
		}}
		defer func() {
			if !removed {
				t.Error("what another restore left takes room during this one")
			}
		}()
		restoreTo(t, dev.mustOpen(), RestoreConfig{Dir: dir, Snapshot: ids[0].String(), Overwrite: true})
		wantTree(t, dir, w.want[ids[0]].with(".", readTree(t, dir)["."]))
	})
	t.Run("nothing but the empty private folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "target")
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir, Snapshot: ids[0].String()})
		must(t, os.Chmod(dir, 0o700))
		must(t, os.Mkdir(filepath.Join(dir, workName), 0o700))
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir, Snapshot: ids[0].String()})
		wantErr(t, "restore", err, ErrOccupied)
		wantTree(t, dir, w.want[ids[0]].with(".", readTree(t, dir)["."]))
	})
	t.Run("an old database that is to be replaced", func(t *testing.T) {
		dir := t.TempDir()
		d.unfinished(RestoreConfig{Dir: dir, Overwrite: true}, "zeros", "Databases/msgstore.db")
		db := filepath.Join(dir, "Databases", "msgstore.db") // looks like the snapshot's, and its latest changes are beside it
		writeFile(t, db, make([]byte, 40*testPageSize))
		info, err := os.Stat(filepath.Join(w.src, "Databases", "msgstore.db"))
		must(t, err)
		must(t, os.Chtimes(db, info.ModTime(), info.ModTime()))
		writeFile(t, db+"-wal", []byte("changes"))
		restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir, Overwrite: true})
		wantTree(t, dir, w.want[ids[2]].with(".", readTree(t, dir)["."]))
	})
}

const restoreEnv = "COFFER_TEST_RESTORE"

// TestRestoreChild plays the process that is killed in TestRestoreKilled.
func TestRestoreChild(t *testing.T) {
	args := strings.Split(os.Getenv(restoreEnv), "\n")
	if len(args) != 3 {
		t.Skip("only in the child processes of other tests")
	}
	store, err := folder.Open(args[0])
	must(t, err)
	key, err := format.ParseKey(args[1])
	must(t, err)
	unprivileged(t)
	a, err := Open(t.Context(), store, ID{}, key, Options{})
	must(t, err)
	_, err = a.Restore(t.Context(), RestoreConfig{Dir: args[2]})
	must(t, err)
}

// TestRestoreKilled kills a restore, of a user who is not root, at random moments, until one comes through.
func TestRestoreKilled(t *testing.T) {
	w, d := gallery(t)
	want := w.want[d.seenLatest()]
	dest := filepath.Join(openTempDir(t), "dest")
	store, err := folder.Create(dest)
	must(t, err)
	for _, name := range names(t, w.store, "") {
		data, err := blobtest.Read(t.Context(), w.store, name)
		must(t, err)
		must(t, store.Put(t.Context(), name, data))
	}
	openAll(t, dest)
	rng := rand.New(rand.NewPCG(seed(t), 1))
	exe, err := os.Executable()
	must(t, err)
	rounds, limit := 8, time.Duration(0)
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		dir := filepath.Join(openTempDir(t), "target")
		want, users := want, false
		for {
			child := exec.CommandContext(t.Context(), exe, "-test.run=^TestRestoreChild$")
			child.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", restoreEnv+"="+strings.Join([]string{dest, w.key.Digits(), dir}, "\n"))
			var out strings.Builder
			child.Stdout, child.Stderr = &out, &out
			began := time.Now()
			must(t, child.Start())
			var err error
			if round == 0 {
				err = child.Wait()
				limit = time.Since(began) // of one that nobody kills
			} else {
				kill := time.AfterFunc(time.Duration(rng.Int64N(int64(limit))), func() { child.Process.Kill() })
				err = child.Wait()
				kill.Stop()
			}
			if err == nil {
				break
			}
			if child.ProcessState.ExitCode() >= 0 {
				_, err := os.Lstat(filepath.Join(dir, workName))
				if errors.Is(err, fs.ErrNotExist) && strings.Contains(out.String(), ErrOccupied.Error()) {
					want = want.with(".", readTree(t, dir)["."]) // killed when only the folder's own time was missing
					break
				}
				t.Fatalf("a restore failed that was not killed: %s", &out)
			}
			_, there := os.Lstat(dir)
			if state, _ := os.ReadFile(filepath.Join(dir, workName, stateName)); there == nil && !strings.HasSuffix(string(state), "\nmade true\n") {
				users = true // killed before it could say that the folder is its own: from now on that counts as the user's
			}
			limit += limit / 50 // one comes through some time
		}
		if users {
			want = want.with(".", readTree(t, dir)["."])
		}
		wantTree(t, dir, want)
	}
}

// openTempDir returns a folder that every user can write to.
func openTempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "coffer-test-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	return dir
}

// openAll lets every user read a folder.
func openAll(t *testing.T, dir string) {
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(p, 0o777)
	}))
}
