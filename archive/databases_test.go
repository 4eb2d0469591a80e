// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/coffer-backup/coffer/archive/format"
)

// pages is a made-up database: SQLite's magic and page size, then pages of random bytes. copyPlainly takes the part of SQLite.
type pages struct {
	size int
	all  [][]byte
	rng  *rand.Rand
}

func newPages(rng *rand.Rand, size, count int) *pages {
	p := &pages{size: size, rng: rng}
	for range count {
		p.all = append(p.all, p.page())
	}
	p.header()
	return p
}

func (p *pages) page() []byte {
	b := make([]byte, p.size)
	for i := range b {
		b[i] = byte(p.rng.Uint32())
	}
	return b
}

func (p *pages) header() {
	copy(p.all[0], sqliteMagic)
	p.all[0][16], p.all[0][17] = byte(p.size>>8), byte(p.size) // 65536 is 1
	if p.size == format.MaxPageSize {
		p.all[0][16], p.all[0][17] = 0, 1
	}
}

func (p *pages) change(pages ...int) {
	for _, i := range pages {
		p.all[i] = p.page()
	}
	p.header()
}

func (p *pages) bytes() []byte { return slices.Concat(p.all...) }

// copyPlainly is a CopyDatabase for databases that hold still.
func copyPlainly(_ context.Context, src, dst string) error {
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(dst, data, 0o600)
}

// databaseOf returns how the newest snapshot has a database.
func databaseOf(t *testing.T, a *Archive, path string) format.Entry {
	t.Helper()
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	for e, err := range a.entries(t.Context(), s.body, path, false) {
		must(t, err)
		return *e
	}
	t.Fatalf("%q is not in the snapshot", path)
	return format.Entry{}
}

// newestBytes reads a file from the newest snapshot.
func newestBytes(t *testing.T, a *Archive, path string) []byte {
	t.Helper()
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	var b bytes.Buffer
	must(t, s.Dump(t.Context(), path, &b))
	return b.Bytes()
}

func TestIncrementHasChangedPagesOnly(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{512, 4096, 65536} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			w := newWorld(t)
			d := w.device()
			d.copy = copyPlainly
			p := newPages(rng, size, (4<<20)/size)
			w.write("chats.db", p.bytes())
			first := d.mustBackup()
			if first.AddedBytes < 4<<20 {
				t.Errorf("first: %+v", first)
			}
			count := len(p.all)
			p.change(3, 4, 5, count/2, count-1)
			w.write("chats.db", p.bytes())
			r := d.mustBackup()
			changed := int64(6 * size) // and page 1, which goes along
			if r.AddedBytes < changed || r.AddedBytes > changed+changed/8+8<<10 {
				t.Errorf("%d bytes were added for %d of pages", r.AddedBytes, changed)
			}
			if e := databaseOf(t, d.mustOpen(), "chats.db"); e.Type != format.TypeDatabase || len(e.Layers) != 2 || e.PageSize != uint32(size) {
				t.Errorf("entry %+v", e)
			}
			w.check()

			must(t, os.RemoveAll(d.state)) // a lost cache
			must(t, os.Mkdir(d.state, 0o700))
			if r := d.mustBackup(); !r.Unchanged {
				t.Errorf("with a lost cache: %+v", r)
			}
			must(t, os.RemoveAll(d.state))
			must(t, os.Mkdir(d.state, 0o700))
			p.change(7)
			w.write("chats.db", p.bytes())
			if r := d.mustBackup(); r.AddedBytes > int64(2*size)+8<<10 {
				t.Errorf("with a lost cache %d bytes were added for two pages", r.AddedBytes)
			}
			w.check()
		})
	}
}

