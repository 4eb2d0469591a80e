// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/subtle"

	"github.com/coffer-backup/coffer/wire"
)

// register stores a pending registration. Each ticket is good for one: a
// replayed RegisterFinish meets either its own registration or a later
// Tickets, and so brings back nothing that was deleted or destroyed (INV-DESTROYED).
func (a *Account) register(p *wire.Policy, now wire.UnixMs, op *Register) Outcome {
	if r := a.find(op.ID); r != nil {
		if (r.State == wire.StatePending || r.State == wire.StateLive) && r.storedBy(op) {
			return registered(now, r)
		}
		return refuse(wire.CodeTicket)
	}
	if op.Ticket != a.Tickets {
		return refuse(wire.CodeTicket)
	}
	a.Tickets++
	a.remove(func(r *Registration) bool { return r.State == wire.StatePending })
	a.Registrations = append(a.Registrations, newRegistration(p, now, op))
	return registered(now, &a.Registrations[len(a.Registrations)-1])
}

func registered(now wire.UnixMs, r *Registration) Outcome {
	return Outcome{Registered: &wire.RegisterFinished{ConfirmWithinMs: until(now, r.ExpiresAt)}}
}

func newRegistration(p *wire.Policy, now wire.UnixMs, op *Register) Registration {
	return Registration{
		ID: op.ID, State: wire.StatePending,
		Budget: p.Budget, GuessesLeft: p.Budget, CooldownMs: min(p.CooldownMs, maxCooldownMs), GraceMs: p.GraceMs,
		CreatedAt: now, ExpiresAt: later(now, p.PendingMs),
		Generation: op.Generation, OPRFKey: op.OPRFKey, Record: op.Record, SealedKey: op.SealedKey,
		Manage: op.Manage, KSF: op.KSF,
	}
}

// storedBy reports whether op is what stored r. A ticket used for another record must not look as if that were stored.
func (r *Registration) storedBy(op *Register) bool {
	return subtle.ConstantTimeCompare(r.Record[:], op.Record[:]) == 1 &&
		subtle.ConstantTimeCompare(r.SealedKey[:], op.SealedKey[:]) == 1 &&
		r.Manage.Equal(op.Manage) && r.KSF == op.KSF
}

// confirm makes a pending registration live. It never refills a budget: an operator could
// otherwise drop the answer, spend the guesses, and let the client's retry refill them.
func (a *Account) confirm(now wire.UnixMs, op *Confirm) Outcome {
	r, refusal := a.lookup(op.ID)
	switch {
	case refusal != nil:
		return Outcome{Refusal: refusal}
	case !r.Manage.Equal(op.Manage):
		return refuse(wire.CodeProof)
	case r.State == wire.StateLive: // confirmed before
		return Outcome{Confirmed: &wire.RegisterConfirmed{RetainedMs: a.retainedMs(now)}}
	case r.State == wire.StateRetained: // confirmed before, and replaced or deleted since: a replay must not undo that
		return refuse(wire.CodeReplaced)
	}
	return a.makeLive(now, op)
}

// retainedMs is how long anything is retained yet.
func (a *Account) retainedMs(now wire.UnixMs) (ms uint64) {
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.State == wire.StateRetained {
			ms = max(ms, until(now, r.deadline()))
		}
	}
	return ms
}

// makeLive settles what becomes of the others (INV-PROOF): who holds the K of one, or the K that
// this one replaces, ends it; all others stay recoverable.
func (a *Account) makeLive(now wire.UnixMs, op *Confirm) Outcome {
	proved := func(r *Registration) bool {
		return r.guessable() && (r.Manage.Equal(op.Manage) || op.Replaces != nil && r.Manage.Equal(*op.Replaces))
	}
	if refusal := a.tooMany(now, proved); refusal != nil {
		return Outcome{Refusal: refusal}
	}
	answer := &wire.RegisterConfirmed{}
	var inherited []wire.Freshness
	for i := range a.Registrations {
		switch r := &a.Registrations[i]; {
		case proved(r):
			answer.Replaced++
			inherited = merge(inherited, r.Freshness)
		case r.State == wire.StateLive:
			answer.RetainedMs = r.retain(now)
		}
	}
	inherited = merge(inherited, a.takeUnregistered(op))
	a.remove(proved)
	r := a.find(op.ID)
	r.State, r.ExpiresAt, r.Freshness = wire.StateLive, 0, inherited
	return Outcome{Confirmed: answer}
}

// tooMany refuses a registration beside which too many others would have to be retained: none
// is displaced without proof, not even the oldest.
func (a *Account) tooMany(now wire.UnixMs, proved func(*Registration) bool) *wire.Error {
	kept, earliest := 0, never
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.guessable() && !proved(r) {
			kept++
			earliest = min(earliest, r.deadline())
		}
	}
	if kept <= maxRetained {
		return nil
	}
	return &wire.Error{Code: wire.CodeTooMany, RetryAfterMs: until(now, earliest)}
}

// retain keeps a live registration for its grace period, and tells for how long. One
// without guesses keeps its earlier deadline.
func (r *Registration) retain(now wire.UnixMs) (ms uint64) {
	r.State, r.ExpiresAt = wire.StateRetained, later(now, r.GraceMs)
	return until(now, r.deadline())
}

// merge returns what two registrations knew of archives, of each the newest generation. What the later one knew counts as told later.
func merge(earlier, later []wire.Freshness) []wire.Freshness {
	merged := earlier
	for _, f := range later {
		if i := indexOf(merged, f.Archive); i >= 0 && merged[i].Generation > f.Generation {
			f = merged[i]
		}
		merged = remember(merged, f)
	}
	return merged
}
