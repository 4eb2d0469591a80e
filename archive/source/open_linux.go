// SPDX-License-Identifier: Apache-2.0

//go:build linux && !android

package source

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// open opens a path for reading that leads over no symbolic link, without waiting for a pipe. An application, or somebody in its
// place, could otherwise put a link where a folder was listed and have any file of the machine read.
func open(path string) (*os.File, error) {
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_NO_SYMLINKS}
	for {
		fd, err := unix.Openat2(unix.AT_FDCWD, path, how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ELOOP):
			return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
		case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM): // an old kernel, or a sandbox that does not know the call
			return os.OpenFile(path, os.O_RDONLY|openFlags, 0)
		default:
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