// TestManyIncrements changes, grows and shrinks a database at random, over more increments than a version may have layers.
func TestManyIncrements(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 0))
	w := newWorld(t)
	d := w.device()
	d.copy = copyPlainly
	p := newPages(rng, 1024, 600)
	merged := false
	for i := range 45 {
		switch n := len(p.all); rng.IntN(12) {
		case 0:
			p.all = p.all[:1+rng.IntN(n)] // shrunk
		case 1, 2:
			for range rng.IntN(300) {
				p.all = append(p.all, p.page())
			}
		case 3:
			if i%3 == 0 { // VACUUM with another page size
				p = newPages(rng, []int{512, 1024, 2048}[rng.IntN(3)], 300)
			}
		case 4:
			must(t, os.RemoveAll(d.state))
			must(t, os.Mkdir(d.state, 0o700))
		case 5: // nothing
		default:
			for range 1 + rng.IntN(max(1, n/4)) {
				p.change(rng.IntN(n))
			}
		}
		w.write("chats.db", p.bytes())
		d.mustBackup()
		a := d.mustOpen()
		if got := newestBytes(t, a, "chats.db"); !bytes.Equal(got, p.bytes()) {
			t.Fatalf("increment %d differs", i)
		}
		e := databaseOf(t, a, "chats.db")
		merged = merged || len(e.Layers) == 1 && i > 30
		if len(e.Layers) > format.MaxLayers {
			t.Fatalf("%d layers", len(e.Layers))
		}
	}
	w.check()
}

// TestLayersAreMerged lets a database come to its limit of layers.
func TestLayersAreMerged(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = copyPlainly
	p := newPages(rand.New(rand.NewPCG(3, 4)), 512, 200)
	most, last := 0, 0
	for i := range format.MaxLayers + 8 {
		w.write("chats.db", p.bytes())
		d.mustBackup()
		a := d.mustOpen()
		if got := newestBytes(t, a, "chats.db"); !bytes.Equal(got, p.bytes()) {
			t.Fatalf("increment %d differs", i)
		}
		last = len(databaseOf(t, a, "chats.db").Layers)
		most = max(most, last)
		p.change(1+i, 100+i%10)
	}
	if most != format.MaxLayers || last > 8 {
		t.Errorf("most layers %d, now %d", most, last)
	}
	w.check()
}

// TestMostlyDeadGroupIsFolded: the few pages that a version still needs of a group are stored again.
func TestMostlyDeadGroupIsFolded(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = copyPlainly
	p := newPages(rand.New(rand.NewPCG(5, 6)), 4096, 512) // two groups
	w.write("chats.db", p.bytes())
	d.mustBackup()
	for i := 1; i < 230; i++ {
		p.change(i)
	}
	w.write("chats.db", p.bytes())
	d.mustBackup()
	a := d.mustOpen()
	e := databaseOf(t, a, "chats.db")
	m, err := a.openDatabaseMap(t.Context(), &e)
	must(t, err)
	for i, g := range m.groups {
		if g.live > 0 && g.live*foldBelow < g.slots {
			t.Errorf("group %d has %d live pages of %d", i, g.live, g.slots)
		}
	}
	if m.groups[0].live > 0 {
		t.Errorf("the first group still has %d live pages", m.groups[0].live)
	}
	w.check()
}

// TestFirstPage: what SQLite's copies change in the header is no change; with any other page it goes along.
func TestFirstPage(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = copyPlainly
	p := newPages(rand.New(rand.NewPCG(7, 8)), 4096, 50)
	w.write("chats.db", p.bytes())
	path := filepath.Join(w.src, "chats.db")
	when := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(path, when, when))
	must(t, os.Chtimes(w.src, when, when))
	d.mustBackup()
	for _, at := range []int{24, 27, 40, 43, 92, 99} {
		p.all[0][at]++
	}
	w.write("chats.db", p.bytes())
	must(t, os.Chtimes(path, when, when))
	must(t, os.Chtimes(w.src, when, when))
	if r := d.mustBackup(); !r.Unchanged {
		t.Errorf("with another change counter: %+v", r)
	}
	p.change(9)
	w.write("chats.db", p.bytes())
	d.mustBackup()
	if got := newestBytes(t, d.mustOpen(), "chats.db"); !bytes.Equal(got, p.bytes()) {
		t.Error("the change counter is not the version's own")
	}
	for _, at := range []int{23, 28, 39, 44, 91, 100} {
		p.all[0][at]++
		w.write("chats.db", p.bytes())
		if r := d.mustBackup(); r.Unchanged {
			t.Errorf("byte %d of the header counts", at)
		}
		if got := newestBytes(t, d.mustOpen(), "chats.db"); !bytes.Equal(got, p.bytes()) {
			t.Errorf("byte %d is lost", at)
		}
	}
}

