// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/zalando/go-keyring"
)

func TestStores(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	keyring.MockInit()
	for name, store := range map[string]coffer.KeyStore{"keyring": ring{}, "files": coffer.FileKeys(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			if _, err := store.Load("a"); !errors.Is(err, coffer.ErrNoKey) {
				t.Errorf("Load of nothing: %v, want ErrNoKey", err)
			}
			if err := store.Delete("a"); err != nil {
				t.Errorf("Delete of nothing: %v", err)
			}
			first, second := coffer.NewKey(), coffer.NewKey()
			for _, key := range []coffer.Key{first, second} {
				if err := store.Save("a", key); err != nil {
					t.Fatal(err)
				}
				if got, err := store.Load("a"); err != nil || got != key {
					t.Errorf("Load after Save: other key, or %v", err)
				}
			}
			if strings.Contains(strings.ReplaceAll(store.Where("a"), " ", ""), strings.ReplaceAll(second.Digits(), " ", "")) {
				t.Error("Where shows the key")
			}
			if err := store.Delete("a"); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Load("a"); !errors.Is(err, coffer.ErrNoKey) {
				t.Errorf("Load after Delete: %v, want ErrNoKey", err)
			}
		})
	}
}

func TestKeyringFails(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	keyring.MockInitWithError(errors.New("locked"))
	if _, err := (ring{}).Load("a"); !errors.Is(err, ErrKeyring) || errors.Is(err, coffer.ErrNoKey) {
		t.Errorf("Load from a locked keyring: %v; it must not say that there is no key", err)
	}
	if err := (ring{}).Delete("a"); !errors.Is(err, ErrKeyring) {
		t.Errorf("Delete from a locked keyring: %v", err)
	}
}

func TestChoice(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	dir := t.TempDir()
	isRing := func(s coffer.KeyStore) bool { _, ok := s.(ring); return ok }

	keyring.MockInit()
	if !isRing(New(dir, false)) {
		t.Error("a keyring that works is not used")
	}
	if isRing(New(dir, true)) {
		t.Error("the keyring is used although only files are wanted")
	}
	keyring.MockInitWithError(errors.New("no service"))
	if isRing(New(dir, false)) {
		t.Error("a keyring that fails is chosen")
	}

	if !isRing(Existing(dir, false)) {
		t.Error("without a key file, a device that is set up must have its key in the keyring")
	}
	if isRing(Existing(dir, true)) {
		t.Error("the keyring is used although only files are wanted")
	}
	if err := os.WriteFile(filepath.Join(dir, "x.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if isRing(Existing(dir, false)) {
		t.Error("with a key file, a device that is set up must use files")
	}
	keyring.MockInit()
	if isRing(New(dir, false)) {
		t.Error("with a key file of its login, a device must keep its backup key in a file, too, or Existing will not find it")
	}
}
