// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestOddSizedDatabase appends a byte to a database, as a full disk can leave it. In use, it is still copied through SQLite; at rest,
// it is stored as it lies and reported.
func TestOddSizedDatabase(t *testing.T) {
	header := append([]byte(sqliteMagic), make([]byte, 4096-len(sqliteMagic)+1)...)
	header[16], header[17] = 0x10, 0x00
	for _, inUse := range []bool{false, true} {
		w := newWorld(t)
		w.write("a.db", header)
		if inUse {
			w.write("a.db-wal", []byte("frames"))
			w.write("a.db-shm", []byte("index"))
		}
		copied := false
		a := w.device().mustOpen()
		r, err := a.Backup(t.Context(), BackupConfig{Source: w.src, StateDir: t.TempDir(),
			CopyDatabase: func(_ context.Context, src, dst string) error {
				copied = filepath.Base(src) == "a.db"
				return os.WriteFile(dst, header[:4096], 0o600)
			}})
		must(t, err)
		if copied != inUse || hasProblem(r.Problems, "a.db", ProblemNotDatabase) == inUse {
			t.Errorf("in use %v: copied %v, %+v", inUse, copied, r.Problems)
		}
		s, err := a.Snapshot(t.Context(), "latest")
		must(t, err)
		for e, err := range s.List(t.Context(), "", true) {
			must(t, err)
			if inUse && e.Path != "a.db" {
				t.Errorf("%q is in the snapshot", e.Path)
			}
		}
	}
}
