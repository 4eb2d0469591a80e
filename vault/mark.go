// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// While a file of this name is in the vault's folder a Create is at work, or was interrupted.
const markName = "creating"

func (c *Config) markPath() string { return filepath.Join(c.Dir, markName) }

func (c *Config) marked() (bool, error) {
	_, err := os.Lstat(c.markPath())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// mark is durable when it returns: the first key comes after it.
func (c *Config) mark() error {
	f, err := os.OpenFile(c.markPath(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(c.Dir))
}

// unmark is durable when it returns: from then on nothing destroys the keys of this fleet.
func (c *Config) unmark() error {
	if err := os.Remove(c.markPath()); err != nil {
		return err
	}
	return syncDir(c.Dir)
}

// syncDir flushes a folder's entries, where the system has that.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
