// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/durable"
)

// KeyStore keeps this device's copies of backup keys. An app passes the
// system's own (Keychain, Keystore); a device without one uses [FileKeys].
//
// Names are of a-z, 0-9 and '-', at most 64 bytes, and begin with the device's random id.
type KeyStore interface {
	// Save keeps key under name in place of what was there. When it returns nil
	// the key is durable: an archive is made only after that.
	Save(name string, key Key) error

	// Load returns the key kept under name, or an error that wraps ErrNoKey if
	// there surely is none. Any other error may pass; that of a locked keyring wraps ErrKeysLocked.
	Load(name string) (Key, error)

	// Delete removes the key kept under name; there may be none.
	Delete(name string) error

	// Where says to people where the key of that name is kept. It carries no secret.
	Where(name string) string
}

// FileKeys keeps keys as files, 0600, in a folder, which must exist when a key is saved. Whoever
// can read the folder has the keys.
type FileKeys string

const keySuffix = ".key"

func (dir FileKeys) path(name string) string { return filepath.Join(string(dir), name+keySuffix) }

// Save writes the digits of the key into a file of its own.
func (dir FileKeys) Save(name string, key Key) error {
	text := []byte(key.Digits() + "\n")
	defer clear(text)
	return durable.Replace(dir.path(name), text)
}

// Load reads what Save wrote.
func (dir FileKeys) Load(name string) (Key, error) {
	text, err := readBounded(dir.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, fmt.Errorf("%w (%s)", ErrNoKey, dir.path(name))
	} else if err != nil {
		return Key{}, err
	}
	defer clear(text)
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("%w: %s: %w", ErrState, dir.path(name), err)
	}
	return key, nil
}

// Delete removes the file. What a disk keeps of a removed file is not overwritten.
func (dir FileKeys) Delete(name string) error { return durable.Remove(dir.path(name)) }

// Where returns the file's path.
func (dir FileKeys) Where(name string) string { return "the file " + dir.path(name) }
