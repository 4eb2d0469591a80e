// SPDX-License-Identifier: Apache-2.0

//go:build unix

package folder

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// other is a file of another user's.
type other struct{ fs.FileInfo }

func (o other) Sys() any {
	stat := *o.FileInfo.Sys().(*syscall.Stat_t)
	stat.Uid++
	return &stat
}

func TestAnotherUsersFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := private(info); err != nil {
		t.Fatal(err)
	}
	if err := private(other{info}); !errors.Is(err, ErrExposed) {
		t.Errorf("%v", err)
	}
}
