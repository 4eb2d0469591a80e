// SPDX-License-Identifier: Apache-2.0

//go:build unix

package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
	"github.com/coffer-backup/coffer/blob/folder"
)

// TestOddNames backs up names of any bytes, links of all kinds, and the modes that there are.
func TestOddNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{
		"\xff\xfe", "new\nline", " ", "-", "...", "a\\b", "*", "?", "[x]", "{a,b}", "#comment", "!not", "\x01\x1f\x7f",
		"e\u0301", "\u00e9", strings.Repeat("n", 255), "\u202egnp.exe", "%2e%2e",
	} {
		w.write("names/"+name, []byte(name))
		w.write("folders/"+name+"/file", []byte(name))
	}
	// The order of a listing is not that of the bytes of whole paths.
	for _, p := range []string{"order/a/x", "order/a-b", "order/a.b/y", "order/a0", "order/ab/z"} {
		w.write(p, []byte(p))
	}
	for name, target := range map[string]string{
		"dangling": "nowhere", "absolute": "/", "up": "../..", "self": "self", "dir": "names", "bytes": "\xff\n",
		"long": strings.Repeat("x/", 1500),
	} {
		must(t, os.Symlink(target, filepath.Join(w.src, name)))
	}
	must(t, os.MkdirAll(filepath.Join(w.src, "no/files/in/here"), 0o700))
	for mode := range 0o1000 {
		if (mode%0o111 == 0 || mode == 0o640) && (mode&0o400 != 0 || os.Getuid() == 0) {
			w.write(fmt.Sprintf("modes/%o", mode), nil)
			must(t, os.Chmod(filepath.Join(w.src, fmt.Sprintf("modes/%o", mode)), fs.FileMode(mode)))
		}
	}
	when := time.Date(1901, 2, 3, 4, 5, 6, 789, time.UTC)
	w.write("old", nil)
	must(t, os.Chtimes(filepath.Join(w.src, "old"), when, when))
	must(t, os.Chtimes(filepath.Join(w.src, "names"), when, when.AddDate(300, 0, 0)))
	if r := w.device().mustBackup(); len(r.Problems) > 0 {
		t.Errorf("%+v", r.Problems)
	}
	w.check()
}

// TestLinkedSource: the source itself may be reached over a link.
func TestLinkedSource(t *testing.T) {
	w := newWorld(t)
	w.fill(1)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(w.src, link))
	d := w.device()
	d.config.Source = link
	r := d.mustBackup()
	w.want[r.Snapshot] = readTree(t, w.src)
	w.check()
}

// TestNotFiles: what is no file, folder or link is reported and not opened; a pipe would make the backup wait for ever.
func TestNotFiles(t *testing.T) {
	w := newWorld(t)
	w.write("file", nil)
	must(t, syscall.Mkfifo(filepath.Join(w.src, "pipe"), 0o600))
	l, err := net.Listen("unix", filepath.Join(w.src, "socket"))
	must(t, err)
	defer l.Close()
	others := []string{"pipe", "socket"}
	if err := unix.Mknod(filepath.Join(w.src, "device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))); err == nil { // who is root has /dev/zero
		others = append(others, "device")
	}
	d := w.device()
	for _, exclude := range [][]string{nil, {"pipe"}} {
		d.config.Exclude = exclude
		r := d.mustBackup()
		if len(r.Problems) != len(others)-len(exclude) {
			t.Errorf("%+v", r.Problems)
		}
		for _, name := range others {
			if hasProblem(r.Problems, name, ProblemSkipped) == slices.Contains(exclude, name) {
				t.Errorf("%s: %+v", name, r.Problems)
			}
		}
		w.want[r.Snapshot] = readTree(t, w.src).without(others...)
	}
	w.check()
}

// TestDeepTree has paths that are longer than the system takes in one call.
func TestDeepTree(t *testing.T) {
	w := newWorld(t)
	root, err := os.OpenRoot(w.src)
	must(t, err)
	defer root.Close()
	name := strings.Repeat("d", 200)
	deepest := 0
	for dir := root; deepest < 30; deepest++ {
		must(t, dir.Mkdir(name, 0o700))
		next, err := dir.OpenRoot(name)
		must(t, err)
		defer next.Close()
		f, err := next.Create("file")
		must(t, err)
		f.Close()
		dir = next
	}
	d := w.device()
	r, err := d.mustOpen().Backup(t.Context(), BackupConfig{Source: w.src, StateDir: d.state})
	must(t, err)
	if len(r.Problems) != 1 || r.Problems[0].Kind != ProblemUnreadable {
		t.Errorf("%+v", r.Problems)
	}
	a := d.mustOpen()
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	found := 0
	for _, err := range s.List(t.Context(), "", true) {
		must(t, err)
		found++
	}
	if found < 30 {
		t.Errorf("only %d entries", found)
	}
	if v, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true}); err != nil || len(v.Damage) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestSparse backs up files that are larger than any disk. Holes cost nothing, and stay holes.
