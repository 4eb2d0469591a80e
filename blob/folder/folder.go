// SPDX-License-Identifier: Apache-2.0

// Package folder keeps an archive in a local folder: a disk, a USB stick, a
// mounted network share. Each object is one file of the object's name.
//
// It guarantees the contract of package blob: an object appears whole, by a hard
// link or a rename from the hidden folder .tmp, after its bytes were flushed to
// the medium; then its folder is flushed. What a killed process leaves in .tmp is
// never listed, and removed by Open: at once where the lock that a living writer holds can be
// taken, else (Windows, file systems without locks) after a day.
//
// It trusts the operating system to keep what a flush acknowledged. Where that
// is less than the contract asks for, it is this:
//
//   - File systems without hard links (FAT, exFAT, some FUSE): writers of one
//     name exclude each other by a lock on the folder, which the kernel frees when
//     its owner dies. That holds between all processes of one machine; two
//     machines that share such a folder and put one name at the same moment may
//     both succeed, and the later replaces the earlier.
//   - File systems that cannot flush a folder (some FUSE and network shares), and
//     Windows where a folder is made or an object deleted: after a loss of power the
//     last change may be undone. It is never half done.
//   - A system call on a dead network share may hang; no context can interrupt it.
//
// It refuses to leave the folder: symbolic links that lead out are not followed,
// and only regular files are objects. Files are made 0600 and folders 0700. Other
// files in the folder are left alone.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

const (
	// tempDir begins with a dot, so that no object name can reach into it.
	tempDir = ".tmp"

	// tempAge is how long a temporary file may belong to a living writer.
	tempAge = 24 * time.Hour
)

// Store is a folder that holds objects. It keeps the folder open, which keeps
// its file system mounted, until it is garbage.
type Store struct {
	path string // absolute
	root *os.Root
	self fs.FileInfo // tells whether path still leads to root

	synced sync.Map // folders, by name, whose entry in their parent is durable

	mu     sync.Mutex
	listed map[string]bool // folders that were listed since they were flushed

	link func(oldName, newName string) error // root.Link; tests take hard links away
}

var _ blob.Store = (*Store)(nil)

// Open opens the folder at path, which must exist. It may be read-only.
//
// Errors: blob.ErrUnreachable if there is no such folder, blob.ErrDenied.
func Open(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open destination %s: %w", path, err)
	}
	root, err := os.OpenRoot(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open destination: %w: the folder %s does not exist; connect or mount its drive, or create it",
			blob.ErrUnreachable, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("open destination: %w (%v)", blob.ErrDenied, err)
	case err != nil:
		return nil, fmt.Errorf("open destination: %w (%v)", blob.ErrUnreachable, err)
	}
	self, err := root.Stat(".")
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("open destination: %w (%v)", blob.ErrUnreachable, err)
	}
	s := &Store{path: path, root: root, self: self, listed: map[string]bool{}, link: root.Link}
	s.removeLeftovers(time.Now())
	return s, nil
}

// Create makes the folder at path and its missing parents, all 0700 and
// durable, and opens it. A folder that exists already is opened as it is.
//
// Errors: blob.ErrDenied, blob.ErrFull, blob.ErrUnreachable.
func Create(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("create destination %s: %w", path, err)
	}
	if err := makePath(path); err != nil {
		return nil, fmt.Errorf("create destination: %w", classify(err))
	}
	return Open(path)
}

func makePath(path string) error {
	err := os.Mkdir(path, 0o700)
	if parent := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := makePath(parent); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return syncDir(os.Open(filepath.Dir(path)))
}

// String returns the folder's absolute path.
func (s *Store) String() string { return s.path }

// removeLeftovers removes temporary files whose writer is dead: nobody holds their lock, or they were
// last written more than tempAge before now.
// It does what it can: a read-only destination must open too.
func (s *Store) removeLeftovers(now time.Time) {
	temp, err := s.root.OpenRoot(tempDir)
	if err != nil {
		return
	}
	defer temp.Close()
	for entry, err := range entries(temp) {
		if err != nil {
			return
		}
		info, err := temp.Lstat(entry.Name())
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if now.Sub(info.ModTime()) > tempAge {
			temp.Remove(entry.Name())
		} else if file, err := temp.OpenFile(entry.Name(), os.O_RDWR, 0); err == nil {
			if abandoned(file) {
				temp.Remove(entry.Name())
			}
			file.Close()
		}
	}
}

// Tidy removes the folder of that name if nothing but empty folders is in it, and .tmp if it is empty.
func (s *Store) Tidy(name string) {
	if blob.ValidName(name) == nil {
		s.removeEmpty(name)
	}
	s.root.Remove(tempDir)
}

func (s *Store) removeEmpty(dir string) {
	if info, err := s.root.Lstat(dir); err != nil || !info.IsDir() {
		return
	}
	if sub, err := s.root.OpenRoot(dir); err == nil {
		for entry, err := range entries(sub) {
			if err == nil && entry.IsDir() {
				s.removeEmpty(path.Join(dir, entry.Name()))
			}
		}
		sub.Close()
	}
	s.root.Remove(dir) // fails where something is in it
}

// present returns blob.ErrUnreachable if the path no longer leads to the folder
// that was opened. Without it a removed folder would look like an empty one.
func (s *Store) present() error {
	now, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrPermission) || err == nil && os.SameFile(now, s.self) {
		return nil
	}
	return fmt.Errorf("%w: its folder has been removed, moved or unmounted", blob.ErrUnreachable)
}
