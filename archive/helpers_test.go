// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// A testClock is the time that all devices of a test read. It starts a little ahead of the real one, so that files which the
// test has just written count as settled.
type testClock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *testClock { return &testClock{t: time.Now().Add(time.Minute)} }

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Millisecond) // no two moments are the same
	return c.t
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A world is a chat store, a destination, one archive there, and what its snapshots must hold.
type world struct {
	t     *testing.T
	store blob.Store
	id    ID
	key   Key
	clock *testClock
	src   string
	want  map[ID]tree
	made  map[ID]tree // want, and what was removed
	order []ID        // snapshots, as they were made
	other blob.Store  // another destination of the same archive; nil: none
}

// newWorld makes an archive at a destination in memory, and an empty source.
func newWorld(t *testing.T) *world {
	w := &world{t: t, store: blobtest.Memory(), id: format.NewID(), key: format.NewKey(), clock: newClock(), src: t.TempDir(), want: map[ID]tree{}, made: map[ID]tree{}}
	a, err := Create(t.Context(), w.store, w.id, w.key, Options{Clock: w.clock.now})
	must(t, err)
	a.Close()
	return w
}

// A device is one who works on a world's archive. Its fields may be changed between its operations.
type device struct {
	w       *world
	id      ID
	state   string
	seen    Head
	store   blob.Store // the destination as this device sees it
	copy    func(ctx context.Context, src, dst string) error
	config  BackupConfig // Source, StateDir and CopyDatabase are filled in
	options Options      // Clock, Device, Seen and OnHead are filled in
}

func (w *world) device() *device {
	return &device{w: w, id: format.NewID(), state: w.t.TempDir(), store: w.store}
}

func (d *device) open() (*Archive, error) {
	o := d.options
	o.Clock, o.Device, o.Seen = d.w.clock.now, d.id, d.seen
	o.OnHead = func(h Head) error { d.seen = h; return nil }
	return Open(d.w.t.Context(), d.store, d.w.id, d.w.key, o)
}

// mustOpen opens the archive for the rest of the test.
func (d *device) mustOpen() *Archive {
	d.w.t.Helper()
	a, err := d.open()
	must(d.w.t, err)
	d.w.t.Cleanup(a.Close)
	return a
}

// backup runs one backup from a fresh open, and remembers what its snapshot must hold.
func (d *device) backup() (*BackupReport, error) {
	a, err := d.open()
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return d.backupOn(a)
}

func (d *device) backupOn(a *Archive) (*BackupReport, error) {
	c := d.config
	c.StateDir = d.state
	if c.Source == "" {
		c.Source = d.w.src
	}
	if c.CopyDatabase == nil {
		c.CopyDatabase = d.copy
	}
	report, err := a.Backup(d.w.t.Context(), c)
	if err == nil {
		d.w.want[report.Snapshot] = readTree(d.w.t, c.Source)
		d.w.made[report.Snapshot] = d.w.want[report.Snapshot]
		if !report.Unchanged {
			d.w.order = append(d.w.order, report.Snapshot)
		}
	}
	return report, err
}

func (d *device) mustBackup() *BackupReport {
	d.w.t.Helper()
	r, err := d.backup()
	must(d.w.t, err)
	return r
}

// dieAt runs a backup that dies when it is to store its first object in a folder of the archive.
func (d *device) dieAt(dir string) {
	d.w.t.Helper()
	var died atomic.Bool
	d.store = &blobtest.Faulty{Store: d.w.store, Before: func(op, name string) error {
		if op == blobtest.OpPut && strings.Contains(name, "/"+dir) {
			died.Store(true)
		}
		if died.Load() {
			return errFault
		}
		return nil
	}}
	_, err := d.backup()
	wantErr(d.w.t, "a backup that dies", err, errFault)
	d.store = d.w.store
}