// TestOddDatabases: what is not made of whole pages, or says so, is an ordinary file. Sizes and page sizes are the file's own word.
func TestOddDatabases(t *testing.T) {
	header := func(size int, pageSize ...byte) []byte {
		b := append([]byte(sqliteMagic), pageSize...)
		return append(b, random(1, size-len(b))...)
	}
	files := map[string][]byte{
		"page size 0":            header(4096, 0, 0),
		"page size 3":            header(4096, 0, 3),
		"page size 256":          header(4096, 1, 0),
		"page size 1536":         header(1536*4, 6, 0),
		"page size 32768":        header(4096, 128, 0),
		"page and a half":        header(4096+2048, 16, 0),
		"shorter than its magic": []byte(sqliteMagic[:8]),
		"65536 in half a page":   header(32768, 0, 1),
		"ordinary":               header(8192, 16, 0),
	}
	for _, c := range []func(context.Context, string, string) error{nil, copyPlainly} {
		w := newWorld(t)
		d := w.device()
		d.copy = c
		d.config.Databases = []string{"glob *:512"}
		for name, data := range files {
			w.write(name, data)
		}
		w.write("glob empty", nil)
		w.write("glob odd", random(1, 1000))
		w.write("glob whole", random(1, 1024))
		r := d.mustBackup()
		if len(r.Problems) > 0 {
			t.Errorf("problems: %+v", r.Problems)
		}
		w.check()
		a := d.mustOpen()
		for name, want := range map[string]format.EntryType{
			"ordinary": TypeDatabase, "glob whole": TypeDatabase, "glob odd": TypeFile, "page size 1536": TypeFile, "glob empty": TypeFile,
		} {
			if e := databaseOf(t, a, name); e.Type != want {
				t.Errorf("%q is stored as %c", name, e.Type)
			}
		}
		if r := d.mustBackup(); !r.Unchanged {
			t.Errorf("again: %+v", r)
		}
	}
}

// TestSidecars: the files beside a database are left out only if a copy stands for them.
func TestSidecars(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	cannot := errors.New("SQLite cannot read it")
	d.copy = func(ctx context.Context, src, dst string) error {
		if strings.HasSuffix(src, "bad.db") {
			must(t, os.WriteFile(dst, []byte("half a copy"), 0o600))
			return cannot
		}
		return copyPlainly(ctx, src, dst)
	}
	p := newPages(rand.New(rand.NewPCG(7, 8)), 4096, 5)
	for _, db := range []string{"bad.db", "good.db", "zzz.db"} {
		w.write(db, p.bytes())
		for _, suffix := range []string{"-wal", "-shm", "-journal", "-other"} {
			w.write(db+suffix, []byte(suffix))
		}
	}
	w.write("alone-wal", []byte("beside nothing"))
	w.write("dir/good.db-wal/file", []byte("a folder of that name"))
	w.write("dir/good.db", p.bytes())
	left := []string{"good.db-wal", "good.db-shm", "good.db-journal", "zzz.db-wal", "zzz.db-shm", "zzz.db-journal"}
	for range 2 { // the second time most is unchanged
		r := d.mustBackup()
		w.want[r.Snapshot] = readTree(t, w.src).without(left...)
		if len(r.Problems) != 1 || !hasProblem(r.Problems, "bad.db", ProblemNotDatabase) || !strings.Contains(r.Problems[0].Detail, cannot.Error()) {
			t.Errorf("problems: %+v", r.Problems)
		}
		w.check()
		w.write("more", nil)
	}
	if e := databaseOf(t, d.mustOpen(), "bad.db"); e.Type != TypeFile {
		t.Errorf("stored as %c", e.Type)
	}
}

