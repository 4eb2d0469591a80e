// SPDX-License-Identifier: Apache-2.0

package software

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// ErrExposed means that other users can read a key, or could soon.
var ErrExposed = folder.ErrExposed

// disk is what key files need of a folder. Tests fail each step, and look at what a crash there would leave.
type disk interface {
	Names() ([]string, error)
	Read(name string, limit int) ([]byte, error)
	Write(name string, data []byte) error
	Overwrite(name string, size int) error
	Rename(from, to string) error
	Remove(name string) error
	Sync() error
	Close() error
}

// Create makes the folder durable and opens it. One that is there already must hold
// no keys; what a killed Create has left is none.
func Create(path string) (*Sealer, error) {
	d, err := folder.Create(path)
	if err != nil {
		return nil, fmt.Errorf("sealing keys in %s: %w", path, err)
	}
	names, err := d.Names()
	for _, name := range names {
		if name != folder.LockName {
			err = fmt.Errorf("%w: %s is not empty", fs.ErrExist, path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return open(path, d)
}

// Open opens a folder that Create has made, and finishes what a crash has interrupted there. It
// refuses one that other users can read with ErrExposed, and one that another process has open with [seal.ErrInUse].
func Open(path string) (*Sealer, error) {
	d, err := folder.Open(path)
	if err != nil {
		return nil, fmt.Errorf("sealing keys in %s: %w", path, err)
	}
	return open(path, d)
}

func open(path string, d disk) (*Sealer, error) {
	keys := &keyFiles{d}
	if err := keys.recover(); err != nil {
		d.Close()
		return nil, fmt.Errorf("sealing keys in %s: %w", path, err)
	}
	return &Sealer{keys: keys}, nil
}
