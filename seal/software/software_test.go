// SPDX-License-Identifier: Apache-2.0

package software

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/sealtest"
)

var (
	secret = []byte("epoch key")
	aad    = []byte("epoch 3")
)

func TestConformance(t *testing.T) {
	sealtest.Run(t, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		dir := filepath.Join(t.TempDir(), "keys")
		s := must(Create(dir))(t)
		return s, func() seal.Sealer {
			s.Close()
			s = must(Open(dir))(t)
			return s
		}
	})
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// made is a folder with one key, and what that key has sealed.
func made(t *testing.T) (dir string, s *Sealer, id seal.KeyID, sealed []byte) {
	dir = filepath.Join(t.TempDir(), "keys")
	s = must(Create(dir))(t)
	t.Cleanup(func() { s.Close() })
	id = must(s.NewKey(t.Context()))(t)
	return dir, s, id, must(s.Seal(t.Context(), id, secret, aad))(t)
}

func TestCreateRefusesKeys(t *testing.T) {
	dir, s, _, _ := made(t)
	s.Close()
	if _, err := Create(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over keys: %v", err)
	}
	// A folder that holds the lock alone is what a killed Create leaves.
	empty := filepath.Join(t.TempDir(), "keys")
	for range 2 {
		must(Create(empty))(t).Close()
	}
}

func TestOpenNeedsAFolder(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := Open(file); err == nil {
		t.Error("opened a file")
	}
}

func TestOneProcess(t *testing.T) {
	dir, s, id, sealed := made(t)
	if _, err := Open(dir); !errors.Is(err, seal.ErrInUse) {
		t.Fatalf("a second opener: %v", err)
	}
	must(s.Open(t.Context(), id, sealed, aad))(t)
	s.Close()
	must(Open(dir))(t).Close()
}

// TestDamagedKey: a key file of which one byte is another is told from a wrong aad, at once.
func TestDamagedKey(t *testing.T) {
	dir, s, id, sealed := made(t)
	path := filepath.Join(dir, string(id)+keyEnding)
	whole := must(os.ReadFile(path))(t)
	damaged := [][]byte{nil, whole[:10], append(bytes.Clone(whole), 0), make([]byte, fileSize), make([]byte, 1<<20)}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		damaged = append(damaged, b)
	}
	for _, b := range damaged {
		os.WriteFile(path, b, 0o600)
		if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	s.Close()
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path[len(dir)+1:]) {
		t.Errorf("at the start: %v", err)
	}
	os.WriteFile(path, whole, 0o600)
	s = must(Open(dir))(t)
	defer s.Close()
	must(s.Open(t.Context(), id, sealed, aad))(t)
	// Under another's name a whole file is no key either.
	os.Rename(path, filepath.Join(dir, strings.Repeat("0", 32)+keyEnding))
	if _, err := s.Open(t.Context(), seal.KeyID(strings.Repeat("0", 32)), sealed, aad); !errors.Is(err, ErrDamaged) {
		t.Errorf("another's key: %v", err)
	}
}

func TestKeyFileIsAFile(t *testing.T) {
	dir, s, id, sealed := made(t)
	path := filepath.Join(dir, string(id)+keyEnding)
	elsewhere := filepath.Join(t.TempDir(), "key")
	os.Rename(path, elsewhere)
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Skip(err)
	}
	if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrDamaged) {
		t.Errorf("a link: %v", err)
	}
}

// TestStrangersAreLeftAlone: only names of our own form are read, or removed.
func TestStrangersAreLeftAlone(t *testing.T) {
	dir, s, id, _ := made(t)
	s.Close()
	strangers := []string{"README", "backup.key", "x.gone", "new.new", strings.ToUpper(string(id)[:31]) + "A.key", ".DS_Store"}
	for _, name := range strangers {
		os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600)
	}
	s = must(Open(dir))(t)
	defer s.Close()
	if ids := must(s.Keys(t.Context()))(t); len(ids) != 1 || ids[0] != id {
		t.Errorf("keys: %v", ids)
	}
	for _, name := range strangers {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != "mine" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