func (d *device) prune(c PruneConfig) (*PruneReport, error) {
	a, err := d.open()
	if err != nil {
		return nil, err
	}
	defer a.Close()
	r, err := a.Prune(d.w.t.Context(), c)
	if err == nil {
		for _, s := range r.Removed {
			delete(d.w.want, s.ID)
		}
	}
	return r, err
}

// check proves the whole archive: see checkArchive.
func (w *world) check() {
	w.t.Helper()
	checkArchive(w.t, w.store, w.id, w.key, w.want)
}

// checkArchive opens the archive as a fresh device would and proves that it has exactly the wanted snapshots, that no object
// of it is damaged, and that each snapshot restores to exactly the wanted tree.
func checkArchive(t *testing.T, store blob.Store, id ID, key Key, want map[ID]tree) {
	t.Helper()
	a, err := Open(t.Context(), store, id, key, Options{})
	if err != nil {
		t.Fatalf("open for the check: %v", err)
	}
	defer a.Close()
	v, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true})
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	if len(v.Damage) > 0 || len(v.Affected) > 0 {
		t.Fatalf("verify found damage: %v, affected: %v", v.Damage, v.Affected)
	}
	var have []ID
	for _, s := range a.Snapshots() {
		have = append(have, s.ID)
	}
	for _, id := range have {
		if _, ok := want[id]; !ok {
			t.Fatalf("there is a snapshot %s that nobody expects", id)
		}
	}
	for id := range want {
		if !slices.Contains(have, id) {
			t.Fatalf("snapshot %s is gone", id)
		}
	}
	for _, id := range have {
		checkSnapshot(t, a, id, want[id])
	}
}

// checkSnapshot restores a snapshot and compares it with what it must hold.
func checkSnapshot(t *testing.T, a *Archive, id ID, want tree) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	r, err := a.Restore(t.Context(), RestoreConfig{Snapshot: id.String(), Dir: dir})
	if err != nil {
		t.Fatalf("restore %s: %v", id, err)
	}
	if len(r.Problems) > 0 {
		t.Fatalf("restore %s: %v", id, r.Problems)
	}
	if diff := want.diff(readTree(t, dir)); len(diff) > 0 {
		t.Fatalf("snapshot %s: %q", id, diff)
	}
	os.RemoveAll(dir) // many of them would fill the disk
}

// checkNoGarbage proves that the newest head names every object, and that nobody left a lock.
func (w *world) checkNoGarbage() {
	w.t.Helper()
	a, err := Open(w.t.Context(), w.store, w.id, w.key, Options{})
	must(w.t, err)
	defer a.Close()
	v, err := a.Verify(w.t.Context(), VerifyConfig{})
	must(w.t, err)
	if v.Orphans > 0 {
		w.t.Fatalf("%d objects that the head does not name are left: %v", v.Orphans, w.names(""))
	}
	w.checkNoLock()
}

func (w *world) checkNoLock() {
	w.t.Helper()
	if locks := w.names(dirLocks); len(locks) > 0 {
		w.t.Fatalf("a lock is left: %v", locks)
	}
}

// names lists the archive's objects in a folder, by their full names, sorted.
func (w *world) names(dir string) []string {
	w.t.Helper()
	return names(w.t, w.store, w.id.String()+"/"+dir)
}

func names(t *testing.T, store blob.Store, prefix string) []string {
	t.Helper()
	var all []string
	for info, err := range store.List(t.Context(), prefix) {
		must(t, err)
		all = append(all, info.Name)
	}
	slices.Sort(all)
	return all
}

// cloneStore copies a destination into memory.
func cloneStore(t *testing.T, store blob.Store) blob.Store {
	t.Helper()
	clone := blobtest.Memory()
	for _, name := range names(t, store, "") {
		data, err := blobtest.Read(t.Context(), store, name)
		must(t, err)
		must(t, clone.Put(t.Context(), name, data))
	}
	return clone
}

func (w *world) corrupt(name string, mutate func([]byte) []byte) {
	w.t.Helper()
	must(w.t, blobtest.Corrupt(w.t.Context(), w.store, name, mutate))
}

