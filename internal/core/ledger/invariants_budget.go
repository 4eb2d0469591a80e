// SPDX-License-Identifier: Apache-2.0

package ledger

import "github.com/coffer-backup/coffer/wire"

// checkSerial: a serial counts each new guess once, and nothing else.
func (s *step) checkSerial() error {
	want, guess := s.before.Serial, s.before.LastGuess
	if c := s.outcome.Charged; c != nil && !c.repeated { // a repeated one is the last, and stays so
		want++
		guess = Guess{ID: c.registration, Element: c.element}
	}
	if s.after.Serial != want || s.after.LastGuess != guess {
		return broken(ErrBudget, "serial %d became %d, or the last guess another", s.before.Serial, s.after.Serial)
	}
	return nil
}

// checkGuesses: a new guess is charged to all that could be guessed, a proof refills one, and everything else is free and refills none.
func (s *step) checkGuesses() error {
	for i := range s.after.Registrations {
		r := &s.after.Registrations[i]
		old := s.before.find(r.ID)
		if old == nil || r.State == wire.StateDestroyed {
			continue
		}
		if err := s.checkGuessesOf(old, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *step) checkGuessesOf(old, r *Registration) error {
	guessed := s.outcome.Charged != nil && !s.outcome.Charged.repeated
	confirmed := old.State == wire.StateLive || old.State == wire.StateRetained
	switch {
	case r.Budget > old.Budget || r.GuessesLeft > r.Budget:
		return broken(ErrBudget, "the budget of %v grew", r.ID)
	case guessed && confirmed:
		return s.checkCharged(old, r)
	case s.outcome.Proved != nil && r.ID == s.before.LastGuess.ID:
		return s.checkRefilled(r)
	case r.GuessesLeft > old.GuessesLeft:
		return broken(ErrBudget, "%v was refilled without proof", r.ID)
	case r.GuessesLeft < old.GuessesLeft || r.LockedUntil != old.LockedUntil || r.ProvableUntil != old.ProvableUntil:
		return broken(ErrBudget, "%v was charged without a guess", r.ID)
	}
	return nil
}

// checkCharged: one guess less at all that had one and were not locked, the guessed one among them; the others stay as they are.
func (s *step) checkCharged(old, r *Registration) error {
	target := r.ID == s.outcome.Charged.registration
	idle := old.GuessesLeft == 0 || s.now < old.LockedUntil
	same := r.Budget == old.Budget && r.GuessesLeft == old.GuessesLeft &&
		r.LockedUntil == old.LockedUntil && r.ProvableUntil == old.ProvableUntil
	switch {
	case target && idle:
		return broken(ErrBudget, "%v was evaluated while locked or exhausted", r.ID)
	case idle && same:
		return nil
	case idle:
		return broken(ErrBudget, "%v was charged while locked or exhausted", r.ID)
	case r.GuessesLeft >= old.GuessesLeft:
		return broken(ErrBudget, "a guess was not charged to %v", r.ID)
	case old.GuessesLeft > r.GuessesLeft+1 && r.Budget == old.Budget:
		return broken(ErrBudget, "a guess was charged to %v more than once", r.ID)
	case r.LockedUntil < s.lock(r):
		return broken(ErrBudget, "%v has too short a cooldown", r.ID)
	}
	return nil
}

// lock returns until when at least a registration is locked after a guess at now, by the design's rule.
func (s *step) lock(r *Registration) wire.UnixMs {
	const freeGuesses, weekMs = 3, 7 * 24 * 3600_000
	if r.Budget-r.GuessesLeft <= freeGuesses {
		return 0
	}
	wait := min(max(s.p.CooldownMs, r.CooldownMs), weekMs)
	for range r.Budget - r.GuessesLeft - freeGuesses - 1 {
		wait = min(wait*4, weekMs)
	}
	return max(s.now, s.now+wire.UnixMs(wait)) // at the end of time the sum runs over
}

// checkRefilled: only the proof of the last guess refills, and no further than the policy allows.
func (s *step) checkRefilled(r *Registration) error {
	op, ok := s.op.(*Prove)
	if !ok || op.ID != r.ID || op.Serial != s.before.Serial || s.before.Serial == 0 || r.GuessesLeft > s.p.Budget {
		return broken(ErrBudget, "%v was refilled by a proof that is not its last guess's", r.ID)
	}
	return nil
}
