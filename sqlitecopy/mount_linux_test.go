// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// mount needs root. Continuous integration must not pass without these tests.
func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount: %v; run as root", err)
		}
		t.Skipf("mount: %v; run as root", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(target, unix.MNT_DETACH)) })
}

func TestReadOnlySource(t *testing.T) {
	forEachState(t, func(t *testing.T, db string) string {
		dir := t.TempDir()
		mount(t, filepath.Dir(db), dir, "", unix.MS_BIND, "")
		must(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		return filepath.Join(dir, filepath.Base(db))
	})
}

func TestDiskFull(t *testing.T) {
	for _, mode := range []string{"pragma journal_mode=delete", walMode} {
		db := filepath.Join(t.TempDir(), "chat.db")
		execute(t, db, mode, schema, fill, "update t set v=randomblob(4000)")
		dir := t.TempDir()
		mount(t, "none", dir, "tmpfs", 0, "size=1m")
		dst := filepath.Join(dir, "copy")
		if err := child(t)(db, dst); !errors.Is(err, ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
		mustHold(t, dst)
	}
}
