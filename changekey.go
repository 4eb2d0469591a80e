// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A change of the key has three steps, and the next one who comes finishes it after a crash
// between any two:
//
//  1. the next key is saved on this device
//  2. the archive is changed to the next key
//  3. the next key takes the place of the key
//
// Of several destinations one is changed first, which this device remembers; the others are then brought to its state, keyring included. Step 3 comes
// when all of them have it; until then this device keeps both keys, and backups go on.
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
	if err := d.answers(ctx, &c); err != nil {
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

// answers opens the archive once at each destination: nothing is promised to the user before all of them have been seen to answer. It also decides
// at which of several the key is changed first.
func (d *Device) answers(ctx context.Context, c *Config) error {
	ps, err := d.openPlaces(ctx, *c, false)
	if err != nil {
		return err
	}
	defer ps.close()
	main := ps.newest(true)
	if main == nil {
		return ps.failure()
	}
	for _, p := range ps.list {
		if p.openThrough(ctx, ps, main); p.err != nil {
			return fmt.Errorf("%s: %w", p.text, p.err)
		}
	}
	if len(ps.list) == 1 {
		return nil
	}
	c.KeyChangeAt = main.text
	return d.saveConfig(*c)
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
	if err := d.changeEverywhere(ctx, c, next, acceptOlder); err != nil {
		return err
	}
	if err := d.deleteFormer(ctx, c); err != nil {
		return vaultError{err}
	}
	d.forgetTold(ctx, c)
	if err := d.o.Keys.Save(keyName(c), next); err != nil {
		return err
	}
	if c.KeyChangeAt != "" {
		c.KeyChangeAt = ""
		if err := d.saveConfig(c); err != nil {
			return err
		}
	}
	if err := d.o.Keys.Delete(nextKeyName(c)); err != nil {
		return err
	}
	return ended
}

// An unreached error is that of a change of the key which only waits for a destination.
type unreached struct{ error }

func (e unreached) Unwrap() error { return e.error }

// changeEverywhere changes the archive to the next key at one destination, and brings the others to its state.
func (d *Device) changeEverywhere(ctx context.Context, c Config, next Key, acceptOlder bool) error {
	ps, err := d.openPlaces(ctx, c, acceptOlder)
	if err != nil {
		return err
	}
	defer ps.close()
	main := ps.newest(false)
	if i := slices.IndexFunc(ps.list, func(p *place) bool { return p.text == c.KeyChangeAt }); i >= 0 {
		main = ps.list[i]
	}
	if main == nil || main.archive == nil {
		err := ps.failure()
		if main != nil && len(ps.list) > 1 {
			err = fmt.Errorf("%s, where it is changed first: %w", main.text, main.err)
		}
		return waiting(ctx, ps, err)
	}
	if err := ps.lead(ctx, main, nil); err != nil {
		return waiting(ctx, ps, err)
	}
	// Also where the archive opens with the next key already: the old one may not have been shut out yet.
	if err := main.archive.ChangeKey(ctx, next); err != nil {
		return waiting(ctx, ps, err)
	}
	ps.follow(ctx, main, false, nil)
	for _, at := range ps.outcomes() {
		if at.Outcome != OutcomeOK {
			return waiting(ctx, ps, ps.failure())
		}
	}
	return nil
}

// waiting marks an error after which backups may go on at other destinations.
func waiting(ctx context.Context, ps *places, err error) error {
	if len(ps.list) > 1 && ofDestination(ctx, err) {
		return unreached{err}
	}
	return err
}
