// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// The setting of a password has four steps, and the next one who comes finishes it after a crash between any two:
//
//  1. the registration is stored at the vault, where nobody can use it and it is forgotten within the hour
//  2. its id is saved on this device
//  3. it is made live at the vault, which ends the one before if it keeps the same key
//  4. this device remembers it
//
// From step 2 on it goes forward: the user knows the password. Only the vault's word that the registration
// has been forgotten ends it, and then the password before still holds. One that was live and is not any more has taken
// effect all the same: this device remembers it, and the user is told what happened to it since.

// errStored ends a registration before it is made live, so that this is done in one place, after a crash or not.
var errStored = errors.New("the registration is stored")

// store takes steps 1 and 2. With next the key is the next one of a change of the key, and next makes it durable.
func (d *Device) store(ctx context.Context, key *Key, pass string, o PasswordOptions, next func() error) error {
	client, s, err := d.client()
	if err != nil {
		return err
	}
	if err := judge(pass, s, o); err != nil {
		return err
	}
	descriptor, err := s.descriptor()
	if err != nil {
		return err
	}
	check, err := d.newCheck(s, pass)
	if err != nil {
		return err
	}
	manage := s.manageHash(descriptor, key)
	raw := rawKey(key)
	defer clear(raw[:])
	stored := false
	_, _, err = client.Register(ctx, &raw, pass, recovery.RegisterOptions{BeforeConfirm: func(id wire.RegistrationID) error {
		p := &pending{registration{ID(id), manage, check}, next != nil}
		if err := d.updateVault(func(s *vaultState) { s.Pending = p }); err != nil {
			return err
		}
		if next != nil {
			if err := next(); err != nil {
				return err
			}
		}
		stored = true
		return errStored
	}})
	if stored {
		return nil
	}
	return err
}

// settle finishes what a crash interrupted: a change of the key, the setting of a password. The caller holds the lock.
func (d *Device) settle(ctx context.Context, c Config, acceptOlder bool) error {
	if err := d.finishKeyChange(ctx, c, acceptOlder); err != nil {
		return err
	}
	s, err := d.vault()
	if errors.Is(err, ErrNotLoggedIn) || err == nil && s.Pending == nil {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := d.confirm(ctx, c); err != nil {
		return vaultError{err}
	}
	if d.o.OnPasswordSet != nil {
		d.o.OnPasswordSet()
	}
	return nil
}

// confirm takes steps 3 and 4 of what is pending.
func (d *Device) confirm(ctx context.Context, c Config) (PasswordSet, error) {
	client, s, err := d.client()
	if err != nil {
		return PasswordSet{}, err
	}
	key, err := d.o.Keys.Load(pendingKeyName(c, s.Pending))
	if errors.Is(err, ErrNoKey) { // a crash came before the next key was saved, so it was promised to nobody
		return PasswordSet{}, d.notTaken(c, s.Pending, errors.New("it had been interrupted"))
	} else if err != nil {
		return PasswordSet{}, err
	}
	defer key.Wipe()
	raw := rawKey(&key)
	defer clear(raw[:])
	done, ended := client.Confirm(ctx, wire.RegistrationID(s.Pending.ID), &raw, nil)
	if refusedForGood(ended) {
		return PasswordSet{}, d.notTaken(c, s.Pending, ended)
	} else if ended != nil && !wasLive(ended) {
		return PasswordSet{}, ended
	}
	if err := d.updateVault(func(s *vaultState) {
		s.Former = s.Former || s.Pending.NextKey
		s.Registration, s.Told = &s.Pending.registration, Freshness{}
		s.Pending = nil
	}); err != nil {
		return PasswordSet{}, err
	}
	return PasswordSet{int(done.Replaced), time.Duration(done.RetainedMs) * time.Millisecond}, ended
}

func pendingKeyName(c Config, p *pending) string {
	if p.NextKey {
		return nextKeyName(c)
	}
	return keyName(c)
}

// refusedForGood reports whether a pending registration is not live and never will be. ErrNotPrimary does not say so: it may have been
// made live before this device became a companion.
func refusedForGood(err error) bool {
	_, tooMany := errors.AsType[*recovery.TooMany](err)
	return tooMany || errors.Is(err, recovery.ErrRace) || errors.Is(err, recovery.ErrProof)
}

// wasLive reports whether a pending registration has been made live and is not any more.
func wasLive(err error) bool {
	return errors.Is(err, recovery.ErrReplaced) || errors.Is(err, recovery.ErrDestroyed)
}

// isSettled reports whether nothing is pending any more after an error of settle, so that the caller can go on.
func isSettled(err error) bool { return errors.Is(err, ErrNotTaken) || wasLive(err) }

// notTaken goes back to what was before a registration was stored. The next key goes first: while it is there, a change of the
// key would go on, and leave in the vault a key that opens nothing.
func (d *Device) notTaken(c Config, p *pending, why error) error {
	if p.NextKey {
		if err := d.o.Keys.Delete(nextKeyName(c)); err != nil {
			return err
		}
	}
	if err := d.updateVault(func(s *vaultState) { s.Pending = nil }); err != nil {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrNotTaken, why)
}
