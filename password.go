// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/internal/password"
	"github.com/coffer-backup/coffer/recovery"
)

// PasswordOptions are what the setting of a password may be told.
type PasswordOptions struct {
	AllowWeak bool // the user insists on a weak password
}

// PasswordSet says what became of the registrations before.
type PasswordSet struct {
	Replaced     int           // those of the same key: their passwords have stopped working
	PreviousKept time.Duration // how long one of another key stays recoverable, see RecoverOptions; 0: there is none
}

// JudgePassword says how easily a password is guessed by somebody who knows some things about the user: names, addresses.
//
// Errors: ErrWeakPassword, recovery.ErrPassword.
func JudgePassword(pass string, known ...string) error {
	prepared, err := password.Prepare(pass)
	if err != nil {
		return fmt.Errorf("%w: %w", recovery.ErrPassword, err)
	}
	defer clear(prepared)
	if estimate := password.Judge(prepared, known...); !estimate.OK() {
		return fmt.Errorf("%w. %s", ErrWeakPassword, estimate.Explain())
	}
	return nil
}

func judge(pass string, s *vaultState, o PasswordOptions) error {
	err := JudgePassword(pass, s.Account, "coffer")
	if o.AllowWeak && errors.Is(err, ErrWeakPassword) {
		return nil
	}
	return err
}

// SetPassword puts the key of this device into the vault under a password. The key and the archive stay as they are,
// and a password that was set before stops working at once.
//
// After an error that is not one of these the setting may be pending: the next call or backup finishes it or finds that
// it has not taken effect.
//
// Errors: ErrNotEnabled, ErrNotLoggedIn, ErrBusy, ErrNoKey, ErrWeakPassword, ErrNotTaken, those of recovery.Client.Register;
// recovery.ErrReplaced and recovery.ErrDestroyed if the password was set and has lost its registration since.
func (d *Device) SetPassword(ctx context.Context, pass string, o PasswordOptions) (PasswordSet, error) {
	unlock, err := d.lock("password")
	if err != nil {
		return PasswordSet{}, err
	}
	defer unlock()
	c, err := d.Config()
	if err != nil {
		return PasswordSet{}, err
	}
	return d.setPassword(ctx, c, pass, o)
}

func (d *Device) setPassword(ctx context.Context, c Config, pass string, o PasswordOptions) (PasswordSet, error) {
	if err := d.settle(ctx, c, false); err != nil && !isSettled(err) {
		return PasswordSet{}, err
	}
	key, err := d.o.Keys.Load(keyName(c))
	if err != nil {
		return PasswordSet{}, err
	}
	defer key.Wipe()
	if err := d.store(ctx, &key, pass, o, nil); err != nil {
		return PasswordSet{}, err
	}
	return d.confirm(ctx, c)
}

// ChangePassword sets another password in place of the one that was set on this device. The old one is tested against
// what this device remembers, if it does and old is not empty: the proof towards the vault is the key.
//
// Errors: ErrOtherPassword, recovery.ErrNoRegistration if none was set on this device, and those of SetPassword.
func (d *Device) ChangePassword(ctx context.Context, old, pass string, o PasswordOptions) (PasswordSet, error) {
	s, err := d.vault()
	if err != nil {
		return PasswordSet{}, err
	}
	if s.Registration == nil && s.Pending == nil {
		return PasswordSet{}, fmt.Errorf("%w (no password was set on this device)", recovery.ErrNoRegistration)
	}
	if old != "" {
		if err := d.CheckPassword(old); err != nil && !errors.Is(err, ErrNoCheck) {
			return PasswordSet{}, err
		}
	}
	return d.SetPassword(ctx, pass, o)
}

// CheckPassword tests whether the user still knows the password that was set on this device. It asks nobody and uses no guess.
//
// Errors: ErrOtherPassword, ErrNoCheck, ErrNotLoggedIn, those of the KeyStore.
func (d *Device) CheckPassword(pass string) error {
	s, err := d.vault()
	if err != nil {
		return err
	}
	if s.Registration == nil || s.Registration.Check == nil {
		return ErrNoCheck
	}
	record, err := d.unseal(s, sealedCheck, s.Registration.Check)
	if err != nil {
		return err
	}
	defer clear(record)
	if !recovery.VerifyCheck(record, pass) {
		return ErrOtherPassword
	}
	return nil
}

// newCheck makes what CheckPassword tests against.
func (d *Device) newCheck(s *vaultState, pass string) ([]byte, error) {
	record, err := recovery.NewCheck(pass)
	if err != nil {
		return nil, err
	}
	defer clear(record)
	return d.seal(s, sealedCheck, record)
}