func (w *world) delete(name string) {
	w.t.Helper()
	must(w.t, w.store.Delete(w.t.Context(), name))
}

func flipMiddle(b []byte) []byte { b[len(b)/2] ^= 1; return b }
func cutHalf(b []byte) []byte    { return b[:len(b)/2] }

// A tree is what a folder holds: a line for each path.
type tree map[string]string

// readTree reads a folder. Databases are held to what SQLite's online backup keeps.
func readTree(t *testing.T, dir string) tree {
	t.Helper()
	tr := tree{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		line := fmt.Sprintf("%v %s", info.Mode(), info.ModTime().UTC().Format(time.RFC3339Nano))
		switch {
		case info.Mode().IsRegular():
			line += fmt.Sprintf(" %d %s", info.Size(), contentSum(t, p))
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line = fmt.Sprintf("%v -> %q", info.Mode().Type(), target)
		}
		tr[rel] = line
		return nil
	})
	must(t, err)
	return tr
}

func contentSum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	first := make([]byte, 4096)
	n, err := io.ReadFull(f, first)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if n >= 100 && string(first[:len(sqliteMagic)]) == sqliteMagic {
		for _, at := range []int{24, 40, 92, 96} {
			clear(first[at : at+4])
		}
	}
	h.Write(first[:n])
	_, err = io.Copy(h, f)
	must(t, err)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// diff lists what differs, in the order of the paths.
func (want tree) diff(got tree) (diff []string) {
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if want[p] != got[p] {
			diff = append(diff, fmt.Sprintf("%q: want %s, got %s", p, want[p], got[p]))
		}
	}
	return diff
}

// without returns the tree without some paths.
func (want tree) without(paths ...string) tree {
	rest := maps.Clone(want)
	for _, p := range paths {
		delete(rest, p)
	}
	return rest
}

// write makes a file of the source, and its folders.
func (w *world) write(path string, data []byte) {
	w.t.Helper()
	writeFile(w.t, filepath.Join(w.src, path), data)
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o644))
}

// fill makes a source that has a bit of everything: folders, some files of several sizes, a duplicate, a symbolic link.
func (w *world) fill(version byte) {
	w.t.Helper()
	w.write("notes.txt", []byte("notes, version "+strconv.Itoa(int(version))))
	w.write("empty", nil)
	w.write("media/old.jpg", random(1, 70_000))
	w.write("media/copy.jpg", random(1, 70_000))
	w.write(fmt.Sprintf("media/new-%d.jpg", version), random(version, 50_000))
	w.write("media/deep/er/video.mp4", append(random(7, 5<<20), version))
	if _, err := os.Lstat(filepath.Join(w.src, "link")); err != nil {
		must(w.t, os.Symlink("media/old.jpg", filepath.Join(w.src, "link")))
	}
}

// random returns bytes that do not compress, always the same for a seed.
func random(seed byte, size int) []byte {
	var key [32]byte
	key[0] = seed
	b := make([]byte, size)
	rand.NewChaCha8(key).Read(b)
	return b
}

// stride is how far a test goes from one step of an operation to the next that it lets fail.
func stride() int {
	if testing.Short() {
		return 3
	}
	return 1
}

// seed returns the seed of a randomised test: ARCHIVE_SEED, or a new one. It is printed, so that a failure can be repeated.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if text := os.Getenv("ARCHIVE_SEED"); text != "" {
		var err error
		s, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("ARCHIVE_SEED=%d repeats this run", s)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails the test unless err wraps want.
func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got %v, want %v", what, err, want)
	}
}

// hasProblem tells whether a report has a problem of this kind with a path.
func hasProblem(problems []Problem, path string, kind ProblemKind) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Path == path && p.Kind == kind })
}

// failDelete lets the kth Delete at a world's destination fail.
func failDelete(w *world, k int) blob.Store {
	return &blobtest.Faulty{Store: w.store, Before: blobtest.FromNth(blobtest.OpDelete, k, errFault)}
}
