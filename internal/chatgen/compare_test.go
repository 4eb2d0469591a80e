// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// makeTree makes the tree that every case of TestCompare starts from.
func makeTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	long := strings.Repeat("x", 600<<10)
	database := sqliteMagic + strings.Repeat("\x00", 8176)
	for name, content := range map[string]string{"d/file": long, "d/sub/file": "12", "db/a.db": database, "db/plain": strings.Repeat("y", 100)} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	if runtime.GOOS != "windows" {
		must(t, os.Symlink("file", filepath.Join(dir, "d", "link")))
	}
	age(t, dir)
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func age(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type()&fs.ModeSymlink == 0 {
			err = os.Chtimes(p, historyEnd, historyEnd)
		}
		return err
	}))
}

func setByte(name string, at int64) func(string) error {
	return func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte{0xa5}, at)
		return err
	}
}

func touch(name string) func(string) error {
	return func(dir string) error {
		return os.Chtimes(filepath.Join(dir, name), historyEnd, historyEnd.Add(100*time.Nanosecond))
	}
}

func create(names ...string) func(string) error {
	return func(dir string) error {
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("new"), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(dir string) error
		keepNew bool   // the times that change made are part of the case
		want    string // the only difference, or none
		posix   bool
	}{
		{name: "nothing", change: func(string) error { return nil }},
		{name: "more", change: create("d/zzz"), want: `"d/zzz": exists: `},
		{name: "less", change: func(dir string) error { return os.Remove(filepath.Join(dir, "d/sub/file")) }, want: `"d/sub/file": exists: `},
		{name: "last byte", change: setByte("d/file", 600<<10-1), want: `"d/file": bytes: differ / from offset 614399`},
		{name: "size", change: create("d/sub/file"), want: `"d/sub/file": size: `},
		{name: "file time", change: touch("d/file"), keepNew: true, want: `"d/file": mtime: `},
		{name: "folder time", change: touch("d/sub"), keepNew: true, want: `"d/sub": mtime: `},
		{name: "permissions", change: func(dir string) error { return os.Chmod(filepath.Join(dir, "d/sub"), 0o700) }, want: `"d/sub": permissions: `, posix: true},
		{name: "target", change: func(dir string) error {
			link := filepath.Join(dir, "d/link")
			os.Remove(link)
			return os.Symlink("sub", link)
		}, want: `"d/link": target: file / sub`, posix: true},
		{name: "type", change: func(dir string) error {
			os.Remove(filepath.Join(dir, "d/sub/file"))
			return os.Mkdir(filepath.Join(dir, "d/sub/file"), 0o755)
		}, want: `"d/sub/file": type: `},
		{name: "change counter", change: setByte("db/a.db", 27)},
		{name: "schema cookie", change: setByte("db/a.db", 43)},
		{name: "version valid for", change: setByte("db/a.db", 95)},
		{name: "database header before", change: setByte("db/a.db", 23), want: `"db/a.db": bytes: differ / from offset 23`},
		{name: "database header after", change: setByte("db/a.db", 28), want: `"db/a.db": bytes: differ / from offset 28`},
		{name: "byte 27 of another file", change: setByte("db/plain", 27), want: `"db/plain": bytes: differ / from offset 27`},
		{name: "database at work", change: create("db/a.db-wal", "db/a.db-shm"), keepNew: true},
		{name: "wal without database", change: create("db/plain-wal"), want: `"db/plain-wal": exists: `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.posix && runtime.GOOS == "windows" {
				t.Skip("needs POSIX permissions or symbolic links")
			}
			a, b := makeTree(t), makeTree(t)
			must(t, tt.change(b))
			if !tt.keepNew {
				age(t, b)
			}
			for _, trees := range [][2]string{{a, b}, {b, a}} {
				found := compare(t, trees[0], trees[1])
				if tt.want == "" && len(found) == 0 {
					continue
				}
				prefix, _, _ := strings.Cut(tt.want, ": file /") // the sides change places
				if len(found) != 1 || tt.want == "" || !strings.HasPrefix(found[0], prefix) {
					t.Errorf("found %q, want %q", found, tt.want)
				}
			}
		})
	}
}
