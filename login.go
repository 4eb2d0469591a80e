// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// LoginOptions say at which vault to log in, and as whom.
type LoginOptions struct {
	URL     string // of the vault's gateway: https; or http to this machine itself. Unused where Options has Transport and Tokens
	Account string // a hint for the issuer, which decides; may be empty
	Role    string // "primary", "companion", or empty for what the issuer says

	// Fingerprint of the fleet, if it came on another way than from the gateway. Without one, the fleet that shows itself at the first login
	// is taken on trust and every later one must be the same; with one, the fleet that has it is accepted in the other's place.
	Fingerprint string

	// Prompt shows the user where to approve the login, and the code to compare there. Nil is fine for an issuer that approves by itself.
	Prompt func(url, code string)

	// Forget lets go of a password that was set at another account or fleet. It stays there until somebody deletes it.
	Forget bool
}

// Login logs this device in. It remembers the login and the fleet's identity; the login is as secret as the backup key.
//
// Errors: ErrBusy, ErrHasPassword if a password was set at another account or fleet, recovery.ErrFleetChanged,
// recovery.ErrLogin, recovery.ErrUnavailable.
func (d *Device) Login(ctx context.Context, o LoginOptions) (Login, error) {
	old, err := d.lastLogin()
	if err != nil {
		return Login{}, err
	}
	raw, descriptor, err := d.descriptor(ctx, o, old)
	if err != nil {
		return Login{}, err
	}
	// The user takes his time to approve: backups go on meanwhile.
	now := &vaultState{Version: vaultVersion, ID: format.NewID(), URL: o.URL, Descriptor: raw}
	refresh, err := d.authenticate(ctx, o, now, descriptor)
	if err != nil {
		return Login{}, err
	}
	unlock, err := d.lock("login")
	if err != nil {
		return Login{}, err
	}
	defer unlock()
	if err := d.replaceLogin(now, descriptor, refresh, o.Forget); err != nil {
		return Login{}, err
	}
	if c, err := d.Config(); err == nil && now.Registration == nil {
		_ = d.relearn(ctx, c) // tried again where it matters
	}
	login, err := d.LoggedIn()
	login.FirstSeen = old == nil && o.Fingerprint == ""
	return login, err
}

// lastLogin returns what is known of the vault; nil if nothing is.
func (d *Device) lastLogin() (*vaultState, error) {
	s, err := d.vault()
	return s, ifLoggedIn(err)
}

// replaceLogin puts a login in place of the one before, and keeps what that knew if it was of the same account and fleet.
func (d *Device) replaceLogin(now *vaultState, descriptor *wire.Descriptor, refresh string, forget bool) error {
	old, err := d.lastLogin()
	if err != nil {
		return err
	}
	if old != nil {
		login := *now
		*now = *old
		now.URL, now.IssuerURL, now.Descriptor = login.URL, login.IssuerURL, login.Descriptor
		now.Account, now.Role, now.LoggedOut = login.Account, login.Role, false
	}
	if err := now.keepOrForget(old, descriptor, forget); err != nil {
		return err
	}
	return d.saveLogin(now, refresh)
}

// descriptor fetches the fleet's descriptor and holds it against what is pinned.
func (d *Device) descriptor(ctx context.Context, o LoginOptions, old *vaultState) ([]byte, *wire.Descriptor, error) {
	transport, err := d.transport(o.URL, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	raw, err := transport.Descriptor(ctx)
	if err != nil {
		return nil, nil, err
	}
	shown, err := wire.ParseDescriptor(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the fleet's descriptor: %w", recovery.ErrProtocol, err)
	}
	pin := o.Fingerprint
	switch {
	case pin != "":
	case old != nil:
		pinned, err := old.descriptor()
		if err != nil {
			return nil, nil, err
		}
		pin = pinned.Fingerprint()
	default:
		pin = shown.Fingerprint()
	}
	descriptor, err := recovery.Pin(raw, pin)
	return raw, descriptor, err
}

// keepOrForget drops what belongs to another account or fleet than the login's.
func (s *vaultState) keepOrForget(old *vaultState, descriptor *wire.Descriptor, forget bool) error {
	if old == nil {
		return nil
	}
	before, err := old.descriptor()
	if err != nil {
		return err
	}
	if old.Account == s.Account && before.Fleet == descriptor.Fleet && before.Policy.Issuer == descriptor.Policy.Issuer {
		return nil
	}
	if !forget && (s.Registration != nil || s.Pending != nil) {
		return fmt.Errorf("%w of the account %q, fleet %s", ErrHasPassword, old.Account, before.Fleet)
	}
	s.forget()
	return nil
}

// saveLogin makes a login durable. A crash between the token and the rest leaves a login that the vault refuses, if it was of another account.
func (d *Device) saveLogin(s *vaultState, refresh string) error {
	if err := d.loginKey(s); err != nil {
		return err
	}
	unlock, err := d.waitFor("token.lock")
	if err != nil {
		return err
	}
	defer unlock()
	if refresh != "" {
		if err := d.saveToken(s, refresh); err != nil {
			return err
		}
	}
	return d.createVault(s)
}

// loginKey makes sure that there is a key for this device's small secrets.
func (d *Device) loginKey(s *vaultState) error {
	key, err := d.o.Keys.Load(loginKeyName(s))
	if err == nil {
		key.Wipe()
		return nil
	}
	if !errors.Is(err, ErrNoKey) {
		return err
	}
	for _, r := range []*registration{s.Registration, s.Recovered} {
		if r != nil {
			r.Check = nil // it was sealed under the key that is lost
		}
	}
	key = format.NewKey()
	defer key.Wipe()
	return d.o.Keys.Save(loginKeyName(s), key)
}
