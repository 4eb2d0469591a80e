// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// made is a folder with one key, and what that key has sealed.
func made(t *testing.T, tpm *swtpm) (config Config, s *Sealer, id seal.KeyID, sealed []byte) {
	t.Helper()
	config = tpm.config(t)
	s = must(Create(t.Context(), config))(t)
	t.Cleanup(func() { s.Close() })
	id = must(s.NewKey(t.Context()))(t)
	return config, s, id, must(s.Seal(t.Context(), id, secret, aad))(t)
}

// image is a copy of a folder, as a thief has it.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	private(t, to)
	return to
}

// private undoes what CopyFS does to modes.
func private(t *testing.T, dir string) {
	t.Helper()
	os.Chmod(dir, 0o700)
	for _, entry := range must(os.ReadDir(dir))(t) {
		os.Chmod(filepath.Join(dir, entry.Name()), 0o600)
	}
}

// refuses opens a folder, and an error at any point is as good as another.
func refuses(t *testing.T, config Config, id seal.KeyID, sealed []byte, want ...error) {
	t.Helper()
	s, err := Open(t.Context(), config)
	if err == nil {
		defer s.Close()
		_, err = s.Open(t.Context(), id, sealed, aad)
	}
	if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
		t.Errorf("got %v, want one of %v", err, want)
	}
}

// TestDestroyedForEver: somebody has every image of the folder ever made, mixes their files in any way, and has the TPM as it
// is now. Nothing that was sealed under a destroyed key opens.
func TestDestroyedForEver(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, sealed := made(t, tpm)
	kept := must(s.NewKey(t.Context()))(t)
	images := []string{image(t, config.Folder)}
	for range 2 { // further epochs, with images before and after each
		other := must(s.NewKey(t.Context()))(t)
		images = append(images, image(t, config.Folder))
		if err := s.Destroy(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		images = append(images, image(t, config.Folder))
	}
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.Close()
	images = append(images, image(t, config.Folder))

	var tables [][]byte
	for _, dir := range images {
		refuses(t, Config{Folder: dir, Device: tpm.socket}, id, sealed, seal.ErrNoKey, seal.ErrTampered)
		tables = append(tables, must(os.ReadFile(filepath.Join(dir, tableName)))(t))
	}
	for _, now := range tables {
		for _, next := range tables {
			mixed := image(t, config.Folder)
			os.WriteFile(filepath.Join(mixed, tableName), now, 0o600)
			os.WriteFile(filepath.Join(mixed, nextTable), next, 0o600)
			refuses(t, Config{Folder: mixed, Device: tpm.socket}, id, sealed, seal.ErrNoKey, seal.ErrTampered)
		}
	}
	// The other key of the newest image is as good as before.
	s = must(Open(t.Context(), config))(t)
	defer s.Close()
	must(s.Seal(t.Context(), kept, secret, aad))(t)
}

// TestSetBackWhileOpen: the folder is put back below a sealer that runs.
func TestSetBackWhileOpen(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, sealed := made(t, tpm)
	old := image(t, config.Folder)
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(config.Folder, tableName), must(os.ReadFile(filepath.Join(old, tableName)))(t), 0o600)
	if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("%v", err)
	}
	if _, err := s.NewKey(t.Context()); !errors.Is(err, ErrSetBack) {
		t.Errorf("a key in a folder that was set back: %v", err)
	}
}

