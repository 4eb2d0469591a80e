// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/coffer-backup/coffer/internal/durable"
)

// Login is a device's login at a vault.
type Login struct {
	URL         string `json:"url"`
	Account     string `json:"account"` // as the issuer names it
	Role        string `json:"role"`    // "primary" or "companion"
	Fleet       string `json:"fleet"`   // never changes
	Fingerprint string `json:"fingerprint"`
	Tier        string `json:"tier"`           // what seals the fleet's state: "software", ...
	Restart     string `json:"restart_policy"` // "majority", "counter" or "trust-disk"
	LoggedOut   bool   `json:"logged_out,omitempty"`
	FirstSeen   bool   `json:"-"`            // the fleet was taken on trust just now: show the fingerprint
	HasPassword bool   `json:"has_password"` // as far as this device knows, its key is in the vault
}

// LoggedIn returns this device's login as it is remembered, without asking anybody. After Logout it still tells whose it was.
//
// Errors: ErrNotLoggedIn if there never was one.
func (d *Device) LoggedIn() (Login, error) {
	s, err := d.vault()
	if err != nil {
		return Login{}, err
	}
	return d.login(s)
}

func (d *Device) login(s *vaultState) (Login, error) {
	descriptor, err := s.descriptor()
	if err != nil {
		return Login{}, err
	}
	return Login{
		URL: s.URL, Account: s.Account, Role: s.Role,
		Fleet: descriptor.Fleet.String(), Fingerprint: descriptor.Fingerprint(),
		Tier: descriptor.Tier, Restart: descriptor.Policy.Restart.String(),
		LoggedOut: s.LoggedOut, HasPassword: d.hasPassword(s),
	}, nil
}

// hasPassword reports whether the vault keeps a key of this device, as far as it knows. A key that cannot be
// read now is taken for the one.
func (d *Device) hasPassword(s *vaultState) bool {
	c, err := d.Config()
	if err != nil || s.Registration == nil {
		return false
	}
	key, ok, err := d.registeredKey(c, s)
	key.Wipe()
	return ok || err != nil
}

// registeredKey returns the key that this device's registration keeps, if the device has it.
func (d *Device) registeredKey(c Config, s *vaultState) (key Key, ok bool, err error) {
	for _, name := range []string{nextKeyName(c), keyName(c)} {
		key, err := d.o.Keys.Load(name)
		if err != nil && !errors.Is(err, ErrNoKey) {
			return Key{}, false, err
		}
		if err == nil && s.keeps(s.Registration, &key) {
			return key, true, nil
		}
		key.Wipe()
	}
	return Key{}, false, nil
}

// Logout forgets the login. What the vault keeps stays there, and this device remembers that it does.
//
// Errors: ErrNotLoggedIn, ErrBusy.
func (d *Device) Logout(context.Context) error {
	unlock, err := d.lock("logout")
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.updateVault(func(s *vaultState) { s.LoggedOut = true }); err != nil {
		return err
	}
	return durable.Remove(filepath.Join(d.dir, tokenFile))
}
