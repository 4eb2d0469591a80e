// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package source

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK

func (s *Stat) system(info fs.FileInfo) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.ChangeTime = changeTime(st)
		s.Inode = st.Ino
		s.Sparse = st.Blocks*512 < s.Size
	}
}