func TestCopyErrors(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	p := newPages(rand.New(rand.NewPCG(7, 8)), 4096, 5)
	w.write("chats.db", p.bytes())
	for _, err := range []error{ErrNoSpace, fmt.Errorf("copy: %w", syscall.ENOSPC), fmt.Errorf("copy: %w", syscall.EDQUOT)} {
		d.copy = func(context.Context, string, string) error { return err }
		_, got := d.backup()
		wantErr(t, "backup", got, err)
	}
	// A database that goes before it is copied is not there; a copier that is not there is a problem.
	d.copy = func(_ context.Context, src, _ string) error {
		must(t, os.Remove(src))
		_, err := os.Open(src)
		return err
	}
	if r := d.mustBackup(); len(r.Problems) > 0 {
		t.Errorf("%+v", r.Problems)
	}
	w.write("chats.db", p.bytes())
	d.copy = func(context.Context, string, string) error {
		_, err := os.Open(filepath.Join(w.src, "none"))
		return err
	}
	if r := d.mustBackup(); !hasProblem(r.Problems, "chats.db", ProblemNotDatabase) {
		t.Errorf("%+v", r.Problems)
	}
	w.check()

	ctx, cancel := context.WithCancel(t.Context())
	d.copy = func(context.Context, string, string) error { cancel(); return errors.New("killed") }
	a := d.mustOpen()
	_, err := a.Backup(ctx, BackupConfig{Source: w.src, StateDir: d.state, CopyDatabase: d.copy, ReadAll: true})
	wantErr(t, "cancelled backup", err, context.Canceled)
}

// TestNamedDatabase follows a database of SQLCipher's kind through its life: without magic, with a -wal, which comes and goes.
func TestNamedDatabase(t *testing.T) {
	for _, named := range []bool{true, false} { // or with the magic, and nobody who can copy it
		w := newWorld(t)
		d := w.device()
		p := newPages(rand.New(rand.NewPCG(9, 9)), 4096, 300)
		if named {
			d.config.Databases = []string{"*.db:4096"}
			copy(p.all[0], "encrypted, salt..")
		}
		step := func(what string, added int64) {
			t.Helper()
			r := d.mustBackup()
			w.want[r.Snapshot] = readTree(t, w.src).without("dir/chats.db-shm")
			if len(r.Problems) > 0 || r.AddedBytes > added || added == 0 != r.Unchanged {
				t.Errorf("%s: %+v", what, r)
			}
			w.check()
		}
		w.write("dir/chats.db", p.bytes())
		step("first", 2<<20)
		step("unchanged", 0)
		w.write("dir/chats.db-wal", random(1, 30_000))
		w.write("dir/chats.db-shm", random(2, 32768))
		step("with a -wal", 50_000)
		step("unchanged with a -wal", 0)
		w.write("dir/chats.db-wal", random(3, 40_000))
		step("another -wal", 60_000)
		must(t, os.Remove(filepath.Join(w.src, "dir/chats.db-wal")))
		must(t, os.Remove(filepath.Join(w.src, "dir/chats.db-shm")))
		p.all[17] = p.page()
		w.write("dir/chats.db", p.bytes())
		w.write("dir/chats.db-journal", random(4, 5000))
		step("a checkpoint, and a journal", 40_000)
		must(t, os.Remove(filepath.Join(w.src, "dir/chats.db-journal")))
		step("without", 20_000)
		step("unchanged again", 0)
		if e := databaseOf(t, d.mustOpen(), "dir/chats.db"); e.Type != TypeDatabase {
			t.Errorf("stored as %c", e.Type)
		}
	}
}

// TestCompanionsVanish: what was copied with a database is in the snapshot, though the walk does not find it any more; but not if
// the database itself is gone, and with it perhaps its folder.
func TestCompanionsVanish(t *testing.T) {
	for _, gone := range []string{"a/chats.db-wal", "a/chats.db", "a", ""} {
		w := newWorld(t)
		d := w.device()
		d.config.Databases = []string{"chats.db"}
		w.write("a/chats.db", random(1, 8192))
		w.write("a/chats.db-wal", random(2, 5000))
		w.write("a/chats.db-journal", random(3, 600))
		w.write("b/other.db", newPages(rand.New(rand.NewPCG(7, 8)), 512, 2).bytes())
		before := readTree(t, w.src)
		d.copy = func(ctx context.Context, src, dst string) error { // comes second
			if gone != "" {
				must(t, os.RemoveAll(filepath.Join(w.src, gone)))
			}
			return copyPlainly(ctx, src, dst)
		}
		r := d.mustBackup()
		want := readTree(t, w.src)
		if gone == "a/chats.db-wal" {
			want[gone] = before[gone]
		}
		w.want[r.Snapshot] = want
		w.check()
	}
}

