// SPDX-License-Identifier: Apache-2.0

package software

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer/seal"
)

// ErrExposed means that other users can read a key, or could soon.
var ErrExposed = errors.New("other users can read it")

// disk is what key files need of a folder. Bytes are durable when write and overwrite return,
// names only after sync. Tests fail each step, and look at what a crash there would leave.
type disk interface {
	names() ([]string, error)
	read(name string, limit int) ([]byte, error) // at most limit bytes
	write(name string, data []byte) error        // a new file
	overwrite(name string, size int) error       // with zeros, in place
	rename(from, to string) error
	remove(name string) error // there may be none
	sync() error
	close() error
}

// Create makes the folder durable and opens it. One that is there already must hold
// no keys; what a killed Create has left is none.
func Create(path string) (*Sealer, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Name() != lockName {
			return nil, fmt.Errorf("%w: %s is not empty", fs.ErrExist, path)
		}
	}
	if err := flushParent(path); err != nil {
		return nil, err
	}
	return Open(path)
}

func flushParent(path string) error {
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(flushNames(parent), parent.Close())
}

// Open opens a folder that Create has made, and finishes what a crash has interrupted there. It
// refuses one that other users can read with ErrExposed, and one that another process has open with [seal.ErrInUse].
func Open(path string) (*Sealer, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, fmt.Errorf("sealing keys in %s: %w", path, err)
	}
	keys := &keyFiles{d}
	if err := keys.recover(); err != nil {
		d.close()
		return nil, fmt.Errorf("sealing keys in %s: %w", path, err)
	}
	return &Sealer{keys: keys}, nil
}

// folder is the disk of a real node. Names are looked up in the folder that was
// opened and checked, whatever its path leads to later.
type folder struct {
	root *os.Root
	lock *os.File // held until close; the kernel frees it when the process dies
}

func openFolder(path string) (*folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &folder{root: root}
	if err := d.claim(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// claim checks who else can come here, and keeps other processes out.
func (d *folder) claim() error {
	info, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	if err := private(info); err != nil {
		return err
	}
	if d.lock, err = d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	taken, err := lockFile(d.lock)
	if err == nil && !taken {
		err = seal.ErrInUse
	}
	return err
}

func (d *folder) close() error {
	if d.lock == nil {
		return d.root.Close()
	}
	return errors.Join(d.lock.Close(), d.root.Close())
}

func (d *folder) names() ([]string, error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (d *folder) read(name string, limit int) ([]byte, error) {
	// Before it is opened: a pipe of that name would keep us waiting for a writer.
	if info, err := d.root.Lstat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a file", ErrDamaged, name)
	} else if err := private(info); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, limit)
	n, err := io.ReadFull(f, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

func (d *folder) write(name string, data []byte) error {
	return d.fill(name, os.O_CREATE|os.O_EXCL, data)
}

func (d *folder) overwrite(name string, size int) error { return d.fill(name, 0, make([]byte, size)) }

func (d *folder) fill(name string, flags int, data []byte) error {
	f, err := d.root.OpenFile(name, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d *folder) rename(from, to string) error { return d.root.Rename(from, to) }

func (d *folder) remove(name string) error {
	if err := d.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *folder) sync() error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(flushNames(dir), dir.Close())
}
