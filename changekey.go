// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
)

// A change of the key has three steps, and the next one who comes finishes it after a crash
// between any two:
//
//  1. the next key is saved on this device
//  2. the archive is changed to the next key
//  3. the next key takes the place of the key
//
// It goes forward, never back: the user has been shown the next key.

// The name of a key begins with the device's id, which is new for every set-up, so no key ever replaces another archive's.
func keyName(c Config) string     { return c.Device.String() }
func nextKeyName(c Config) string { return c.Device.String() + "-next" }

// PendingKey returns the next key of a change that was interrupted, and says where it is kept. It changes nothing.
//
// Errors: ErrNotEnabled, ErrNoKey if no change is pending, those of the KeyStore.
func (d *Device) PendingKey() (next Key, where string, err error) {
	c, err := d.Config()
	if err != nil {
		return Key{}, "", err
	}
	next, err = d.o.Keys.Load(nextKeyName(c))
	return next, d.o.Keys.Where(nextKeyName(c)), err
}

// Key returns this device's copy of the key, and says where it is kept. It
// first finishes a change of the key that a crash interrupted, which needs the destination.
//
// Errors: ErrNotEnabled, ErrNoKey, those of the KeyStore, and of ChangeKey if there is one to finish.
func (d *Device) Key(ctx context.Context) (key Key, where string, err error) {
	c, err := d.Config()
	if err != nil {
		return Key{}, "", err
	}
	if next, err := d.o.Keys.Load(nextKeyName(c)); err == nil {
		next.Wipe()
		err := d.Exclusive("key change", func() error { return d.finishKeyChange(ctx, c, false) })
		if err != nil && !isSettled(err) {
			return Key{}, "", err
		}
	}
	key, err = d.o.Keys.Load(keyName(c))
	return key, d.o.Keys.Where(keyName(c)), err
}

// ChangeKey makes next the key of the archive. Everything that is written from now on is
// encrypted under new keys; nothing is uploaded again. What was written before stays
// readable with the old key for whoever has that key and kept a copy of the destination.
//
// The user must have a durable copy of next before: from some point on an interrupted change goes forward
// only. A change that is pending already is finished first; if it is one to next, that is all.
//
// Errors: ErrNotEnabled, ErrBusy, ErrNoKey, ErrHasPassword, those of archive.Open and of the destination.
// After an error the change is pending if PendingKey has next; if not, nothing has happened.
func (d *Device) ChangeKey(ctx context.Context, next Key) error {
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
	if have, err := d.o.Keys.Load(keyName(c)); err == nil && have == next {
		have.Wipe()
		return nil
	}
	if err := d.mayChangeAlone(ctx, c); err != nil {
		return err
	}
	if err := d.answers(ctx, c); err != nil {
		return err
	}
	if err := d.o.Keys.Save(nextKeyName(c), next); err != nil {
		return err
	}
	return d.goOnWithKeyChange(ctx, c, false)
}

// mayChangeAlone refuses a change of the key that would leave in the vault, under the password, a key that opens nothing.
func (d *Device) mayChangeAlone(ctx context.Context, c Config) error {
	s, err := d.vault()
	if err == nil && s.Registration == nil && !s.LoggedOut {
		if err := d.relearn(ctx, c); err != nil {
			return err
		}
		s, err = d.vault()
	}
	if err == nil && d.hasPassword(s) {
		err = fmt.Errorf("%w: the next key needs the password, too", ErrHasPassword)
	}
	return ifLoggedIn(err)
}

// answers opens the archive once: nothing is promised to the user before the destination has been seen to answer.
func (d *Device) answers(ctx context.Context, c Config) error {
	a, err := d.open(ctx, c, false)
	if err != nil {
		return err
	}
	a.Close()
	return nil
}

// finishKeyChange finishes a change of the key that was interrupted, if there is one. The caller holds the lock.
func (d *Device) finishKeyChange(ctx context.Context, c Config, acceptOlder bool) error {
	err := d.goOnWithKeyChange(ctx, c, acceptOlder)
	if errors.Is(err, errNoneNext) {
		return nil
	}
	if (err == nil || wasLive(err)) && d.o.OnKeyChanged != nil {
		d.o.OnKeyChanged()
	}
	return err
}

var errNoneNext = errors.New("no change of the key is pending")

// goOnWithKeyChange goes on with a change of the key from wherever it stands.
func (d *Device) goOnWithKeyChange(ctx context.Context, c Config, acceptOlder bool) error {
	next, err := d.o.Keys.Load(nextKeyName(c))
	if errors.Is(err, ErrNoKey) {
		return errNoneNext
	} else if err != nil {
		return err
	}
	defer next.Wipe()
	ended := d.registerNext(ctx, c)
	if ended != nil && !wasLive(ended) {
		return vaultError{ended}
	}
	a, err := d.open(ctx, c, acceptOlder)
	if err != nil {
		return err
	}
	defer a.Close()
	// Also where the archive opens with the next key already: the old one may not have been shut out yet.
	if err := a.ChangeKey(ctx, next); err != nil {
		return err
	}
	if err := d.deleteFormer(ctx, c); err != nil {
		return vaultError{err}
	}
	if err := d.o.Keys.Save(keyName(c), next); err != nil {
		return err
	}
	if err := d.o.Keys.Delete(nextKeyName(c)); err != nil {
		return err
	}
	return ended
}
