// SPDX-License-Identifier: Apache-2.0

//go:build unix

package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// private refuses what belongs to another user, who could open it to everyone, or lets others in.
func private(info fs.FileInfo) error {
	if others := info.Mode().Perm() & 0o077; others != 0 {
		return fmt.Errorf("%w (mode %04o); if nobody has, take the permission away with chmod go=", ErrExposed, info.Mode().Perm())
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%w (it belongs to user %d, this process is user %d)", ErrExposed, stat.Uid, os.Geteuid())
	}
	return nil
}

// lockFile takes the lock of an open file, which dies with the process. False means that another holds it.
func lockFile(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return err == nil, os.NewSyscallError("flock", err)
		}
	}
}

// flushNames makes the names in a folder durable. A file system that cannot is refused: a destroyed key could come back.
func flushNames(dir *os.File) error { return dir.Sync() }
