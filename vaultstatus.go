// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// VaultStatus is what the vault keeps for the account. Times are by the vault's clock.
type VaultStatus struct {
	Login

	// State is that of the registration that RecoverKey would use: "live"; or why there is none: "exhausted", "destroyed", "retained" (see
	// RecoverOptions), "pending", "none". What follows is that registration's.
	State       string     `json:"state"`
	GuessesLeft int        `json:"guesses_left"`
	Budget      int        `json:"budget"`       // guesses that it has after a right one
	LockedUntil *time.Time `json:"locked_until"` // the next guess is allowed then; nil: at once

	LastGuessAt *time.Time `json:"last_guess_at"` // nil: never
	Serial      uint64     `json:"serial"`        // of the last guess; guesses of strangers count, too
	Mine        bool       `json:"mine"`          // the living registration keeps the key of this device
	Unfinished  bool       `json:"unfinished"`    // the setting of a password was interrupted here

	Registrations []RegistrationStatus `json:"registrations"`
}

// RegistrationStatus is one of an account's registrations.
type RegistrationStatus struct {
	ID          ID         `json:"id"`
	State       string     `json:"state"`
	GuessesLeft int        `json:"guesses_left"`
	Budget      int        `json:"budget"`
	Created     time.Time  `json:"created"`
	LockedUntil *time.Time `json:"locked_until"`
	Expires     *time.Time `json:"expires"` // nil: never; of one that was destroyed: when that was
}

// VaultStatus asks the vault. It uses no guess and changes nothing; a companion device may ask, too.
//
// Errors: ErrNotLoggedIn, recovery.ErrLogin, recovery.ErrUnavailable, recovery.ErrFleetChanged.
func (d *Device) VaultStatus(ctx context.Context) (VaultStatus, error) {
	client, s, err := d.client()
	if err != nil {
		return VaultStatus{}, err
	}
	answer, err := client.Status(ctx)
	if err != nil {
		return VaultStatus{}, err
	}
	login, err := d.login(s)
	if err != nil {
		return VaultStatus{}, err
	}
	v := VaultStatus{
		Login: login, State: "none", Serial: uint64(answer.Serial), LastGuessAt: at(answer.LastGuessAt),
		Unfinished: s.Pending != nil, Registrations: []RegistrationStatus{},
	}
	for _, r := range answer.Registrations {
		v.Registrations = append(v.Registrations, statusOf(&r, answer.Now))
	}
	if main := decisive(answer); main != nil {
		of := statusOf(main, answer.Now)
		v.State, v.GuessesLeft, v.Budget, v.LockedUntil = of.State, of.GuessesLeft, of.Budget, of.LockedUntil
		v.Mine = main.State == wire.StateLive && login.HasPassword && s.Registration.ID == of.ID
	}
	return v, nil
}

// decisive returns the registration that the account stands with.
func decisive(answer *wire.StatusAnswer) *wire.RegistrationStatus {
	for _, state := range []wire.State{wire.StateLive, wire.StateExhausted, wire.StateDestroyed, wire.StateRetained, wire.StatePending} {
		var newest *wire.RegistrationStatus
		for i := range answer.Registrations {
			if r := &answer.Registrations[i]; r.State == state && (newest == nil || r.CreatedAt > newest.CreatedAt) {
				newest = r
			}
		}
		if newest != nil {
			return newest
		}
	}
	return nil
}

func statusOf(r *wire.RegistrationStatus, now wire.UnixMs) RegistrationStatus {
	s := RegistrationStatus{
		ID: ID(r.ID), State: r.State.String(), GuessesLeft: int(r.GuessesLeft), Budget: int(r.Budget),
		Created: *at(max(r.CreatedAt, 1)), Expires: at(r.ExpiresAt),
	}
	if r.LockedUntil > now {
		s.LockedUntil = at(r.LockedUntil)
	}
	return s
}

// at returns a time of the vault; nil for 0.
func at(ms wire.UnixMs) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(int64(min(ms, 1<<52))).UTC()
	return &t
}
