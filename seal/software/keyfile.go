// SPDX-License-Identifier: Apache-2.0

package software

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// What a folder may hold beside the lock. A name has the key's id before the ending.
const (
	keyEnding  = ".key"  // a key that can be used, whole and flushed
	newEnding  = ".new"  // being made; nobody was told of it
	goneEnding = ".gone" // being destroyed; never to be used again
)

// ErrDamaged means that a key file is not what this package wrote. What is sealed under
// it is lost, unless the file can be had back from where it was copied to.
var ErrDamaged = errors.New("damaged key file")

// A key file is magic, the key, and a sum that tells a damaged key from a wrong aad.
const (
	magic    = "cofseal1"
	keySize  = 32
	fileSize = len(magic) + keySize + sha256.Size
)

// keyFiles makes, reads and destroys key files. A crash between any two steps leaves a key
// whole or absent; recover brings the folder back to keys only.
type keyFiles struct {
	disk disk
}

// create makes a key's file durable.
func (k *keyFiles) create(id seal.KeyID, key *[keySize]byte) error {
	file := encode(id, key)
	defer clear(file)
	// A crash from here on leaves a part of a file that is not a key's yet.
	if err := k.disk.Write(string(id)+newEnding, file); err != nil {
		return errors.Join(err, k.forget(id))
	}
	// Its bytes are durable, so it has the right name only when whole.
	if err := k.disk.Rename(string(id)+newEnding, string(id)+keyEnding); err != nil {
		return errors.Join(err, k.forget(id))
	}
	// A crash before the end of this line keeps the key or loses it; nobody was told of it.
	return k.disk.Sync()
}

// forget removes a file whose key never was. It is not needed for safety: recover would do it.
func (k *keyFiles) forget(id seal.KeyID) error { return k.disk.Remove(string(id) + newEnding) }

// destroy is done only when each step is done, in this order; each may be repeated.
func (k *keyFiles) destroy(id seal.KeyID) error {
	if _, err := seal.ParseKeyID(string(id)); err != nil {
		return nil // there never was such a key
	}
	// A crash from here on: the key is whole under one of the two names. Under the new one it is gone,
	// which keeps a half overwritten file from ever being taken for a damaged key.
	if err := k.disk.Rename(string(id)+keyEnding, string(id)+goneEnding); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := k.disk.Sync(); err != nil {
		return err
	}
	// A crash from here on: recover goes on with erase.
	return k.erase(string(id) + goneEnding)
}

// erase overwrites a file before it removes it, and makes both durable, even when an earlier
// attempt has removed the file already and could not flush the folder.
func (k *keyFiles) erase(name string) error {
	if err := k.disk.Overwrite(name, fileSize); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := k.disk.Remove(name); err != nil {
		return err
	}
	return k.disk.Sync()
}

// read returns a key, whose copy the caller wipes.
func (k *keyFiles) read(id seal.KeyID) (*[keySize]byte, error) {
	if _, err := seal.ParseKeyID(string(id)); err != nil {
		return nil, seal.ErrNoKey
	}
	file, err := k.disk.Read(string(id)+keyEnding, fileSize+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, seal.ErrNoKey
	} else if errors.Is(err, folder.ErrNotFile) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	} else if err != nil {
		return nil, err
	}
	defer clear(file)
	return decode(id, file)
}

func (k *keyFiles) list() ([]seal.KeyID, error) {
	names, err := k.disk.Names()
	if err != nil {
		return nil, err
	}
	var ids []seal.KeyID
	for _, name := range names {
		if id, ok := keyOf(name, keyEnding); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// recover finishes what a crash has interrupted, and reads every key once, so that one that is damaged or
// exposed is found at the start and not in the middle of a rotation. What it does not know it leaves alone.
func (k *keyFiles) recover() error {
	names, err := k.disk.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := k.recoverFile(name); err != nil {
			return err
		}
	}
	// A key that a killed process had named may not be durable yet, and Keys will list it.
	return k.disk.Sync()
}

func (k *keyFiles) recoverFile(name string) error {
	if _, ok := keyOf(name, newEnding); ok {
		return k.disk.Remove(name)
	}
	if _, ok := keyOf(name, goneEnding); ok {
		return k.erase(name)
	}
	if id, ok := keyOf(name, keyEnding); ok {
		key, err := k.read(id)
		if err == nil {
			clear(key[:])
		}
		return err
	}
	return nil
}

func (k *keyFiles) close() error { return k.disk.Close() }

func keyOf(name, ending string) (seal.KeyID, bool) {
	text, ok := strings.CutSuffix(name, ending)
	id, err := seal.ParseKeyID(text)
	return id, ok && err == nil
}

func encode(id seal.KeyID, key *[keySize]byte) []byte {
	file := make([]byte, 0, fileSize)
	file = append(append(file, magic...), key[:]...)
	sum := checksum(id, key)
	return append(file, sum[:]...)
}

func decode(id seal.KeyID, file []byte) (*[keySize]byte, error) {
	if len(file) != fileSize || string(file[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: %s%s", ErrDamaged, id, keyEnding)
	}
	key := [keySize]byte(file[len(magic):])
	sum := checksum(id, &key)
	if subtle.ConstantTimeCompare(sum[:], file[len(magic)+keySize:]) != 1 {
		return nil, fmt.Errorf("%w: %s%s", ErrDamaged, id, keyEnding)
	}
	return &key, nil
}

// checksum names the id too, so that a file under another's name is found out.
func checksum(id seal.KeyID, key *[keySize]byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(magic))
	h.Write([]byte(id))
	h.Write(key[:])
	return [sha256.Size]byte(h.Sum(nil))
}
