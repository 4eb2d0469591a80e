// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/zalando/go-keyring"
)

// service is the name under which a keyring lists our keys.
const service = "coffer"

// timeout bounds the wait for a person to unlock the keyring.
const timeout = time.Minute

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

// SaveSecret writes base64: a keyring keeps texts. What it has once had as a text cannot be wiped from this process.
func (ring) SaveSecret(name string, secret []byte) error {
	if err := checkSize(secret); err != nil {
		return err
	}
	return call(func() error { return keyring.Set(service, name, base64.StdEncoding.EncodeToString(secret)) })
}

func (ring) LoadSecret(name string) ([]byte, error) {
	var text string
	err := call(func() (err error) {
		text, err = keyring.Get(service, name)
		return err
	})
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds something that this program did not write", coffer.ErrState, ring{}.Where(name))
	}
	return secret, nil
}

func (r ring) DeleteSecret(name string) error { return r.Delete(name) }

func (r ring) WhereSecret(name string) string { return r.Where(name) }

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
