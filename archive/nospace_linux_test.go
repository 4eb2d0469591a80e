// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoSpaceForCopies gives copies of databases a file system that is too small. That is seen before one is begun.
func TestNoSpaceForCopies(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	if err := unix.Mount("tmpfs", d.state, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("a small file system can be mounted by root only: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(d.state, 0) })
	d.config.Databases = []string{"*.db"}
	w.write("chats.db", random(1, 2<<20))
	_, err := d.backup()
	wantErr(t, "backup", err, ErrNoSpace)
	if left, _ := filepath.Glob(filepath.Join(d.state, "tmp", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	w.checkNoLock()
	must(t, unix.Mount("tmpfs", d.state, "tmpfs", unix.MS_REMOUNT, "size=8m,mode=0700"))
	d.mustBackup()
	w.check()
}
