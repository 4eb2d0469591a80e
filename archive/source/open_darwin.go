// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"

	"golang.org/x/sys/unix"
)

// open opens a path for reading that leads over no symbolic link, without waiting for a pipe.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW_ANY, 0)
}
