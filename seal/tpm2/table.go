// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/coffer-backup/coffer/seal"
)

// domain keeps what is derived here of no use for anything else. It begins the info of each HKDF.
const domain = "coffer/v1/seal/tpm2"

const (
	version   = 1 // the first byte of a table and of sealed bytes; a nonce, a ciphertext and a tag follow
	idSize    = 16
	keySize   = 32
	entrySize = idSize + keySize
	maxKeys   = 256
	maxTable  = 1 + 12 + maxKeys*entrySize + 16
)

// table holds the keys, in memory for one call, on the disk sealed under the value of the TPM's index.
type table map[seal.KeyID]*[keySize]byte

// wipe leaves no key behind.
func (t table) wipe() {
	for _, key := range t {
		clear(key[:])
	}
}

// seal writes the entries in the order of their ids.
func (t table) seal(value [valueSize]byte) ([]byte, error) {
	aead, err := cipherOf(value[:], "/table")
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, len(t)*entrySize)
	defer func() { clear(plain) }()
	for _, id := range slices.Sorted(maps.Keys(t)) {
		if plain, err = hex.AppendDecode(plain, []byte(id)); err != nil {
			return nil, err
		}
		plain = append(plain, t[id][:]...)
	}
	return aead.Seal([]byte{version}, nil, plain, []byte{version}), nil
}

// openTable says false of what is not a table under this value.
func openTable(value [valueSize]byte, file []byte) (table, bool) {
	if len(file) == 0 || len(file) > maxTable || file[0] != version {
		return nil, false
	}
	aead, err := cipherOf(value[:], "/table")
	if err != nil {
		return nil, false
	}
	plain, err := aead.Open(nil, nil, file[1:], file[:1])
	if err != nil || len(plain)%entrySize != 0 {
		return nil, false
	}
	defer clear(plain)
	t := table{}
	for entry := range slices.Chunk(plain, entrySize) {
		key := [keySize]byte(entry[idSize:])
		t[seal.NewKeyID([idSize]byte(entry))] = &key
	}
	return t, true
}

// cipherOf derives a cipher from a secret. Nonces are random, 96 bits: one secret encrypts a handful of times in its
// life, far below the 2^32 that NIST SP 800-38D section 8.3 allows.
func cipherOf(secret []byte, purpose string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, secret, nil, domain+purpose, 32)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// findTable returns the keys that the TPM has agreed to. A crash beside a change of the index leaves two tables of
// which one opens, and that is the one that counts; it gets its name here if the crash came before.
func findTable(f files, value [valueSize]byte) (table, error) {
	for _, name := range []string{tableName, nextTable} {
		file, err := f.Read(name, maxTable+1)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		t, ok := openTable(value, file)
		if !ok {
			continue
		}
		if name == nextTable {
			err = rename(f, nextTable, tableName)
		}
		return t, err
	}
	return nil, ErrSetBack
}

// writeTable makes a table durable under one of its two names.
func writeTable(f files, name string, t table, value [valueSize]byte) error {
	file, err := t.seal(value)
	if err != nil {
		return err
	}
	return replace(f, name, file)
}
