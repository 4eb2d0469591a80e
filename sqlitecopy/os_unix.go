// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sqlitecopy

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// readLock reports false if another process holds a write lock in the range.
func readLock(f *os.File, start, size int64) (bool, error) {
	err := setLock(f, unix.F_RDLCK, start, size)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File, start, size int64) error {
	return setLock(f, unix.F_UNLCK, start, size)
}

func setLock(f *os.File, kind int16, start, size int64) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: kind, Start: start, Len: size})
	return os.NewSyscallError("fcntl", err)
}

func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
