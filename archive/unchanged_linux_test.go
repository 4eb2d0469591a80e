// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnchangedIsNotOpened has the kernel watch the files: an unchanged one is not even opened, unless its size could be that of
// a database.
func TestUnchangedIsNotOpened(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = copyPlainly
	w.write("picture.jpg", random(1, 5000))
	w.write("video.mp4", random(2, 9<<20+1))
	d.mustBackup()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	must(t, err)
	defer unix.Close(fd)
	for _, name := range []string{"picture.jpg", "video.mp4"} {
		_, err := unix.InotifyAddWatch(fd, filepath.Join(w.src, name), unix.IN_OPEN|unix.IN_ACCESS)
		must(t, err)
	}
	events := func() int {
		n, err := unix.Read(fd, make([]byte, 4096))
		if err != nil && err != unix.EAGAIN {
			t.Fatal(err)
		}
		return n
	}
	a := d.mustOpen()
	r, err := a.Backup(t.Context(), BackupConfig{Source: w.src, StateDir: d.state, CopyDatabase: d.copy})
	must(t, err)
	if n := events(); n > 0 || !r.Unchanged {
		t.Errorf("events of %d bytes, %+v", n, r)
	}
	_, err = a.Backup(t.Context(), BackupConfig{Source: w.src, StateDir: d.state, CopyDatabase: d.copy, ReadAll: true})
	must(t, err)
	if n := events(); n <= 0 {
		t.Error("the kernel saw nothing of a backup that reads all")
	}
}
