// SPDX-License-Identifier: Apache-2.0

//go:build unix

package software

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestModes(t *testing.T) {
	dir, _, id, _ := made(t)
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, string(id)+keyEnding): 0o600} {
		if info := must(os.Stat(path))(t); info.Mode().Perm() != want {
			t.Errorf("%s: mode %04o", path, info.Mode().Perm())
		}
	}
}

func TestExposedFolder(t *testing.T) {
	dir, s, _, _ := made(t)
	s.Close()
	for _, mode := range []fs.FileMode{0o701, 0o710, 0o720, 0o704, 0o755, 0o777} {
		os.Chmod(dir, mode)
		if _, err := Open(dir); !errors.Is(err, ErrExposed) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	os.Chmod(dir, 0o700)
	must(Open(dir))(t).Close()

	open := filepath.Join(t.TempDir(), "open")
	os.Mkdir(open, 0o700)
	os.Chmod(open, 0o755) // whatever the umask is
	if _, err := Create(open); !errors.Is(err, ErrExposed) {
		t.Errorf("created in a folder of others: %v", err)
	}
}

func TestExposedKey(t *testing.T) {
	dir, s, id, sealed := made(t)
	path := filepath.Join(dir, string(id)+keyEnding)
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o666} {
		os.Chmod(path, mode)
		if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrExposed) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	// One that is exposed can still be destroyed.
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// A pipe of a key's name must not keep the node waiting for ever.
func TestPipe(t *testing.T) {
	dir, s, id, sealed := made(t)
	path := filepath.Join(dir, string(id)+keyEnding)
	os.Remove(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrDamaged) {
		t.Errorf("a pipe: %v", err)
	}
}
