// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/durable"
)

// Beside the backup key a device has two secrets that the key store has no place for: the login's refresh token, and
// what CheckPassword tests against. They lie in state files, sealed under a key that the key store keeps, and so are as
// safe as the backup key: who could read the second could find the password, and with the first use it.

const tokenFile = "login.token"

// What a secret is sealed as, so that none can be put in another's place.
const (
	sealedToken = "coffer/v1/device/token"
	sealedCheck = "coffer/v1/device/check"
)

func loginKeyName(s *vaultState) string { return s.ID.String() + "-login" }

// loginCipher seals and opens this device's small secrets. It puts a random nonce before what it seals; there are few.
func (d *Device) loginCipher(s *vaultState) (cipher.AEAD, error) {
	key, err := d.o.Keys.Load(loginKeyName(s))
	if errors.Is(err, ErrNoKey) {
		return nil, fmt.Errorf("%w any more: the key of its login is gone", ErrNotLoggedIn)
	} else if err != nil {
		return nil, err
	}
	defer key.Wipe()
	raw := rawKey(&key)
	defer clear(raw[:])
	block, err := aes.NewCipher(raw[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (d *Device) seal(s *vaultState, as string, secret []byte) ([]byte, error) {
	gcm, err := d.loginCipher(s)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, nil, secret, []byte(as)), nil
}

func (d *Device) unseal(s *vaultState, as string, sealed []byte) ([]byte, error) {
	gcm, err := d.loginCipher(s)
	if err != nil {
		return nil, err
	}
	secret, err := gcm.Open(nil, nil, sealed, []byte(as))
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not open", ErrState, as)
	}
	return secret, nil
}

func (d *Device) saveToken(s *vaultState, token string) error {
	sealed, err := d.seal(s, sealedToken, []byte(token))
	if err != nil {
		return err
	}
	return durable.Replace(filepath.Join(d.dir, tokenFile), sealed)
}

func (d *Device) loadToken(s *vaultState) (string, error) {
	sealed, err := readBounded(filepath.Join(d.dir, tokenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrNotLoggedIn
	} else if err != nil {
		return "", err
	}
	token, err := d.unseal(s, sealedToken, sealed)
	return string(token), err
}
