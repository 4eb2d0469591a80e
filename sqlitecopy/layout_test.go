// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestLayoutIsKept(t *testing.T) {
	for _, pageSize := range []int{512, 4096, 65536} {
		for _, vacuum := range []string{"none", "full", "incremental"} {
			for _, journal := range []string{"delete", "wal"} {
				t.Run(fmt.Sprint(pageSize, "/", vacuum, "/", journal), func(t *testing.T) {
					db := filepath.Join(t.TempDir(), "chat.db")
					execute(t, db,
						fmt.Sprintf("pragma page_size=%d; pragma auto_vacuum=%s; pragma journal_mode=%s", pageSize, vacuum, journal),
						schema, fill, "create index i on t(v)", "delete from t where id % 3 = 0")
					want, err := os.ReadFile(db)
					must(t, err)

					dst := newDst(t)
					must(t, Copy(t.Context(), db, dst))

					mustHold(t, dst, "copy")
					mustMatch(t, dst, want)
					mustBeSound(t, dst, 667)
					if got := query[int](t, dst, "pragma page_size"); got != pageSize {
						t.Errorf("page size %d", got)
					}
					info, err := os.Stat(dst)
					must(t, err)
					if runtime.GOOS != "windows" && info.Mode() != 0o600 {
						t.Errorf("mode %v", info.Mode())
					}
				})
			}
		}
	}
}

func TestAnyPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such names")
	}
	odd := []string{
		"two words", "q?mode=memory&x", "h#fragment", "p%41%zz", "line\nbreak", "a&_pragma=b", "c:d", `back\slash`, "Grüße",
		strings.Repeat("/"+strings.Repeat("long", 50), 5)[1:], // longer than SQLite opens
	}
	if runtime.GOOS == "linux" {
		odd = append(odd, "\xff\xfe not UTF-8")
	}
	for _, mode := range []string{"pragma journal_mode=delete", walMode} {
		for _, name := range odd {
			t.Run(mode+name, func(t *testing.T) {
				// SQLite cannot be asked to make a database at such a path, so it
				// is made elsewhere and moved.
				dir := t.TempDir()
				execute(t, filepath.Join(dir, "plain"), mode, schema, fill)
				db := filepath.Join(dir, name, "chat "+filepath.Base(name))
				must(t, os.MkdirAll(filepath.Dir(db), 0o700))
				must(t, os.Rename(filepath.Join(dir, "plain"), db))

				dst := filepath.Join(t.TempDir(), filepath.Base(name))
				must(t, child(t)(db, dst))
				mustHold(t, dst, filepath.Base(name))
				mustBeSound(t, dst, 1000)
				mustHold(t, db, filepath.Base(db))
			})
		}
	}
}

func TestRelativePaths(t *testing.T) {
	t.Chdir(t.TempDir())
	execute(t, filepath.Join(must1(os.Getwd()), "chat.db"), schema, fill)
	must(t, child(t)("chat.db", "copy"))
	mustBeSound(t, filepath.Join(must1(os.Getwd()), "copy"), 1000)
}

func must1[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
