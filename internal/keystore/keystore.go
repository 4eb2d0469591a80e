// SPDX-License-Identifier: Apache-2.0

// Package keystore chooses where the command line keeps this device's copy of the
// key: in the operating system's keyring, or where there is none in a 0600 file.
//
// It guarantees that a device stays with the place chosen when it was set up, so that a
// keyring that is locked today is an error and not a lost key (unless COFFER_HOME asks for files). It trusts the keyring and whoever
// can unlock it; and of the file, everyone who can read this user's files. It refuses to start a
// keyring service of its own.
package keystore

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/zalando/go-keyring"
)

// service is the name under which a keyring lists our keys.
const service = "coffer"

// timeout bounds the wait for a person to unlock the keyring.
const timeout = time.Minute

// ErrKeyring means that the keyring could not be used; the key may be in it. It is a coffer.ErrKeyLocked.
var ErrKeyring error = keyringError{}

type keyringError struct{}

func (keyringError) Error() string { return "the operating system's keyring cannot be used" }
func (keyringError) Unwrap() error { return coffer.ErrKeyLocked }

// Existing returns where a device that is set up keeps its key: in a file if there is one. With filesOnly the
// keyring is not looked into.
func Existing(stateDir string, filesOnly bool) coffer.KeyStore {
	if hasFiles(stateDir) || filesOnly {
		return coffer.FileKeys(stateDir)
	}
	return ring{}
}

// New returns where a device that is about to be set up, or to log in, will keep its keys: in files if there is one already, else
// in the keyring if that works, else in files. With filesOnly the keyring is not tried.
func New(stateDir string, filesOnly bool) coffer.KeyStore {
	if hasFiles(stateDir) || filesOnly || probe() != nil {
		return coffer.FileKeys(stateDir)
	}
	return ring{}
}

// hasFiles reports whether a key is kept in a file, the backup key or that of the login at a vault: one place is for all.
func hasFiles(stateDir string) bool {
	files, _ := filepath.Glob(filepath.Join(stateDir, "*.key"))
	return len(files) > 0
}

// probe finds out whether the keyring keeps what it is given.
func probe() error {
	const name = "probe"
	key := coffer.NewKey()
	if err := (ring{}).Save(name, key); err != nil {
		return err
	}
	back, err := ring{}.Load(name)
	if err == nil && back != key {
		err = ErrKeyring
	}
	return errors.Join(err, ring{}.Delete(name))
}

// ring is the operating system's keyring.
type ring struct{}

func (ring) Save(name string, key coffer.Key) error {
	return call(func() error { return keyring.Set(service, name, key.Digits()) })
}

func (ring) Load(name string) (key coffer.Key, err error) {
	err = call(func() error {
		text, err := keyring.Get(service, name)
		if err == nil {
			key, err = coffer.ParseKey(text)
		}
		return err
	})
	if errors.Is(err, keyring.ErrNotFound) {
		err = fmt.Errorf("%w (not in %s)", coffer.ErrNoKey, ring{}.Where(name))
	}
	return key, err
}

func (ring) Delete(name string) error {
	err := call(func() error { return keyring.Delete(service, name) })
	if errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return err
}

func (ring) Where(name string) string {
	return fmt.Sprintf("the operating system's keyring (service %q, name %q)", service, name)
}

// call runs one request to the keyring, which may wait for a person for as long as it likes.
func call(request func() error) error {
	if !running() {
		return fmt.Errorf("%w: there is no session bus, as where nobody is logged in", ErrKeyring)
	}
	done := make(chan error, 1)
	go func() { done <- request() }()
	select {
	case err := <-done:
		if err == nil || errors.Is(err, keyring.ErrNotFound) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrKeyring, err)
	case <-time.After(timeout):
		return fmt.Errorf("%w: it has not answered for %v; is it waiting to be unlocked?", ErrKeyring, timeout)
	}
}
