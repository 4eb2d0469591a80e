// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// claim locks an open file for as long as it stays open in this process; false means that another one has it. The byte that
// is locked lies far behind the end, because nobody else can read a locked one.
func claim(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{OffsetHigh: 1 << 30})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
