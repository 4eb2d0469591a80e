// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"bytes"
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
	for name, store := range map[string]Store{"keyring": ring{}, "files": files{coffer.FileKeys(t.TempDir())}} {
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

func TestSecrets(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	keyring.MockInit()
	for name, store := range map[string]Store{"keyring": ring{}, "files": files{coffer.FileKeys(filepath.Join(t.TempDir(), "new"))}} {
		t.Run(name, func(t *testing.T) {
			want := func(secret []byte) {
				t.Helper()
				if got, err := store.LoadSecret("a"); err != nil || !bytes.Equal(got, secret) || (got == nil) != (secret == nil) {
					t.Errorf("LoadSecret: %q, %v; want %q", got, err, secret)
				}
			}
			want(nil)
			if err := store.DeleteSecret("a"); err != nil {
				t.Errorf("DeleteSecret of nothing: %v", err)
			}
			largest := bytes.Repeat([]byte{0xff}, MaxSecretBytes)
			for _, secret := range [][]byte{[]byte("first"), {0, 0xff, '\n'}, largest} {
				if err := store.SaveSecret("a", secret); err != nil {
					t.Fatal(err)
				}
				want(secret)
			}
			if err := store.SaveSecret("a", append(largest, 0)); err == nil {
				t.Error("a secret that is too large was kept")
			}
			want(largest)
			key := coffer.NewKey()
			if err := store.Save("b", key); err != nil {
				t.Fatal(err)
			}
			if err := store.DeleteSecret("a"); err != nil {
				t.Fatal(err)
			}
			want(nil)
			if got, err := store.Load("b"); err != nil || got != key {
				t.Error("the key went with the secret")
			}
		})
	}
}

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	store := files{coffer.FileKeys(dir)}
	if err := store.SaveSecret("a", []byte("s")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a"+secretSuffix)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && filepath.Separator == '/' {
		t.Errorf("%v, %v; want 0600", info, err)
	}
	if !strings.Contains(store.WhereSecret("a"), path) {
		t.Errorf("it is said to be in %s", store.WhereSecret("a"))
	}
	if err := os.WriteFile(path, make([]byte, MaxSecretBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.LoadSecret("a"); !errors.Is(err, coffer.ErrState) {
		t.Errorf("a file that is too large: %v, want ErrState", err)
	}
}

func TestForeignSecretInKeyring(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	keyring.MockInit()
	if err := keyring.Set(service, "a", "not base64 hunter2"); err != nil {
		t.Fatal(err)
	}
	if _, err := (ring{}).LoadSecret("a"); !errors.Is(err, coffer.ErrState) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v, want ErrState without the text", err)
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
	if secret, err := (ring{}).LoadSecret("a"); secret != nil || !errors.Is(err, ErrKeyring) {
		t.Errorf("LoadSecret from a locked keyring: %v", err)
	}
	if err := (ring{}).SaveSecret("a", nil); coffer.CauseOf(err) != coffer.CauseKeysLocked {
		t.Errorf("SaveSecret into a locked keyring: %v", err)
	}
}

func TestChoice(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	dir := t.TempDir()
	isRing := func(s Store) bool { _, ok := s.(ring); return ok }

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
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "destination-x.secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if isRing(New(other, false)) || isRing(Existing(other, false)) {
		t.Error("with a destination's credentials in a file, a device must keep its key in a file, too")
	}
}
