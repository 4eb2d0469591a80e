// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/internal/durable"
)

const secretSuffix = ".secret"

// files keeps every secret in a file of its own, 0600.
type files struct{ coffer.FileKeys }

func (f files) path(name string) string { return filepath.Join(string(f.FileKeys), name+secretSuffix) }

func (f files) SaveSecret(name string, secret []byte) error {
	if err := checkSize(secret); err != nil {
		return err
	}
	if err := os.MkdirAll(string(f.FileKeys), 0o700); err != nil {
		return err
	}
	return durable.Replace(f.path(name), secret)
}

func (f files) LoadSecret(name string) ([]byte, error) {
	file, err := os.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer file.Close()
	secret := make([]byte, MaxSecretBytes+1)
	n, err := io.ReadFull(file, secret)
	switch {
	case err == nil:
		clear(secret)
		return nil, fmt.Errorf("%w: %s is larger than what this program writes", coffer.ErrState, f.path(name))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return secret[:n], nil
	}
	clear(secret)
	return nil, err
}

func (f files) DeleteSecret(name string) error { return durable.Remove(f.path(name)) }

func (f files) WhereSecret(name string) string { return "the file " + f.path(name) }

func checkSize(secret []byte) error {
	if len(secret) > MaxSecretBytes {
		return fmt.Errorf("the secret has %d bytes; a keyring holds %d", len(secret), MaxSecretBytes)
	}
	return nil
}
