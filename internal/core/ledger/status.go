// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/coffer-backup/coffer/wire"
)

// Status tells what a status request may know at now. The account stays as it is: what
// is due by now is shown as done.
func Status(now wire.UnixMs, a *Account) *wire.StatusAnswer {
	due := a.clone()
	due.expire(now)
	answer := &wire.StatusAnswer{
		Now: now, Serial: a.Serial, LastGuessAt: a.LastGuessAt,
		Registrations: make([]wire.RegistrationStatus, len(due.Registrations)),
	}
	for i := range due.Registrations {
		answer.Registrations[i] = due.Registrations[i].status(now)
	}
	return answer
}

func (r *Registration) status(now wire.UnixMs) wire.RegistrationStatus {
	s := wire.RegistrationStatus{
		ID: r.ID, State: r.State, Budget: r.Budget, GuessesLeft: r.GuessesLeft,
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, Freshness: r.Freshness,
	}
	if r.LockedUntil > now {
		s.LockedUntil = r.LockedUntil
	}
	if r.exhausted() {
		s.State, s.ExpiresAt = wire.StateExhausted, r.deadline()
	}
	return s
}

// clone returns a copy that Apply can change. Lists of freshness are shared, as no operation writes into one.
func (a *Account) clone() *Account {
	c := *a
	c.Registrations = slices.Clone(a.Registrations)
	return &c
}
