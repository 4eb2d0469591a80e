// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import "os"

// The bytes that SQLite locks, in a page that holds no data
// (sqlite.org/fileformat2.html, section 1.4; os.h).
const (
	pendingByte = 0x40000000
	sharedFirst = pendingByte + 2
	sharedSize  = 510
)

// lockShared takes SQLite's SHARED lock on f without waiting. It lasts until
// f, or with POSIX locks any descriptor of the file, is closed.
func lockShared(f *os.File) (bool, error) {
	// A writer that waits for its readers to leave holds the pending byte; a
	// new reader must let it pass.
	ok, err := readLock(f, pendingByte, 1)
	if !ok {
		return false, err
	}
	locked, err := readLock(f, sharedFirst, sharedSize)
	if unlockErr := unlock(f, pendingByte, 1); err == nil {
		err = unlockErr
	}
	return locked, err
}
