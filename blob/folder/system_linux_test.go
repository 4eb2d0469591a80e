// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// mountTmpfs mounts an empty file system of so many bytes and returns its path.
func mountTmpfs(t *testing.T, sizeBytes int) string {
	t.Helper()
	path := t.TempDir()
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", sizeBytes)); err != nil {
		needsRoot(t, fmt.Errorf("mount a tmpfs: %w", err))
	}
	t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
	return path
}

// needsRoot skips the test, but not where a green run has to mean that it ran.
func needsRoot(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("this test must run in CI, as root: %v", err)
	}
	t.Skipf("this test must run as root: %v", err)
}

func TestFull(t *testing.T) {
	const sizeBytes = 300 << 10
	path := mountTmpfs(t, 1<<20)
	s := open(t, path)
	var err error
	stored := 0
	for ; err == nil && stored < 10; stored++ {
		err = s.Put(t.Context(), fmt.Sprintf("packs/%d", stored), bytes.Repeat([]byte{'x'}, sizeBytes))
	}
	stored-- // the one that failed
	if !errors.Is(err, blob.ErrFull) || stored != 3 {
		t.Fatalf("Put number %d on a full disk: %v; want ErrFull at the fourth", stored+1, err)
	}
	wantNoTemp(t, path)
	if got := names(t, s); len(got) != stored {
		t.Errorf("List on a full disk: %v; want %d objects", got, stored)
	}
	for _, name := range names(t, s) {
		if data, err := blobtest.Read(t.Context(), s, name); err != nil || len(data) != sizeBytes {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	if err := s.Delete(t.Context(), "packs/0"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "packs/0", string(bytes.Repeat([]byte{'y'}, sizeBytes)))
}

func TestReadOnly(t *testing.T) {
	path := mountTmpfs(t, 1<<20)
	put(t, open(t, path), "d/x", "data")
	if err := syscall.Mount("", path, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	wantDenied(t, open(t, path))
}

func TestUnmounted(t *testing.T) {
	path := mountTmpfs(t, 1<<20)
	s := open(t, path)
	put(t, s, "d/x", "data")
	if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	wantUnreachable(t, s)
}

// TestPermission takes root's rights away from its own thread for a while.
func TestPermission(t *testing.T) {
	path := mountTmpfs(t, 1<<20)
	s := open(t, path)
	put(t, s, "d/x", "data")
	for name, mode := range map[string]os.FileMode{".": 0o755, tempDir: 0o755, "d": 0o755, "d/x": 0o644} {
		if err := s.root.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setfsuid(0)
	wantDenied(t, s)
	if _, err := Open(path); !errors.Is(err, blob.ErrDenied) {
		t.Errorf("Open below someone else's folder: %v; want ErrDenied", err)
	}
}

// wantDenied fails the test unless the store can be read and cannot be changed.
func wantDenied(t *testing.T, s *Store) {
	t.Helper()
	if data, err := blobtest.Read(t.Context(), s, "d/x"); string(data) != "data" || err != nil {
		t.Errorf("read %q, %v", data, err)
	}
	if got := names(t, s); len(got) != 1 {
		t.Errorf("List: %v", got)
	}
	for op, err := range map[string]error{
		"Put":                 s.Put(t.Context(), "d/new", []byte("data")),
		"Put in a new folder": s.Put(t.Context(), "new/x", []byte("data")),
		"Delete":              s.Delete(t.Context(), "d/x"),
	} {
		if !errors.Is(err, blob.ErrDenied) {
			t.Errorf("%s: %v; want ErrDenied", op, err)
		}
	}
}
