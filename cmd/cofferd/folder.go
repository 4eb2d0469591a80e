// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockFolder makes a folder for its owner only, and keeps other processes from using it. The kernel frees
// the lock when the process dies, so it is never stale.
func lockFolder(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := vfs.Default.Lock(filepath.Join(dir, "lock"))
	if _, unreachable := errors.AsType[*fs.PathError](err); err != nil && !unreachable {
		return nil, fmt.Errorf("%s is %w: stop it, or take another --dir (%w)", dir, errInUse, err)
	}
	return lock, err
}

// defaultDir is where state is kept if the user names no folder.
func defaultDir() (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	switch {
	case filepath.IsAbs(base): // its specification says to ignore others
	case runtime.GOOS == "windows", runtime.GOOS == "darwin":
		var err error
		if base, err = os.UserConfigDir(); err != nil {
			return "", err
		}
	default:
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "cofferd-dev"), nil
}

// writeReadyFile tells whoever waits for it that url serves. It appears whole.
func writeReadyFile(path, url string) error {
	if err := os.WriteFile(path+".new", []byte(url+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// removeReadyFile removes the file at path, if there is one and path is not empty.
func removeReadyFile(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
