// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// Where the key is in the vault, a change of it has more steps, in an order in which a device that is lost between any two
// leaves a password that brings back the archive:
//
//  1. the next key is stored at the vault, its registration's id and the next key are saved on this device
//  2. its registration is made live; that of the key before stays recoverable, see RecoverOptions
//  3. the archive is changed to the next key
//  4. the registration of the key before is deleted
//  5. the next key takes the place of the key
//
// If the vault forgets the registration before step 2, the change goes back: the user has not been shown the next key.
// If another device's takes its place after step 2, the change goes on.

// ChangeKeyWithPassword is ChangeKey on a device whose key is in the vault: the next key is put there under a password, which may be the one before,
// and the registration of the key before dies.
//
// Errors: those of ChangeKey and SetPassword. After ErrNotTaken nothing has changed; after recovery.ErrReplaced and recovery.ErrDestroyed
// the key is changed, and only the vault does not bring it back as the living one.
func (d *Device) ChangeKeyWithPassword(ctx context.Context, next Key, pass string, o PasswordOptions) error {
	unlock, err := d.lock("key change")
	if err != nil {
		return err
	}
	defer unlock()
	c, err := d.Config()
	if err != nil {
		return err
	}
	if err := d.settle(ctx, c, false); err != nil && !isSettled(err) {
		return err
	}
	if err := d.answers(ctx, &c); err != nil {
		return err
	}
	if err := d.store(ctx, &next, pass, o, func() error { return d.o.Keys.Save(nextKeyName(c), next) }); err != nil {
		return err
	}
	return d.goOnWithKeyChange(ctx, c, false)
}

// registerNext takes step 2, if the next key is to be in the vault.
func (d *Device) registerNext(ctx context.Context, c Config) error {
	s, err := d.vault()
	if errors.Is(err, ErrNotLoggedIn) || err == nil && (s.Pending == nil || !s.Pending.NextKey) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = d.confirm(ctx, c)
	return err
}

// deleteFormer takes step 4. Another device may have set the password meanwhile, so it deletes whatever the key before proves.
func (d *Device) deleteFormer(ctx context.Context, c Config) error {
	s, err := d.vault()
	if errors.Is(err, ErrNotLoggedIn) || err == nil && !s.Former {
		return nil
	} else if err != nil {
		return err
	}
	client, _, err := d.client()
	if err != nil {
		return err
	}
	key, err := d.o.Keys.Load(keyName(c))
	if err != nil {
		return err
	}
	defer key.Wipe()
	raw := rawKey(&key)
	defer clear(raw[:])
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	for _, r := range status.Registrations {
		if r.State == wire.StateLive || r.State == wire.StatePending {
			continue
		}
		if _, err := client.Delete(ctx, r.ID, &raw); err != nil && !notOurs(err) {
			return err
		}
	}
	return d.updateVault(func(s *vaultState) { s.Former = false })
}

// notOurs reports whether a registration is gone or keeps another key.
func notOurs(err error) bool {
	return errors.Is(err, recovery.ErrProof) || errors.Is(err, recovery.ErrRace) ||
		errors.Is(err, recovery.ErrNoRegistration) || errors.Is(err, recovery.ErrDestroyed)
}
