// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coffer-backup/coffer/recovery"
)

// TestDiskFull fills the disk under a vault: it stops and says so, and goes on where it was when there is room.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=0700"); err != nil {
		if os.Getenv("CI") == "true" { // which must not pass without this test
			t.Fatalf("mount: %v; run as root", err)
		}
		t.Skipf("mount: %v; run as root", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	d := startDev(t, dir, "--no-limits")
	alice := login(t, d.url, "alice")
	k := [32]byte{7}
	id, _, err := alice.Register(t.Context(), &k, "correct horse battery staple", recovery.RegisterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := loadOn(t, d, 1, 1).workers[0]
	if err := w.take(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	for w.register(t.Context()) == nil { // until what the store had reserved is used up
	}
	if code, said := d.code(t), d.said(d.err); code != codeFailed || !strings.Contains(said, "Make room") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d = startDev(t, dir)
	if r, err := login(t, d.url, "alice").Recover(t.Context(), "correct horse battery staple", id); err != nil || r.K != k {
		t.Errorf("with room again: %v", err)
	}
}

func fill(t *testing.T, path string) {
	t.Helper()
	f := must(os.Create(path))(t)
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
