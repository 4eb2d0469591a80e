// SPDX-License-Identifier: Apache-2.0

//go:build unix

package archive

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// diskUse returns how many bytes a file takes on the disk.
func diskUse(t *testing.T, path string) int64 {
	t.Helper()
	var s unix.Stat_t
	must(t, unix.Stat(path, &s))
	return s.Blocks * 512
}

// unprivileged makes this process, if root runs it, another user's for good.
func unprivileged(t *testing.T) {
	t.Helper()
	const nobody = 65534
	if os.Getuid() == 0 {
		must(t, syscall.Setgroups(nil))
		must(t, syscall.Setgid(nobody))
		must(t, syscall.Setuid(nobody))
	}
}
