// SPDX-License-Identifier: Apache-2.0

//go:build unix

package folder

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var (
	fullErrors        = []error{syscall.ENOSPC, syscall.EDQUOT}
	deniedErrors      = []error{fs.ErrPermission, syscall.EROFS}
	unreachableErrors = []error{
		syscall.ENODEV, syscall.ENXIO, syscall.ESTALE, syscall.ENOTCONN, syscall.ESHUTDOWN, syscall.ETIMEDOUT,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED,
	}
)

// publish gives the temporary file the name newName, or returns fs.ErrExist if that is taken.
func (s *Store) publish(temp, newName string) error {
	err := s.link(temp, newName)
	// File systems without hard links answer EPERM, or that they do not support it. Where
	// the permission is missing indeed, the rename fails just so.
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return s.renameIfAbsent(temp, newName)
	}
	return err
}

// renameIfAbsent makes a look and a rename into one step by locking the folder
// against everyone else who comes here.
func (s *Store) renameIfAbsent(oldName, newName string) error {
	dir, err := s.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() // unlocks
	if err := flock(dir, syscall.LOCK_EX); err != nil {
		return err
	}
	_, err = s.root.Lstat(newName)
	switch {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return s.root.Rename(oldName, newName)
}

// lockWritten locks a temporary file that is being written, which says that its writer is alive. Where that
// fails, the file's age has to say it.
func lockWritten(file *os.File) { _ = flock(file, syscall.LOCK_EX) }

// keepLocked keeps the lock until release. The bytes are flushed, so that closing brings no news.
func keepLocked(file *os.File) (release func(), err error) { return func() { file.Close() }, nil }

// abandoned reports whether the writer of a temporary file is dead. On a file system that does not pass locks on to
// other machines, another machine's writer looks dead; it then begins again.
func abandoned(file *os.File) bool { return flock(file, syscall.LOCK_EX|syscall.LOCK_NB) == nil }

func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); err != syscall.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}

// flush makes the file durable, as far as its file system knows how to.
func flush(file *os.File) error {
	err := file.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTTY) {
		return nil
	}
	return err
}

func flushDir(dir *os.File) error { return flush(dir) }