func TestSparse(t *testing.T) {
	w := newWorld(t)
	islands := func(name string, size int64, at ...int64) {
		f, err := os.Create(filepath.Join(w.src, name))
		must(t, err)
		for i, offset := range at {
			_, err := f.WriteAt(random(byte(i), 5000), offset)
			must(t, err)
		}
		must(t, f.Truncate(size))
		must(t, f.Close())
	}
	files := map[string][]int64{
		"nothing, 64 MiB":          {64 << 20},
		"ends in a hole, 10 MiB":   {10 << 20, 0, 5 << 20},
		"begins in a hole, 10 MiB": {10 << 20, 10<<20 - 5000},
		"just inline":              {format.MaxInlineIDs * format.SegmentSize, 3 << 20, 200 << 20},
		"one list":                 {format.MaxInlineIDs*format.SegmentSize + 1, 3 << 20, 200 << 20},
		"several lists, 1 TiB":     {1 << 40, 0, 1 << 30, 600 << 30, 1<<40 - 5000},
	}
	for name, f := range files {
		islands(name, f[0], f[1:]...)
	}
	d := w.device()
	a := d.mustOpen()
	r, err := a.Backup(t.Context(), BackupConfig{Source: w.src, StateDir: d.state})
	must(t, err)
	if len(r.Problems) > 0 || r.AddedBytes > 1<<20 {
		t.Errorf("%+v", r)
	}
	if r, err := a.Backup(t.Context(), BackupConfig{Source: w.src, StateDir: d.state}); err != nil || !r.Unchanged || r.ReadBytes > 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	for range 2 {
		_, err := d.prune(PruneConfig{KeepLast: 1})
		must(t, err)
		w.clock.advance(25 * time.Hour)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	_, err = d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir})
	must(t, err)
	for name, f := range files {
		got, err := os.Open(filepath.Join(dir, name))
		must(t, err)
		info, err := got.Stat()
		must(t, err)
		if info.Size() != f[0] {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		if room := info.Sys().(*syscall.Stat_t).Blocks * 512; room > int64(len(f))*4*format.SegmentSize {
			t.Errorf("%s takes %d bytes of room", name, room)
		}
		for i, offset := range f[1:] {
			p := make([]byte, 5000)
			if _, err := got.ReadAt(p, offset); err != nil && err != io.EOF || !slices.Equal(p, random(byte(i), 5000)) {
				t.Errorf("%s differs at %d: %v", name, offset, err)
			}
		}
		got.Close()
	}
}

// TestSizeOverLimit: a size that no listing can hold must not make it unreadable.
func TestSizeOverLimit(t *testing.T) {
	w := newWorld(t)
	dir, err := os.MkdirTemp("/dev/shm", "test") // most file systems have no such sizes
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w.src = dir
	w.write("a", nil)
	w.write("c", nil)
	if err := unix.Truncate(filepath.Join(w.src, "a"), 1<<62); err != nil {
		t.Skipf("this file system has no such sizes: %v", err)
	}
	d := w.device()
	r, err := d.mustOpen().Backup(t.Context(), BackupConfig{Source: w.src, StateDir: d.state})
	must(t, err)
	if !hasProblem(r.Problems, "a", ProblemUnreadable) {
		t.Errorf("%+v", r.Problems)
	}
	must(t, os.Truncate(filepath.Join(w.src, "a"), 0))
	w.want[r.Snapshot] = readTree(t, w.src).without("a")
	w.check()
}

// TestReplacedBeforeItIsRead swaps what was listed for something else before it is opened.
func TestReplacedBeforeItIsRead(t *testing.T) {
	outside := t.TempDir()
	writeFile(t, filepath.Join(outside, "file"), []byte("somebody else's secret"))
	for name, swap := range map[string]func(full string) error{
		"gone":   os.Remove,
		"pipe":   func(full string) error { return errors.Join(os.Remove(full), syscall.Mkfifo(full, 0o600)) },
		"folder": func(full string) error { return errors.Join(os.Remove(full), os.Mkdir(full, 0o700)) },
		"link": func(full string) error {
			return errors.Join(os.Remove(full), os.Symlink(filepath.Join(outside, "file"), full))
		},
		"link in place of its folder": func(full string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(full)), os.Symlink(outside, filepath.Dir(full)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write("dir/file", []byte("mine"))
			full := filepath.Join(w.src, "dir/file")
			var r *run
			j := w.listed(&r, "dir/file")
			must(t, swap(full))
			must(t, r.storeFile(t.Context(), j, r.newTools()))
			if !j.drop || len(r.problems) != 1 || r.problems[0].Kind != ProblemVanished || r.read > 0 {
				t.Errorf("drop %v, problems %+v, %d bytes read", j.drop, r.problems, r.read)
			}
		})
	}
}