// TestRecreatedIndex: an index of the same name, made by somebody who has the folder and may define indexes, holds something else.
func TestRecreatedIndex(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, sealed := made(t, tpm)
	tpm.talk(func(c *chip) {
		if err := c.undefine(s.anchor, nil); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrCleared) || !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("without its index: %v", err)
	}
	tpm.talk(func(c *chip) {
		if err := c.define(s.anchor, s.auth, nil); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := s.Open(t.Context(), id, sealed, aad); !errors.Is(err, ErrCleared) {
		t.Errorf("an index that holds nothing: %v", err)
	}
	tpm.talk(func(c *chip) {
		next := extended([valueSize]byte{}, [valueSize]byte{1})
		if err := c.extend(s.anchor, s.auth, false, [valueSize]byte{1}, next); err != nil {
			t.Fatal(err)
		}
	})
	s.Close()
	refuses(t, config, id, sealed, seal.ErrTampered)
}

// TestClones: of copies of one folder at one TPM that destroy a key at the same time, one at most is told that it did.
func TestClones(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, _ := made(t, tpm)
	s.Close()
	for range 4 {
		var sealers []*Sealer
		for range 3 {
			c := Config{Folder: image(t, config.Folder), Device: tpm.socket}
			sealers = append(sealers, must(Open(t.Context(), c))(t))
		}
		errs := make([]error, len(sealers))
		var all sync.WaitGroup
		for i, s := range sealers {
			all.Go(func() { errs[i] = s.Destroy(t.Context(), id) })
		}
		all.Wait()
		won := -1
		for i, s := range sealers {
			switch err := errs[i]; {
			case err == nil && won >= 0:
				t.Fatal("two clones have destroyed one key")
			case err == nil:
				won = i
			case !errors.Is(err, seal.ErrTampered) && !errors.Is(err, seal.ErrInUse):
				t.Errorf("a clone: %v", err)
			}
			s.Close()
		}
		config, s, id, _ = made(t, tpm)
		s.Close()
	}
}

// TestExtendRaces plays the worst order: two copies have read the index before either has extended it.
func TestExtendRaces(t *testing.T) {
	tpm := newTPM(t)
	_, s, _, _ := made(t, tpm)
	tpm.talk(func(c *chip) {
		before := must(c.read(s.anchor, s.auth))(t)
		a, b := [valueSize]byte{1}, [valueSize]byte{2}
		if err := c.extend(s.anchor, s.auth, true, a, extended(before, a)); err != nil {
			t.Errorf("the first: %v", err)
		}
		if err := c.extend(s.anchor, s.auth, true, b, extended(before, b)); !errors.Is(err, ErrRaced) || !errors.Is(err, seal.ErrInUse) {
			t.Errorf("the second: %v", err)
		}
	})
}

func TestForeignTPM(t *testing.T) {
	one, other := newTPM(t), newTPM(t)
	config, s, id, sealed := made(t, one)
	// Bytes alone: another TPM has no such key.
	_, stranger, key, _ := made(t, other)
	if _, err := stranger.Open(t.Context(), id, sealed, aad); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("another's bytes: %v", err)
	}
	if _, err := stranger.Open(t.Context(), key, sealed, aad); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("another's bytes under a key of ours: %v", err)
	}
	// The whole disk in another machine.
	s.Close()
	config.Device = other.socket
	refuses(t, config, id, sealed, ErrOtherTPM)
	if _, err := Open(t.Context(), config); !errors.Is(err, seal.ErrNoKey) {
		t.Errorf("%v", err)
	}
}

// TestDamagedFiles: whatever is changed in the folder, it opens as before or is refused.
func TestDamagedFiles(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, sealed := made(t, tpm)
	s.Close()
	whole := must(os.ReadFile(filepath.Join(config.Folder, tableName)))(t)
	for i := 0; i < len(whole); i += 7 {
		broken := slices.Clone(whole)
		broken[i] ^= 0x40
		for _, b := range [][]byte{broken, whole[:i], make([]byte, maxTable+1)} {
			os.WriteFile(filepath.Join(config.Folder, tableName), b, 0o600)
			refuses(t, config, id, sealed, seal.ErrTampered)
		}
	}
	os.Remove(filepath.Join(config.Folder, tableName))
	refuses(t, config, id, sealed, seal.ErrTampered)
	os.WriteFile(filepath.Join(config.Folder, tableName), whole, 0o600)

	anchor := filepath.Join(config.Folder, anchorName)
	text := must(os.ReadFile(anchor))(t)
	for _, b := range [][]byte{nil, []byte("{}"), text[:len(text)/2], append(slices.Clone(text), make([]byte, maxAnchor)...)} {
		os.WriteFile(anchor, b, 0o600)
		if s, err := Open(t.Context(), config); err == nil {
			s.Close()
			t.Errorf("opened with an anchor of %d bytes", len(b))
		}
	}
	os.Remove(anchor)
	refuses(t, config, id, sealed, ErrUnfinished)
	os.WriteFile(anchor, text, 0o600)
	os.Chmod(anchor, 0o644)
	refuses(t, config, id, sealed, folder.ErrExposed)
	os.Chmod(anchor, 0o600)
	s = must(Open(t.Context(), config))(t)
	defer s.Close()
	must(s.Open(t.Context(), id, sealed, aad))(t)
	if _, err := Create(t.Context(), config); !errors.Is(err, seal.ErrInUse) {
		t.Errorf("created over an open folder: %v", err)
	}
	s.Close()
	if _, err := Create(t.Context(), config); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over keys: %v", err)
	}
}

// TestTPMSetBack says what the promises rest on: whoever can set back the TPM itself has what was destroyed since.
func TestTPMSetBack(t *testing.T) {
	tpm := newTPM(t)
	config, s, id, sealed := made(t, tpm)
	tpm.kill()
	oldTPM, oldFolder := image(t, tpm.state), image(t, config.Folder)
	tpm.start()
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.Close()
	tpm.kill()
	tpm.state = oldTPM
	tpm.start()
	refuses(t, config, id, sealed, seal.ErrTampered) // the TPM alone
	config.Folder = oldFolder
	s = must(Open(t.Context(), config))(t) // both: it is then
	defer s.Close()
	must(s.Open(t.Context(), id, sealed, aad))(t)
}
