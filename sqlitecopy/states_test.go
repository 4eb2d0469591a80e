// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

const (
	walMode  = "pragma journal_mode=wal; pragma wal_autocheckpoint=0"
	schema   = "create table t(id integer primary key, v blob)"
	fill     = "with recursive c(i) as (select 1 union all select i+1 from c where i<1000) insert into t select i, randomblob(200) from c"
	addOne   = "insert into t(v) values('one more')"
	spill    = "pragma cache_size=2; pragma cache_spill=2; begin immediate; update t set v=randomblob(200)"
	keepAll  = "pragma journal_mode=persist"
	truncate = "pragma journal_mode=truncate"
)

// states are what can be found on a disk: what an application did, whether it
// still lives, and what a crash or a user then did to its files.
var states = []struct {
	name  string
	do    []string // by an application, in order
	end   func(*process)
	after func(t *testing.T, db string)
	rows  int64 // committed
}{
	{name: "wal, live", do: []string{walMode, schema, fill}, rows: 1000},
	{name: "wal, live, partly checkpointed", do: []string{walMode, schema, fill, "pragma wal_checkpoint", addOne}, rows: 1001},
	{name: "wal, live, empty -wal", do: []string{walMode, schema, fill, "pragma wal_checkpoint(truncate)"}, rows: 1000},
	{name: "wal, live, writing", do: []string{walMode, schema, fill, "begin immediate", addOne}, rows: 1000},
	{name: "wal, live, exclusive", do: []string{"pragma locking_mode=exclusive", walMode, schema, fill}, rows: 1000},
	{name: "wal, live, exclusive, old -shm", do: []string{"pragma locking_mode=exclusive", walMode, schema, fill}, after: overwrite("-shm"), rows: 1000},
	{name: "wal, killed", do: []string{walMode, schema, fill}, end: (*process).kill, rows: 1000},
	{name: "wal, killed, no -shm", do: []string{walMode, schema, fill}, end: (*process).kill, after: remove("-shm"), rows: 1000},
	{name: "wal, killed, wrong -shm", do: []string{walMode, schema, fill}, end: (*process).kill, after: overwrite("-shm"), rows: 1000},
	{name: "wal, killed, no -wal", do: []string{walMode, schema, fill, "pragma wal_checkpoint"}, end: (*process).kill, after: remove("-wal"), rows: 1000},
	{name: "wal, closed", do: []string{walMode, schema, fill}, end: (*process).stop, rows: 1000},
	{name: "wal, closed, empty -wal", do: []string{walMode, schema, fill}, end: (*process).stop, after: empty("-wal"), rows: 1000},
	{name: "journal, live", do: []string{schema, fill}, rows: 1000},
	{name: "journal, live, reading", do: []string{schema, fill, "begin; select * from t"}, rows: 1000},
	{name: "journal, live, writing", do: []string{schema, fill, "begin immediate", addOne}, rows: 1000},
	{name: "journal, killed", do: []string{schema, fill, spill}, end: (*process).kill, rows: 1000},
	{name: "journal, killed, several databases", do: []string{schema, fill, spill}, end: (*process).kill, after: addSuperJournal, rows: 1000},
	{name: "journal, closed", do: []string{schema, fill}, end: (*process).stop, rows: 1000},
	{name: "journal, closed, persisted", do: []string{keepAll, schema, fill}, end: (*process).stop, rows: 1000},
	{name: "journal, live, truncated", do: []string{truncate, schema, fill}, rows: 1000},
}

func remove(suffix string) func(*testing.T, string) {
	return func(t *testing.T, db string) { must(t, os.Remove(db+suffix)) }
}

func empty(suffix string) func(*testing.T, string) {
	return func(t *testing.T, db string) { must(t, os.WriteFile(db+suffix, nil, 0o600)) }
}

func overwrite(suffix string) func(*testing.T, string) {
	return func(t *testing.T, db string) {
		must(t, os.WriteFile(db+suffix, bytes.Repeat([]byte{0xa5}, 32768), 0o600))
	}
}

