// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/wire"
)

// The invariants that CheckStep and History find broken. docs/ARCHITECTURE.md tells what they are for.
var (
	ErrBudget    = errors.New("INV-BUDGET is broken")
	ErrCommit    = errors.New("INV-COMMIT is broken")
	ErrDestroyed = errors.New("INV-DESTROYED is broken")
	ErrPending   = errors.New("INV-PENDING is broken")
	ErrProof     = errors.New("INV-PROOF is broken")
)

func broken(invariant error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", invariant, fmt.Sprintf(format, args...))
}

// step is one Apply, looked at from outside. Its checks share no rule with Apply, only
// the types: a rule that is wrong there must not be wrong here in the same way.
type step struct {
	p             *wire.Policy
	now           wire.UnixMs
	before, after *Account
	op            Op
	outcome       Outcome
}

// CheckStep reports which invariant an Apply broke that made after out of before, or nil.
// Before must be a copy from before it. Errors name the invariant and no secret.
func CheckStep(p *wire.Policy, now wire.UnixMs, before, after *Account, op Op, outcome Outcome) error {
	s := &step{p, now, before, after, op, outcome}
	for _, check := range []func() error{
		s.checkEvaluation, s.checkOrigins, s.checkDestroyed, s.checkPending, s.checkProof, s.checkSerial, s.checkGuesses,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return s.after.check()
}

// checkEvaluation: what may be evaluated is committed in the account, of a registration that may be guessed at.
func (s *step) checkEvaluation() error {
	c := s.outcome.Charged
	if c == nil {
		return nil
	}
	op, ok := s.op.(*Charge)
	if !ok || c.registration != op.ID || c.serial != op.Serial || c.element != op.Element {
		return broken(ErrCommit, "an evaluation of something else than the guess")
	}
	last := s.after.LastGuess
	if s.after.Serial != op.Serial || last.ID != op.ID || last.Element != op.Element {
		return broken(ErrCommit, "the account does not remember the guess %d", op.Serial)
	}
	r := s.before.find(op.ID)
	switch {
	case r == nil:
		return broken(ErrPending, "%v is evaluated and is not there", op.ID)
	case r.State == wire.StateDestroyed, r.GuessesLeft == 0 && s.now >= r.ProvableUntil:
		return broken(ErrDestroyed, "%v is evaluated", op.ID)
	case r.State != wire.StateLive && r.State != wire.StateRetained:
		return broken(ErrPending, "%v is evaluated and is %v", op.ID, r.State)
	case c.oprfKey != r.OPRFKey || c.record != r.Record:
		return broken(ErrCommit, "%v is evaluated with foreign keys", op.ID)
	}
	return nil
}

// checkOrigins: only a fresh ticket brings a registration into being, and it is pending then.
func (s *step) checkOrigins() error {
	tickets := s.before.Tickets
	for i := range s.after.Registrations {
		r := &s.after.Registrations[i]
		if s.before.find(r.ID) != nil {
			continue
		}
		op, ok := s.op.(*Register)
		if !ok || r.ID != op.ID || op.Ticket != tickets || r.State != wire.StatePending {
			return broken(ErrDestroyed, "%v came from nowhere", r.ID)
		}
		tickets++
	}
	if s.after.Tickets != tickets {
		return broken(ErrDestroyed, "tickets went from %d to %d", s.before.Tickets, s.after.Tickets)
	}
	return nil
}

// checkDestroyed: what is destroyed has no secret and is nothing else ever after; what was to be destroyed by now is.
func (s *step) checkDestroyed() error {
	for i := range s.before.Registrations {
		r := &s.before.Registrations[i]
		next := s.after.find(r.ID)
		if r.State == wire.StateDestroyed && next != nil && next.State != wire.StateDestroyed {
			return broken(ErrDestroyed, "%v is %v again", r.ID, next.State)
		}
		due := r.State != wire.StatePending && r.State != wire.StateDestroyed && r.GuessesLeft == 0 && s.now >= r.ProvableUntil
		if due && next != nil && next.State != wire.StateDestroyed {
			return broken(ErrDestroyed, "%v outlived its destruction", r.ID)
		}
	}
	for i := range s.after.Registrations {
		r := &s.after.Registrations[i]
		if r.State == wire.StateDestroyed && (r.OPRFKey != [32]byte{} || r.Record != [wire.RecordSize]byte{} ||
			r.SealedKey != [wire.SealedKeySize]byte{} || r.Manage != wire.ManageHash{} || len(r.Freshness) > 0) {
			return broken(ErrDestroyed, "%v has secrets left", r.ID)
		}
	}
	return nil
}

// checkPending: only its own confirmation makes a registration live, and only with its manage secret.
func (s *step) checkPending() error {
	for i := range s.after.Registrations {
		r := &s.after.Registrations[i]
		old := s.before.find(r.ID)
		if old == nil || old.State == r.State || r.State != wire.StateLive {
			continue
		}
		op, ok := s.op.(*Confirm)
		if !ok || old.State != wire.StatePending || op.ID != r.ID || op.Manage != old.Manage || s.outcome.Confirmed == nil {
			return broken(ErrPending, "%v became live without its confirmation", r.ID)
		}
		if s.now >= old.ExpiresAt {
			return broken(ErrPending, "%v was confirmed too late", r.ID)
		}
	}
	return nil
}

// checkProof: a registration that can be guessed stays so, and stays the same, but for proof, time and its last guess.
func (s *step) checkProof() error {
	for i := range s.before.Registrations {
		r := &s.before.Registrations[i]
		if r.State != wire.StateLive && r.State != wire.StateRetained || s.mayEnd(r) {
			continue
		}
		next := s.after.find(r.ID)
		if next == nil || next.State != wire.StateLive && next.State != wire.StateRetained {
			return broken(ErrProof, "%v was ended without proof", r.ID)
		}
		if next.OPRFKey != r.OPRFKey || next.Record != r.Record || next.SealedKey != r.SealedKey ||
			next.Manage != r.Manage || next.KSF != r.KSF || next.Generation != r.Generation || next.GraceMs != r.GraceMs {
			return broken(ErrProof, "%v was exchanged", r.ID)
		}
		if err := s.checkRetention(r, next); err != nil {
			return err
		}
	}
	return nil
}

// mayEnd lists the ways in which a registration may end in one step.
func (s *step) mayEnd(r *Registration) bool {
	if r.State == wire.StateRetained && s.now >= r.ExpiresAt || r.GuessesLeft == 0 && s.now >= r.ProvableUntil {
		return true
	}
	switch op := s.op.(type) {
	case *Charge: // the next attempt after the last guess
		return r.ID == op.ID && r.GuessesLeft == 0 && op.Serial == s.before.Serial+1
	case *Delete:
		return r.ID == op.ID && op.Proof != nil && *op.Proof == r.Manage
	case *Confirm:
		return s.outcome.Confirmed != nil && r.ID != op.ID &&
			(r.Manage == op.Manage || op.Replaces != nil && r.Manage == *op.Replaces)
	}
	return false
}

// checkRetention: nothing shortens a grace period.
func (s *step) checkRetention(r, next *Registration) error {
	if r.State == wire.StateRetained {
		if next.State != wire.StateRetained || next.ExpiresAt < r.ExpiresAt {
			return broken(ErrProof, "%v lost its grace period", r.ID)
		}
		return nil
	}
	if next.State == wire.StateLive {
		return nil
	}
	confirm, confirmed := s.op.(*Confirm)
	remove, removed := s.op.(*Delete)
	if !(confirmed && confirm.ID != r.ID && s.outcome.Confirmed != nil || removed && remove.ID == r.ID) {
		return broken(ErrProof, "%v was retained without a reason", r.ID)
	}
	if next.ExpiresAt < s.now || uint64(next.ExpiresAt-s.now) < r.GraceMs {
		return broken(ErrProof, "%v has too short a grace period", r.ID)
	}
	return nil
}
