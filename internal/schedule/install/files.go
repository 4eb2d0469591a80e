// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/durable"
)

// contents are files by their path; nil stands for no file.
type contents map[string][]byte

const maxFileBytes = 1 << 20

// now reads what is there instead.
func (c contents) now() (contents, error) {
	there := contents{}
	for path := range c {
		data, err := readFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		there[path] = data
	}
	return there, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileBytes))
}

func (c contents) anyExists() bool {
	for path := range c {
		if exists(path) {
			return true
		}
	}
	return false
}

// exists is also true of a symbolic link that leads nowhere.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// write makes it so.
func (c contents) write() (err error) {
	for path, data := range c {
		if data == nil {
			err = errors.Join(err, durable.Remove(path))
			continue
		}
		if mkErr := os.MkdirAll(filepath.Dir(path), 0o700); mkErr != nil {
			err = errors.Join(err, mkErr)
			continue
		}
		err = errors.Join(err, durable.Replace(path, data))
	}
	return err
}

// compare says how what is there compares with c.
func (c contents) compare() (State, error) {
	there, err := c.now()
	if err != nil {
		return Absent, err
	}
	same, absent := true, false
	for path, data := range c {
		same = same && string(there[path]) == string(data)
		absent = absent || there[path] == nil
	}
	switch {
	case absent:
		return Absent, nil
	case same:
		return Current, nil
	}
	return Differs, nil
}