// addSuperJournal makes a transaction on one database one on several. SQLite
// deletes the file that such a journal names once it has rolled back.
func addSuperJournal(t *testing.T, db string) {
	super := db + "-mj012345978"
	must(t, os.WriteFile(super, []byte(db+"-journal\x00"), 0o600))
	record := binary.BigEndian.AppendUint32(nil, pendingByte/4096+1)
	record = append(record, super...)
	record = binary.BigEndian.AppendUint32(record, uint32(len(super)))
	sum := uint32(0)
	for _, c := range []byte(super) {
		sum += uint32(c)
	}
	record = binary.BigEndian.AppendUint32(record, sum)
	record = append(record, "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"...)
	f, err := os.OpenFile(db+"-journal", os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write(record)
	must(t, errors.Join(err, f.Close()))
}

func TestSourceIsNeverChanged(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("reads files that their application has locked, which Windows forbids")
	}
	forEachState(t, func(t *testing.T, db string) string { return db })
}

func TestReadOnlyPermissions(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("permissions do not bind this user; a read-only mount does")
	}
	forEachState(t, func(t *testing.T, db string) string {
		dir := filepath.Dir(db)
		for name := range list(t, dir) {
			must(t, os.Chmod(filepath.Join(dir, name), 0o400))
		}
		must(t, os.Chmod(dir, 0o500))
		t.Cleanup(func() { must(t, os.Chmod(dir, 0o700)) })
		return db
	})
}

// forEachState copies every state, from the path that seenAs returns, and
// compares the source's directory before and after, and the copy with what
// SQLite makes of a private copy of that directory.
func forEachState(t *testing.T, seenAs func(t *testing.T, db string) string) {
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "chat.db")
			app := start(t, append([]string{"app", db}, state.do...)...)
			if state.end != nil {
				state.end(app)
			}
			if state.after != nil {
				state.after(t, db)
			}
			want := recovered(t, db)
			seen := seenAs(t, db)
			before := list(t, filepath.Dir(db))

			dst := newDst(t)
			must(t, child(t)(seen, dst))

			if after := list(t, filepath.Dir(db)); !maps.Equal(before, after) {
				t.Errorf("source directory changed:\nbefore %v\nafter  %v", names(before), names(after))
			}
			mustHold(t, dst, "copy")
			mustBeSound(t, dst, state.rows)
			mustMatch(t, dst, want)
		})
	}
}

// file is all of a file that a copy could change.
type file struct {
	content, modTime string
	mode             fs.FileMode
}

func list(t *testing.T, dir string) map[string]file {
	t.Helper()
	files := map[string]file{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		files[e.Name()] = file{string(content), info.ModTime().String(), info.Mode()}
	}
	return files
}

func names(files map[string]file) map[string]int {
	sizes := map[string]int{}
	for name, f := range files {
		sizes[name] = len(f.content)
	}
	return sizes
}

// recovered is the database file after SQLite itself has recovered a copy of
// the directory, as the application would at its next start.
func recovered(t *testing.T, db string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, f := range list(t, filepath.Dir(db)) {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(f.content), 0o600))
	}
	db = filepath.Join(dir, filepath.Base(db))
	os.Remove(db + "-shm")
	execute(t, db, "select count(*) from t", "pragma wal_checkpoint(truncate)")
	content, err := os.ReadFile(db)
	must(t, err)
	return content
}

func mustBeSound(t *testing.T, copied string, rows int64) {
	t.Helper()
	if got := query[string](t, copied, "pragma integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
	if got := query[int64](t, copied, "select count(*) from t"); got != rows {
		t.Errorf("%d rows, want %d", got, rows)
	}
}

// mustMatch compares a copy with its source, byte by byte but for the counters
// that every SQLite that writes a file sets.
func mustMatch(t *testing.T, copied string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(copied)
	must(t, err)
	if len(got) != len(want) {
		t.Fatalf("copy has %d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		counter := i >= 24 && i < 28 || i >= 40 && i < 44 || i >= 92 && i < 100
		if got[i] != want[i] && !counter {
			t.Fatalf("byte %d is %#x, want %#x", i, got[i], want[i])
		}
	}
}
