// SPDX-License-Identifier: Apache-2.0

// Package folder is where a driver keeps its files: a folder that one process has open at a time and
// no other user can read.
//
// It guarantees that bytes are durable when a write returns, and names after Sync. It trusts the operating
// system. It refuses a folder or a file that other users can read (on Windows that is left to the folder's
// access list), what is no regular file, and a folder that another process has open.
package folder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer/seal"
)

// LockName is that of the file that keeps other processes out. It stays for ever.
const LockName = "lock"

var (
	// ErrExposed means that other users can read a file, or could soon.
	ErrExposed = errors.New("other users can read it")

	// ErrNotFile means that a file's name leads to something else: a link, a pipe, a folder.
	ErrNotFile = errors.New("not a file")
)

// Folder is an open folder. Names are looked up in the one that was opened and checked, whatever its path
// leads to later.
type Folder struct {
	root *os.Root
	lock *os.File // held until Close; the kernel frees it when the process dies
}

// Create makes the folder durable, if it is not there already, and opens it.
func Create(path string) (*Folder, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(flushNames(parent), parent.Close()); err != nil {
		return nil, err
	}
	return Open(path)
}

// Open opens a folder that is there, or returns [ErrExposed] or [seal.ErrInUse].
func Open(path string) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	f := &Folder{root: root}
	if err := f.claim(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// claim checks who else can come here, and keeps other processes out.
func (f *Folder) claim() error {
	info, err := f.root.Stat(".")
	if err != nil {
		return err
	}
	if err := private(info); err != nil {
		return err
	}
	if f.lock, err = f.root.OpenFile(LockName, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	taken, err := lockFile(f.lock)
	if err == nil && !taken {
		err = seal.ErrInUse
	}
	return err
}

// Close lets another process in.
func (f *Folder) Close() error {
	if f.lock == nil {
		return f.root.Close()
	}
	return errors.Join(f.lock.Close(), f.root.Close())
}

// Names lists all files, the lock included, in no order.
func (f *Folder) Names() ([]string, error) {
	dir, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// Read returns at most limit bytes of a file.
func (f *Folder) Read(name string, limit int) ([]byte, error) {
	// Before it is opened: a pipe of that name would keep us waiting for a writer.
	if info, err := f.root.Lstat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFile)
	} else if err := private(info); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := make([]byte, limit)
	n, err := io.ReadFull(file, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

// Write makes a new file.
func (f *Folder) Write(name string, data []byte) error {
	return f.fill(name, os.O_CREATE|os.O_EXCL, data)
}

// Overwrite writes zeros over a file, in place.
func (f *Folder) Overwrite(name string, size int) error { return f.fill(name, 0, make([]byte, size)) }

func (f *Folder) fill(name string, flags int, data []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Rename replaces what has the new name.
func (f *Folder) Rename(from, to string) error { return f.root.Rename(from, to) }

// Remove removes a file, if there is one.
func (f *Folder) Remove(name string) error {
	if err := f.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sync makes all names durable.
func (f *Folder) Sync() error {
	dir, err := f.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(flushNames(dir), dir.Close())
}
