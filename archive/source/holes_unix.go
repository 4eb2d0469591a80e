// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package source

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// IsHole reports whether the file certainly has no data in [offset, offset+size). Not knowing is false.
func IsHole(f *os.File, offset, size int64) bool {
	next, err := f.Seek(offset, unix.SEEK_DATA)
	return errors.Is(err, unix.ENXIO) || err == nil && next >= offset+size
}
