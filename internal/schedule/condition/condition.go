// SPDX-License-Identifier: Apache-2.0

// Package condition tells whether a backup that runs by itself may run now: whether the device is on power, and whether the way to
// the destination costs money.
//
// It guarantees that "yes" means that the kernel said so; where nothing can be told the answer is no, with the reason. It trusts the
// kernel and NetworkManager. It refuses to guess.
package condition

import (
	"io"
	"io/fs"
	"strings"
)

// Answer is yes, or no with the reason.
type Answer struct {
	OK  bool
	Why string // for people, where OK is false
}

func no(why string) Answer { return Answer{Why: why} }

// maxBytes bounds what is read of one file of the kernel's.
const maxBytes = 1 << 20

// read returns the trimmed text of a file, and nothing where it cannot be had: drivers leave out what they do not know.
func read(fsys fs.FS, name string) string {
	f, err := fsys.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func names(fsys fs.FS, dir string) (names []string) {
	entries, _ := fs.ReadDir(fsys, dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
