// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/windows"
)

var (
	fullErrors   = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
	deniedErrors = []error{fs.ErrPermission, windows.ERROR_WRITE_PROTECT}

	unreachableErrors = []error{
		windows.ERROR_NOT_READY, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_DEVICE_NOT_CONNECTED,
		windows.ERROR_NO_MEDIA_IN_DRIVE, windows.ERROR_FILE_INVALID, windows.ERROR_SEM_TIMEOUT,
		windows.ERROR_BAD_NETPATH, windows.ERROR_BAD_NET_NAME, windows.ERROR_NETNAME_DELETED, windows.ERROR_UNEXP_NET_ERR,
		windows.ERROR_NETWORK_UNREACHABLE, windows.ERROR_HOST_UNREACHABLE,
	}
)

// publish gives the temporary file the name newName, or returns fs.ErrExist if
// that is taken. Windows renames without replacing on every file system, and
// writes the name through, which its folders have no flush for.
func (s *Store) publish(temp, newName string) error {
	// The move does not know the root: make sure that no link leads out of it.
	if _, err := s.root.Stat(path.Dir(newName)); err != nil {
		return err
	}
	from, err := windows.UTF16PtrFromString(filepath.Join(s.path, filepath.FromSlash(temp)))
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(filepath.Join(s.path, filepath.FromSlash(newName)))
	if err != nil {
		return err
	}
	return os.NewSyscallError("move", windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH))
}

// A file that is open cannot be moved, so that a lock could not be held long enough: here the age of a
// temporary file alone says whether its writer is dead.
func lockWritten(*os.File) {}

func keepLocked(file *os.File) (release func(), err error) { return func() {}, file.Close() }

func abandoned(*os.File) bool { return false }

func flush(file *os.File) error { return file.Sync() }

func flushDir(*os.File) error { return nil }