// TestNamedDatabaseHoldsStill lets a writer stop after a while, and one that never does.
func TestNamedDatabaseHoldsStill(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.config.Databases = []string{"*.db"}
	path := filepath.Join(w.src, "chats.db")
	w.write("chats.db", make([]byte, 4<<20))
	write := func(n int, stop <-chan struct{}) <-chan struct{} {
		done, begun := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for i := 0; n < 0 || i < n; i++ {
				if _, err := f.WriteAt([]byte(fmt.Sprint(i, "            ")), int64(i%1000)*4096); err != nil {
					t.Error(err)
				}
				if i == 0 {
					close(begun)
				}
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		}()
		<-begun
		return done
	}
	done := write(60, nil)
	r, err := d.backup()
	must(t, err)
	if len(r.Problems) > 0 || r.Torn() {
		t.Errorf("a writer that stops: %+v", r.Problems)
	}
	<-done
	w.want[r.Snapshot] = readTree(t, w.src)
	w.check()

	stop := make(chan struct{})
	done = write(-1, stop)
	r, err = d.backup()
	close(stop)
	<-done
	must(t, err)
	if !hasProblem(r.Problems, "chats.db", ProblemTorn) || !r.Torn() {
		t.Errorf("a writer that never stops: %+v", r.Problems)
	}
	delete(w.want, r.Snapshot)
	r2 := d.mustBackup()
	if r2.Unchanged || r2.Torn() {
		t.Errorf("after a torn copy: %+v", r2)
	}
	checkSnapshot(t, d.mustOpen(), r2.Snapshot, w.want[r2.Snapshot])
}

// TestDatabasesComeFirst: no message in a snapshot can refer to a file that came later.
func TestDatabasesComeFirst(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.write("zzz/chats.db", newPages(rand.New(rand.NewPCG(7, 8)), 512, 2).bytes())
	d.copy = func(ctx context.Context, src, dst string) error {
		w.write("aaa/picture the database names.jpg", random(1, 100))
		return copyPlainly(ctx, src, dst)
	}
	d.mustBackup()
	w.check() // the tree was read after the backup, so it has the picture
}

// TestCopiesArePrivate: copies are where nobody else reads them, and nothing is left of them, not even by a killed run.
func TestCopiesArePrivate(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.write("chats.db", newPages(rand.New(rand.NewPCG(7, 8)), 512, 2).bytes())
	writeFile(t, filepath.Join(d.state, "tmp", "left by a killed run"), nil)
	d.copy = func(ctx context.Context, src, dst string) error {
		entries, err := os.ReadDir(filepath.Dir(dst))
		must(t, err)
		info, err := os.Stat(filepath.Dir(dst))
		must(t, err)
		if len(entries) > 0 || info.Mode().Perm() != 0o700 || filepath.Dir(filepath.Dir(dst)) != d.state {
			t.Errorf("%s has mode %v and holds %v", filepath.Dir(dst), info.Mode(), entries)
		}
		return copyPlainly(ctx, src, dst)
	}
	d.mustBackup()
	if _, err := os.Stat(filepath.Join(d.state, "tmp")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("copies are left: %v", err)
	}
	err := filepath.WalkDir(d.state, func(p string, e os.DirEntry, err error) error {
		must(t, err)
		info, err := e.Info()
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 && p != d.state {
			t.Errorf("%s has mode %v", p, info.Mode())
		}
		return nil
	})
	must(t, err)
}

// sql runs statements on a SQLite database in the source.
func (w *world) sql(path string, statements ...string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.src, path))
	must(w.t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		_, err := db.Exec(s)
		must(w.t, err)
	}
}
