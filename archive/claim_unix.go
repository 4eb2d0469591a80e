// SPDX-License-Identifier: Apache-2.0

//go:build unix

package archive

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// claim locks an open file for as long as it stays open in this process; false means that another one has it. Where the file
// system knows no locks, nobody is kept out.
func claim(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS):
			return true, nil
		default:
			return err == nil, err
		}
	}
}
