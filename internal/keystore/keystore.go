// SPDX-License-Identifier: Apache-2.0

// Package keystore chooses where the command line keeps this device's copy of the
// key, and the credentials of its destinations: in the operating system's keyring, or where there is none in 0600 files.
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

	"github.com/coffer-backup/coffer"
)

// MaxSecretBytes bounds a secret: what the keyrings of all systems hold, written in base64.
const MaxSecretBytes = 1900

// ErrKeyring means that the keyring could not be used; what is asked for may be in it.
var ErrKeyring = fmt.Errorf("%w: the operating system's keyring cannot be used", coffer.ErrKeysLocked)

// Store keeps keys, and beside them other secrets, by names as coffer.KeyStore has them.
type Store interface {
	coffer.KeyStore

	// SaveSecret keeps a secret of at most MaxSecretBytes in place of what was there, durably. It does not keep the slice.
	SaveSecret(name string, secret []byte) error

	// LoadSecret returns the secret kept under name, which the caller wipes; nil if there surely is none.
	LoadSecret(name string) ([]byte, error)

	// DeleteSecret removes the secret kept under name; there may be none.
	DeleteSecret(name string) error

	// WhereSecret says to people where the secret of that name is kept.
	WhereSecret(name string) string
}

// Existing returns where a device that is set up keeps its secrets: in files if there is one. With filesOnly the
// keyring is not looked into.
func Existing(stateDir string, filesOnly bool) Store {
	if hasFiles(stateDir) || filesOnly {
		return files{coffer.FileKeys(stateDir)}
	}
	return ring{}
}

// New returns where a device that is about to get its first secret will keep it and all later ones: in files if there is one already, else
// in the keyring if that works, else in files. With filesOnly the keyring is not tried.
func New(stateDir string, filesOnly bool) Store {
	if hasFiles(stateDir) || filesOnly || probe() != nil {
		return files{coffer.FileKeys(stateDir)}
	}
	return ring{}
}

// hasFiles reports whether a secret is kept in a file, whatever it is for: one place is for all.
func hasFiles(stateDir string) bool {
	keys, _ := filepath.Glob(filepath.Join(stateDir, "*.key"))
	secrets, _ := filepath.Glob(filepath.Join(stateDir, "*"+secretSuffix))
	return len(keys)+len(secrets) > 0
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
