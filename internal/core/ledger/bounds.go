// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"slices"

	"github.com/coffer-backup/coffer/wire"
)

var errBounds = errors.New("ledger: an account beyond its bounds")

// check reports whether an account is one that Apply can leave behind: Decode
// refuses every other, so that no rule meets two live registrations.
func (a *Account) check() error {
	var pending, live, guessable, destroyed int
	for i := range a.Registrations {
		r := &a.Registrations[i]
		switch {
		case !r.sound(), slices.ContainsFunc(a.Registrations[:i], func(o Registration) bool { return o.ID == r.ID }):
			return errBounds
		case r.State == wire.StatePending:
			pending++
		case r.State == wire.StateDestroyed:
			destroyed++
		default:
			guessable++
		}
		if r.State == wire.StateLive {
			live++
		}
	}
	if pending > 1 || live > 1 || guessable > maxGuessable || destroyed > maxTombstones {
		return errBounds
	}
	return a.checkUnregistered()
}

func (a *Account) checkUnregistered() error {
	if len(a.Unregistered) > wire.MaxFreshness {
		return errBounds
	}
	for i, u := range a.Unregistered {
		if slices.ContainsFunc(a.Unregistered[:i], func(o Unregistered) bool {
			return o.Manage == u.Manage && o.Freshness.Archive == u.Freshness.Archive
		}) {
			return errBounds
		}
	}
	return nil
}

// sound reports whether a registration's fields fit its state.
func (r *Registration) sound() bool {
	fits := r.GuessesLeft <= r.Budget && r.CooldownMs <= maxCooldownMs && len(r.Freshness) <= wire.MaxFreshness &&
		(r.ProvableUntil == 0 || r.exhausted())
	switch r.State {
	case wire.StatePending:
		return fits && r.GuessesLeft > 0 && r.LockedUntil == 0 && len(r.Freshness) == 0
	case wire.StateLive:
		return fits && r.Budget > 0 && r.ExpiresAt == 0
	case wire.StateRetained:
		return fits && r.Budget > 0
	case wire.StateDestroyed:
		return fits && r.LockedUntil == 0
	}
	return false
}
