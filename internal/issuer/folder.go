// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// folder holds small files that are replaced as a whole.
type folder struct{ path string }

// read returns a file of at most limit bytes.
func (f folder) read(name string, limit int) ([]byte, error) {
	file, err := os.Open(filepath.Join(f.path, name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("%s is damaged: it has more than %d bytes", name, limit)
	}
	return data, err
}

// replace makes a file's new contents durable. A crash on the way leaves the old file, and perhaps a part of the new one beside it, which
// the next replace overwrites.
func (f folder) replace(name string, data []byte) error {
	path := filepath.Join(f.path, name)
	if err := writeDurably(path+".new", data); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return f.flushNames()
}

func writeDurably(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// flushNames makes the rename durable. Windows cannot flush a folder; NTFS keeps the old file or the new one.
func (f folder) flushNames() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(f.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
