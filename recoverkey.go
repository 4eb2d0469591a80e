// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// RecoverOptions say which key is asked for.
type RecoverOptions struct {
	// Previous asks for the key that the one in the vault now has displaced without proof, as when an app was installed anew and set up without a restore.
	// The vault forgets that key when its grace period ends. Who goes on with it, see Adopt, calls SetPassword then, with the same password.
	Previous bool
}

// Recovery is what a right password brings back.
type Recovery struct {
	Key          Key
	Registration ID
	GuessesLeft  int // refilled
	Freshness    []Freshness
}

// RecoverKey gets the key back from the vault with the password, on a device that is logged in and need not be set up. What the vault knows of
// archives is remembered: OpenAt and Adopt then refuse an older state of them.
//
// Errors: ErrNotLoggedIn and those of recovery.Client.Recover as they are. After a *recovery.MaybeCounted the same password, given to the
// same Device, is the same guess and free.
func (d *Device) RecoverKey(ctx context.Context, pass string, o RecoverOptions) (*Recovery, error) {
	client, s, err := d.client()
	if err != nil {
		return nil, err
	}
	id, err := d.choose(ctx, client, o)
	if err != nil {
		return nil, err
	}
	recovered, err := client.Recover(ctx, pass, id)
	// One that was exhausted by a guess without an answer can still be proved, after a slip of the finger, too.
	if _, lost := errors.AsType[*recovery.MaybeCounted](err); lost || errors.Is(err, recovery.ErrExhausted) {
		d.setLostGuess(lostGuess{id, o})
	} else {
		d.setLostGuess(lostGuess{})
	}
	if err != nil {
		return nil, err
	}
	defer clear(recovered.K[:])
	r, err := newRecovery(recovered)
	if err != nil {
		return nil, err
	}
	return r, d.learn(s, r, pass)
}

// choose returns the registration to guess at. Where the last guess was made without an answer, it stays that one: repeating
// it is free even when no guess is left.
func (d *Device) choose(ctx context.Context, client *recovery.Client, o RecoverOptions) (wire.RegistrationID, error) {
	if g := d.lostGuess(); g != (lostGuess{}) && g.asked == o {
		return g.id, nil
	}
	status, err := client.Status(ctx)
	if err != nil {
		return wire.RegistrationID{}, fmt.Errorf("%w. No guess was used", err)
	}
	chosen, err := recovery.Choose(status, o.Previous)
	if err != nil {
		return wire.RegistrationID{}, err
	}
	return chosen.ID, nil
}

func newRecovery(r *recovery.Recovered) (*Recovery, error) {
	digits := make([]byte, hex.EncodedLen(len(r.K)))
	defer clear(digits)
	hex.Encode(digits, r.K[:])
	key, err := ParseKey(string(digits))
	if err != nil {
		return nil, err
	}
	made := &Recovery{Key: key, Registration: ID(r.Registration), GuessesLeft: int(r.GuessesLeft)}
	for _, f := range r.Freshness {
		made.Freshness = append(made.Freshness, Freshness{ID(f.Archive), f.Generation, hex.EncodeToString(f.Digest[:])})
	}
	return made, nil
}

// learn remembers the registration, for whoever sets this device up with its key, and what the vault knows of archives. What
// CheckPassword tests against stays in memory until then: a device that does not keep the key gets nothing to find the password with.
func (d *Device) learn(s *vaultState, r *Recovery, pass string) error {
	descriptor, err := s.descriptor()
	if err != nil {
		return err
	}
	check, err := d.newCheck(s, pass)
	if err != nil {
		return err
	}
	learned := &registration{ID: r.Registration, Manage: s.manageHash(descriptor, &r.Key)}
	d.setProved(registration{ID: r.Registration, Check: check})
	return d.updateVault(func(s *vaultState) { s.Recovered, s.Freshness = learned, r.Freshness })
}
