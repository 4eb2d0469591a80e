// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"github.com/coffer-backup/coffer/internal/chatgen"
	"github.com/coffer-backup/coffer/sqlitecopy"
)

// TestLiveDatabase backs up a chat store whose message database another process is writing all the time. Each restored database
// is sound and shows one moment.
func TestLiveDatabase(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 4
	}
	w := newWorld(t)
	d := w.device()
	d.copy = sqlitecopy.Child(self(t), "copy")
	must(t, chatgen.Generate(t.Context(), w.src, chatgen.Config{Seed: 1, Messages: 3000, MediaFiles: 4, MediaMeanBytes: 5000}))
	d.mustBackup()
	w.check() // of a database at rest

	path := filepath.Join(w.src, filepath.FromSlash(chatgen.MessageDatabase))
	hammer := child(t, "hammer", path)
	out, err := hammer.StdoutPipe()
	must(t, err)
	must(t, hammer.Start())
	bufio.NewScanner(out).Scan() // until it has written
	var made []ID
	for range rounds {
		r := d.mustBackup()
		if r.Unchanged || len(r.Problems) > 0 {
			t.Errorf("%+v", r)
		}
		made = append(made, r.Snapshot)
	}
	must(t, hammer.Process.Signal(os.Interrupt))
	must(t, hammer.Wait())

	a := d.mustOpen()
	for i, id := range made {
		dir := filepath.Join(t.TempDir(), "restored")
		_, err := a.Restore(t.Context(), RestoreConfig{Snapshot: id.String(), Dir: dir})
		must(t, err)
		if err := chatgen.CheckMoment(filepath.Join(dir, filepath.FromSlash(chatgen.MessageDatabase))); err != nil {
			t.Errorf("snapshot %d: %v", i, err)
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(chatgen.MessageDatabase)) + suffix); err == nil {
				t.Errorf("snapshot %d has the %s", i, suffix)
			}
		}
		must(t, os.RemoveAll(dir))
	}
}

// TestVacuum follows a real database over a VACUUM, and one to another page size.
func TestVacuum(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = sqlitecopy.Child(self(t), "copy")
	w.sql("chats.db", "pragma page_size=4096", "create table t(id integer primary key, v blob)",
		"with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t(v) select randomblob(700) from n")
	whole := d.mustBackup().AddedBytes
	w.sql("chats.db", "update t set v=randomblob(700) where id in (3, 1500)")
	if r := d.mustBackup(); r.AddedBytes > whole/20 {
		t.Errorf("an increment has %d of %d bytes", r.AddedBytes, whole)
	}
	w.sql("chats.db", "delete from t where id%3=0", "vacuum")
	d.mustBackup()
	w.sql("chats.db", "pragma page_size=8192", "vacuum")
	if r := d.mustBackup(); r.AddedBytes < whole/2 {
		t.Errorf("another page size has %d of %d bytes", r.AddedBytes, whole)
	}
	if e := databaseOf(t, d.mustOpen(), "chats.db"); e.Type != TypeDatabase || e.PageSize != 8192 || len(e.Layers) != 1 {
		t.Errorf("%+v", e)
	}
	w.check()
}

// TestNotADatabase gives SQLite what it cannot open.
func TestNotADatabase(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = sqlitecopy.Child(self(t), "copy")
	w.write("broken.db", append([]byte(sqliteMagic), random(1, 8192-len(sqliteMagic))...))
	w.write("broken.db-wal", random(1, 4000))
	r := d.mustBackup()
	if !hasProblem(r.Problems, "broken.db", ProblemNotDatabase) {
		t.Errorf("%+v", r.Problems)
	}
	w.check()
}
