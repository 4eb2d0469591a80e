// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// private is left to the folder's access list, which its files inherit; the mode says nothing here.
func private(fs.FileInfo) error { return nil }

// lockFile takes the lock of an open file, which dies with the process. False means that another holds it.
func lockFile(f *os.File) (bool, error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("LockFileEx", err)
}

// flushNames does nothing: Windows cannot flush a folder. NTFS journals names in their order, so a crash
// may lose the last of them, but keeps a key whole or absent.
func flushNames(*os.File) error { return nil }
