// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/coffer-backup/coffer/wire"
)

const (
	vaultFile    = "vault.json"
	vaultVersion = 1
)

// vaultState is what this device knows of its vault. It holds no secret in the clear.
type vaultState struct {
	Version    int    `json:"version"`
	ID         ID     `json:"id"`  // random; the name of the login's key in the key store
	URL        string `json:"url"` // of the gateway
	IssuerURL  string `json:"issuer_url,omitempty"`
	Descriptor []byte `json:"descriptor"` // pinned
	Account    string `json:"account"`    // the issuer's name for it: the subject of its tokens
	Role       string `json:"role"`
	LoggedOut  bool   `json:"logged_out,omitempty"`

	Registration *registration `json:"registration,omitempty"` // that keeps the key of this device
	Former       bool          `json:"former,omitempty"`       // one that keeps the key before is to be deleted once the archive has the next
	Pending      *pending      `json:"pending,omitempty"`
	Told         Freshness     `json:"told,omitzero"` // the last state that the vault was told

	Recovered *registration `json:"recovered,omitempty"` // that RecoverKey used; Adopt makes it this device's own
	Freshness []Freshness   `json:"freshness,omitempty"` // what RecoverKey learned
}

// registration is one at the vault, and whose key it keeps.
type registration struct {
	ID     ID     `json:"id"`
	Manage []byte `json:"manage"` // hash of the manage secret, as the vault has it; tells nothing of the key
	Check  []byte `json:"check"`  // sealed: what CheckPassword tests against
}

// pending is a registration that is stored at the vault and may or may not be live.
type pending struct {
	registration
	NextKey bool `json:"next_key,omitempty"` // it keeps the next key of a change of the key
}

// Freshness is the newest state of an archive that the vault was told.
type Freshness struct {
	Archive    ID     `json:"archive"`
	Generation uint64 `json:"generation"`
	Digest     string `json:"digest"` // of the head: 64 hexadecimal digits
}

func (s *vaultState) descriptor() (*wire.Descriptor, error) {
	descriptor, err := wire.ParseDescriptor(s.Descriptor)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: the vault's descriptor: %w", ErrState, vaultFile, err)
	}
	return descriptor, nil
}

// keeps reports whether a registration keeps this key.
func (s *vaultState) keeps(r *registration, key *Key) bool {
	if r == nil {
		return false
	}
	descriptor, err := s.descriptor()
	return err == nil && bytes.Equal(r.Manage, s.manageHash(descriptor, key))
}

// manageHash returns what the vault keeps of a key's manage secret.
func (s *vaultState) manageHash(d *wire.Descriptor, key *Key) []byte {
	raw := rawKey(key)
	defer clear(raw[:])
	secret := wire.NewManageSecret(raw[:], d.Fleet, wire.NewAccountID(d.Policy.Issuer, s.Account))
	defer clear(secret[:])
	hash := secret.Hash()
	return hash[:]
}

// rawKey returns the bytes of a key. The caller wipes them.
func rawKey(key *Key) (raw [32]byte) {
	digits := []byte(strings.ReplaceAll(key.Digits(), " ", ""))
	defer clear(digits)
	if _, err := hex.Decode(raw[:], digits); err != nil {
		panic("coffer: " + err.Error()) // Digits shows 64 of them
	}
	return raw
}

// forget drops what belongs to the key of this device.
func (s *vaultState) forget() {
	s.Registration, s.Former, s.Pending, s.Told = nil, false, nil, Freshness{}
	s.Recovered, s.Freshness = nil, nil
}

// adopt settles which registration keeps the key of this device from now on.
func (s *vaultState) adopt(key *Key) {
	s.Former, s.Pending = false, nil
	if r := s.Recovered; s.keeps(r, key) && (s.Registration == nil || s.Registration.ID != r.ID) {
		s.Registration, s.Told = r, Freshness{}
	}
	if !s.keeps(s.Registration, key) {
		s.Registration, s.Told = nil, Freshness{}
	}
}

// vault returns what is known of the vault, or ErrNotLoggedIn if no login ever was.
func (d *Device) vault() (*vaultState, error) {
	s := new(vaultState)
	err := d.readJSON(vaultFile, s)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNotLoggedIn
	case err != nil:
		return nil, err
	case s.Version != vaultVersion:
		return nil, fmt.Errorf("%w: %s has version %d, this program knows %d; use the program that wrote it",
			ErrState, vaultFile, s.Version, vaultVersion)
	}
	return s, nil
}

// updateVault changes what is known of the vault, durably. Processes that do not hold the device's lock come here
// too, so that each changes the newest state.
func (d *Device) updateVault(change func(*vaultState)) error {
	unlock, err := d.waitFor("vault.lock")
	if err != nil {
		return err
	}
	defer unlock()
	s, err := d.vault()
	if err != nil {
		return err
	}
	change(s)
	return d.writeJSON(vaultFile, s)
}

// ifLoggedIn passes over the error of a device that has no vault.
func ifLoggedIn(err error) error {
	if errors.Is(err, ErrNotLoggedIn) {
		return nil
	}
	return err
}

// waitFor waits for a lock of its own for one file.
func (d *Device) waitFor(name string) (unlock func(), err error) {
	f, err := openLock(filepath.Join(d.dir, name))
	if err != nil {
		return nil, err
	}
	if _, err := lockFile(f, true); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// createVault puts a login in place of what is known. The caller holds the device's lock.
func (d *Device) createVault(s *vaultState) error {
	unlock, err := d.waitFor("vault.lock")
	if err != nil {
		return err
	}
	defer unlock()
	return d.writeJSON(vaultFile, s)
}