// listed returns the job of a file that the walk has found, and its run.
func (w *world) listed(r **run, path string) *job {
	w.t.Helper()
	d := w.device()
	a := d.mustOpen()
	*r = &run{a: a, c: BackupConfig{Source: w.src, StateDir: d.state}, started: a.now(), hasher: a.keyring.Hasher(), left: map[string]bool{}, databases: map[string]*job{}}
	must(w.t, (*r).prepare(w.t.Context()))
	(*r).p = a.newPacker(w.t.Context(), a.catalog)
	w.t.Cleanup((*r).close)
	var found *job
	must(w.t, (*r).tree.Walk(w.t.Context(), func(it source.Item, err error) error {
		must(w.t, err)
		if it.Path == path {
			found = (*r).job(it, nil, nil)
		}
		return nil
	}))
	return found
}

// TestChangesWhileRead lets a file grow, shrink and be written to all the time. It is reported each time, and read again by the
// next backup.
func TestChangesWhileRead(t *testing.T) {
	for name, change := range map[string]func(f *os.File, i int) error{
		"grows": func(f *os.File, i int) error {
			_, err := f.Seek(0, io.SeekEnd)
			_, err2 := f.Write([]byte{byte(i)})
			return errors.Join(err, err2)
		},
		"shrinks": func(f *os.File, i int) error { return f.Truncate(int64(8<<20 - i%1000)) },
		"is written": func(f *os.File, i int) error {
			_, err := f.WriteAt(random(byte(i), 1000), rand.Int64N(8<<20-1000))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.device()
			w.write("busy", random(1, 8<<20))
			w.write("quiet", random(2, 1000))
			f, err := os.OpenFile(filepath.Join(w.src, "busy"), os.O_RDWR, 0)
			must(t, err)
			defer f.Close()
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for i := 0; ; i++ {
					if err := change(f, i); err != nil {
						t.Error(err)
					}
					select {
					case <-stop:
						return
					case <-time.After(200 * time.Microsecond):
					}
				}
			}()
			r, err := d.backup()
			close(stop)
			<-done
			must(t, err)
			if len(r.Problems) != 1 || !hasProblem(r.Problems, "busy", ProblemChanged) || !r.Torn() {
				t.Errorf("%+v", r.Problems)
			}
			delete(w.want, r.Snapshot)
			a := d.mustOpen()
			if v, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true}); err != nil || len(v.Damage) > 0 {
				t.Errorf("%+v, %v", v, err)
			}
			r = d.mustBackup()
			if len(r.Problems) > 0 || r.ReadBytes < 8<<20-1000 {
				t.Errorf("the next backup: %+v", r)
			}
			checkSnapshot(t, d.mustOpen(), r.Snapshot, w.want[r.Snapshot])
		})
	}
}

// TestUnreadable takes permissions away. For root they do not hold, so the backup runs as nobody, in another process.
func TestUnreadable(t *testing.T) {
	w := newWorld(t)
	dir, err := os.MkdirTemp("", "unreadable")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	w.src = filepath.Join(dir, "source")
	w.write("file", random(1, 100))
	w.write("secret", random(2, 100))
	w.write("folder/file", random(3, 100))
	w.write("zebra", random(4, 100))
	store, err := folder.Create(filepath.Join(dir, "destination"))
	must(t, err)
	w.store = store
	a, err := Create(t.Context(), store, w.id, w.key, Options{})
	must(t, err)
	a.Close()
	state := filepath.Join(dir, "state")
	must(t, os.Mkdir(state, 0o700))
	exe := filepath.Join(dir, "test")
	data, err := os.ReadFile(self(t))
	must(t, err)
	must(t, os.WriteFile(exe, data, 0o755))
	const nobody = 65534
	credential := &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	if os.Getuid() == 0 {
		credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		must(t, filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Lchown(p, nobody, nobody))
		}))
	}
	want := readTree(t, w.src).without("secret", "folder", "folder/file")
	must(t, os.Chmod(filepath.Join(w.src, "secret"), 0))
	must(t, os.Chmod(filepath.Join(w.src, "folder"), 0))

	job, err := json.Marshal(childJob{Destination: store.String(), Source: w.src, State: state, Archive: w.id, Key: w.key.Digits()})
	must(t, err)
	cmd := child(t, "backup", string(job))
	cmd.Path = exe
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	must(t, cmd.Run())
	a, err = Open(t.Context(), store, w.id, w.key, Options{})
	must(t, err)
	defer a.Close()
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	if p := s.Problems(); len(p) != 2 || !hasProblem(p, "secret", ProblemUnreadable) || !hasProblem(p, "folder", ProblemUnreadable) {
		t.Errorf("%+v", p)
	}
	checkSnapshot(t, a, s.Info().ID, want)
}
