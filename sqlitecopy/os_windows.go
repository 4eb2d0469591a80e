// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// readLock reports false if another handle holds a write lock in the range.
func readLock(f *os.File, start, size int64) (bool, error) {
	// Without LOCKFILE_EXCLUSIVE_LOCK the lock is shared.
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_FAIL_IMMEDIATELY, 0, uint32(size), 0, at(start))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("LockFileEx", err)
}

func unlock(f *os.File, start, size int64) error {
	return os.NewSyscallError("UnlockFileEx", windows.UnlockFileEx(windows.Handle(f.Fd()), 0, uint32(size), 0, at(start)))
}

func at(offset int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(offset), OffsetHigh: uint32(offset >> 32)}
}

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
