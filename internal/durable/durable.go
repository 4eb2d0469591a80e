// SPDX-License-Identifier: Apache-2.0

// Package durable replaces and removes the small files that a device keeps.
//
// It guarantees that after a crash a file holds its old bytes or its new ones, whole, and that what it reports as done survives
// a loss of power. New files are 0600. It trusts the folder they lie in.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
)

// Leftover matches the names of what a process that was killed leaves behind in Replace.
var Leftover = regexp.MustCompile(`^\..+\.tmp-[0-9]+$`)

// Replace makes path hold data, 0600 and durable. Its folder must exist.
func Replace(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Remove removes path durably; it may be absent.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes renames and removals in a folder durable. Windows cannot flush a folder, and does not need it.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
