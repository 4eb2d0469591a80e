// SPDX-License-Identifier: Apache-2.0

//go:build linux || darwin

package archive

import (
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// setLinkTime sets the time of a symbolic link itself. It is an ornament: failures do not matter.
func setLinkTime(root *os.Root, link string, t time.Time) {
	dir, err := root.Open(path.Dir(link))
	if err != nil {
		return
	}
	defer dir.Close()
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return
	}
	_ = unix.UtimesNanoAt(int(dir.Fd()), path.Base(link), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
