// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// mustRefuse checks that a copy of db fails with want, that it leaves nothing,
// and that it leaves the source alone.
func mustRefuse(t *testing.T, db string, want error) {
	t.Helper()
	before := list(t, filepath.Dir(db))
	dst := newDst(t)
	if err := child(t)(db, dst); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	mustHold(t, dst)
	if after := list(t, filepath.Dir(db)); !maps.Equal(before, after) {
		t.Errorf("source directory changed:\nbefore %v\nafter  %v", names(before), names(after))
	}
}

func TestNotDatabase(t *testing.T) {
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	magic := "SQLite format 3\x00"
	for name, content := range map[string]string{
		"empty":                 "",
		"no magic":              string(noise),
		"magic only":            magic,
		"magic and noise":       magic + string(noise),
		"rollback header":       magic + "\x10\x00\x01\x01" + string(noise),
		"WAL header":            magic + "\x10\x00\x02\x02" + string(noise),
		"newer format":          magic + "\x10\x00\x09\x09" + string(noise),
		"zeros after the magic": magic + string(make([]byte, 4096)),
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "chat.db")
			must(t, os.WriteFile(db, []byte(content), 0o600))
			mustRefuse(t, db, ErrNotDatabase)
		})
	}
}

func TestTruncated(t *testing.T) {
	for _, mode := range []string{"pragma journal_mode=delete", walMode} {
		for _, size := range []int64{50, 100, 4095, 4096, 100_000} {
			db := filepath.Join(t.TempDir(), "chat.db")
			execute(t, db, mode, schema, fill)
			must(t, os.Truncate(db, size))
			mustRefuse(t, db, ErrNotDatabase)
		}
	}
}

func TestNotFile(t *testing.T) {
	dir := t.TempDir()
	mustRefuse(t, filepath.Join(dir, "nothing"), fs.ErrNotExist)
	db := filepath.Join(dir, "chat.db")
	execute(t, db, schema)
	must(t, os.Symlink(db, filepath.Join(dir, "link")))
	for _, name := range []string{"", "link"} {
		dst := newDst(t)
		if err := Copy(t.Context(), filepath.Join(dir, name), dst); err == nil {
			t.Errorf("%q was copied", name)
		}
		mustHold(t, dst)
	}
}

// killed is a database that its application left in the middle of something.
func killed(t *testing.T, do ...string) (db string) {
	t.Helper()
	db = filepath.Join(t.TempDir(), "chat.db")
	start(t, append([]string{"app", db}, do...)...).kill()
	return db
}

// claimed is a number of pages, 4 GiB of them, that a forged file claims.
const claimed = 1 << 20

func TestInflatedJournal(t *testing.T) {
	db := killed(t, schema, fill, spill)
	journal, err := os.ReadFile(db + "-journal")
	must(t, err)
	binary.BigEndian.PutUint32(journal[16:], claimed) // size before the transaction
	must(t, os.WriteFile(db+"-journal", journal, 0o600))
	content, err := os.ReadFile(db)
	must(t, err)
	binary.BigEndian.PutUint32(content[28:], claimed)
	must(t, os.WriteFile(db, content, 0o600))
	mustRefuse(t, db, ErrNotDatabase)
}

func TestInflatedWAL(t *testing.T) {
	for _, withShm := range []bool{true, false} {
		db := killed(t, walMode, schema, fill)
		wal, err := os.ReadFile(db + "-wal")
		must(t, err)
		inflate(wal)
		must(t, os.WriteFile(db+"-wal", wal, 0o600))
		if !withShm {
			must(t, os.Remove(db+"-shm"))
		}
		mustRefuse(t, db, ErrNotDatabase)
	}
}

// inflate makes page 1 and the last commit claim a database of that many pages,
// and corrects the checksums (sqlite.org/fileformat2.html, section 4).
func inflate(wal []byte) {
	var order binary.ByteOrder = binary.LittleEndian
	if wal[3]&1 == 1 {
		order = binary.BigEndian
	}
	s0, s1 := binary.BigEndian.Uint32(wal[24:]), binary.BigEndian.Uint32(wal[28:])
	for frame := range slices.Chunk(wal[32:], 24+4096) {
		if binary.BigEndian.Uint32(frame) == 1 {
			binary.BigEndian.PutUint32(frame[24+28:], claimed)
		}
		if commit := frame[4:8]; !bytes.Equal(commit, make([]byte, 4)) {
			binary.BigEndian.PutUint32(commit, claimed)
		}
		for _, part := range [][]byte{frame[:8], frame[24:]} {
			for ; len(part) > 0; part = part[8:] {
				s0 += order.Uint32(part) + s1
				s1 += order.Uint32(part[4:]) + s0
			}
		}
		binary.BigEndian.PutUint32(frame[16:], s0)
		binary.BigEndian.PutUint32(frame[20:], s1)
	}
}
