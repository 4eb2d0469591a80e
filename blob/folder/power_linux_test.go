// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/coffer-backup/coffer/blob/blobtest"
)

// disk is an ext4 file system in a file, whose power can be cut.
type disk struct{ image, path string }

func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{filepath.Join(t.TempDir(), "image"), t.TempDir()}
	writeFile(t, "", d.image)
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 here: %v\n%s", err, output)
	}
	if err := d.mount(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", d.path).Run() })
	return d
}

func (d *disk) mount() error {
	if output, err := exec.Command("mount", "-o", "loop", d.image, d.path).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot mount a file here: %w\n%s", err, output)
	}
	return nil
}

// cutPower drops everything that the file system has not written to its disk,
// and mounts it again.
func (d *disk) cutPower(t *testing.T) {
	t.Helper()
	const (
		ioctlShutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
		noLogFlush    = 2
	)
	dir, err := os.Open(d.path)
	if err != nil {
		t.Fatal(err)
	}
	flags := uint32(noLogFlush)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), ioctlShutdown, uintptr(unsafe.Pointer(&flags)))
	dir.Close()
	if errno != 0 {
		t.Fatal(os.NewSyscallError("ioctl", errno))
	}
	if output, err := exec.Command("umount", d.path).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v\n%s", err, output)
	}
	if err := d.mount(); err != nil {
		t.Fatal(err)
	}
}

// TestPowerLoss: what was acknowledged last is still there after the power was cut.
func TestPowerLoss(t *testing.T) {
	d := newDisk(t)
	data := bytes.Repeat([]byte("data"), 1<<18)
	for _, step := range []struct {
		what string
		do   func(s *Store) error
		want []string
	}{
		{"the first Put", func(s *Store) error { return s.Put(t.Context(), "a/b/x", data) }, []string{"a/b/x"}},
		{"a Put", func(s *Store) error { return s.Put(t.Context(), "a/b/y", data) }, []string{"a/b/x", "a/b/y"}},
		{"a Delete", func(s *Store) error { return s.Delete(t.Context(), "a/b/x") }, []string{"a/b/y"}},
	} {
		s := open(t, d.path)
		err := step.do(s)
		s.root.Close() // or the file system stays mounted
		if err != nil {
			t.Fatal(err)
		}
		d.cutPower(t)

		s = open(t, d.path)
		if got := names(t, s); !slices.Equal(got, step.want) {
			t.Errorf("objects after %s and a loss of power: %v; want %v", step.what, got, step.want)
		}
		for _, name := range names(t, s) {
			if got, err := blobtest.Read(t.Context(), s, name); !bytes.Equal(got, data) {
				t.Errorf("%s after a loss of power: %d bytes, %v", name, len(got), err)
			}
		}
		s.root.Close()
	}
}
