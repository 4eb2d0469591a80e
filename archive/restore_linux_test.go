// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coffer-backup/coffer/archive/format"
)

// smallDisk mounts a file system of so many bytes. Continuous integration must not pass without these tests.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount: %v; run as root", err)
		}
		t.Skipf("mount: %v; run as root", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// TestRestoreDiskFull: a full disk is said to be one, at any moment; when there is room the restore continues.
func TestRestoreDiskFull(t *testing.T) {
	w, d, ids := library(t)
	for _, ballast := range []int{0, 100 << 10, 200 << 10, 300 << 10, 400 << 10, 500 << 10, 600 << 10, 1 << 20} {
		disk := smallDisk(t, "1m")
		must(t, os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 1<<20-ballast), 0o600))
		dir := filepath.Join(disk, "target")
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir, KeepGoing: true})
		if err != nil {
			wantErr(t, "restore", err, ErrNoSpace)
			must(t, os.Truncate(filepath.Join(disk, "ballast"), 0))
			restoreTo(t, d.mustOpen(), RestoreConfig{Dir: dir})
		} else if ballast < 400<<10 {
			t.Errorf("the snapshot was restored into %d bytes", ballast)
		}
		wantTree(t, dir, w.want[ids[2]])
	}
}

// TestRestoreReadOnly: a target that cannot be written to is said to be so.
func TestRestoreReadOnly(t *testing.T) {
	_, d, _ := library(t)
	disk := smallDisk(t, "1m")
	must(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for _, dir := range []string{disk, filepath.Join(disk, "new")} {
		_, err := d.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir})
		if !errors.Is(err, unix.EROFS) || errors.Is(err, ErrNoSpace) {
			t.Errorf("restore: %v", err)
		}
	}
}

// TestRestoreLinkTime: a symbolic link gets its own time, and what it points to keeps its.
func TestRestoreLinkTime(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	outside := filepath.Join(t.TempDir(), "outside")
	must(t, os.WriteFile(outside, nil, 0o600))
	before, err := os.Stat(outside)
	must(t, err)
	f.snapshot([]format.Entry{forgedDir(""), forgedLink("link", outside)})
	dir, _ := restoreTo(t, f.a, RestoreConfig{})
	link, err := os.Lstat(filepath.Join(dir, "link"))
	must(t, err)
	after, err := os.Stat(outside)
	must(t, err)
	if !link.ModTime().Equal(forgedTime) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("link %v, target %v, before %v", link.ModTime(), after.ModTime(), before.ModTime())
	}
}
