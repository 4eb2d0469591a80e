// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/coffer-backup/coffer/wire"
)

// Charged is a guess that is committed, with all that its evaluation needs. Only Apply
// makes one, so that nothing can be evaluated before (INV-COMMIT).
type Charged struct {
	registration wire.RegistrationID
	serial       wire.Serial
	element      wire.ElementDigest
	generation   uint8
	oprfKey      [32]byte
	record       [wire.RecordSize]byte
	ksf          wire.KSF
	guessesLeft  uint8
	lockedForMs  uint64
	repeated     bool
}

// Registration returns the registration that is guessed at.
func (c *Charged) Registration() wire.RegistrationID { return c.registration }

// Serial returns the guess's serial.
func (c *Charged) Serial() wire.Serial { return c.serial }

// Element returns the digest of the one element that may be evaluated.
func (c *Charged) Element() wire.ElementDigest { return c.element }

// Generation returns the OPAQUE key's generation.
func (c *Charged) Generation() uint8 { return c.generation }

// OPRFKey returns the registration's OPRF key.
func (c *Charged) OPRFKey() [32]byte { return c.oprfKey }

// Record returns the OPAQUE record.
func (c *Charged) Record() [wire.RecordSize]byte { return c.record }

// KSF returns the client's Argon2id cost.
func (c *Charged) KSF() wire.KSF { return c.ksf }

// GuessesLeft returns how many guesses are left if this one is wrong.
func (c *Charged) GuessesLeft() uint8 { return c.guessesLeft }

// LockedForMs returns how long the next guess must wait if this one is wrong.
func (c *Charged) LockedForMs() uint64 { return c.lockedForMs }

// Repeated reports whether the guess had been charged before.
func (c *Charged) Repeated() bool { return c.repeated }

// Format keeps secrets out of every print.
func (Charged) Format(f fmt.State, _ rune) { redact(f) }

// Proved is a guess that was right.
type Proved struct {
	SealedKey   [wire.SealedKeySize]byte
	GuessesLeft uint8 // refilled
	Freshness   []wire.Freshness
}

// Format keeps secrets out of every print.
func (Proved) Format(f fmt.State, _ rune) { redact(f) }

// charge takes a guess. The order of the checks matters: a replayed request, whose serial
// is old, must neither charge nor destroy, and no refusal charges.
func (a *Account) charge(p *wire.Policy, now wire.UnixMs, op *Charge) Outcome {
	r, refusal := a.lookupConfirmed(op.ID) // INV-PENDING
	switch {
	case refusal != nil:
		return Outcome{Refusal: refusal}
	case a.isLast(op):
		return Outcome{Charged: a.charged(now, r, true)}
	case op.Serial != a.Serial+1:
		return Outcome{Refusal: &wire.Error{Code: wire.CodeStaleSerial, Serial: a.Serial, GuessesLeft: r.GuessesLeft}}
	case r.exhausted():
		r.destroy(now)
		a.dropTombstones()
		return refuse(wire.CodeDestroyed)
	case r.locked(now):
		return Outcome{Refusal: &wire.Error{
			Code: wire.CodeLocked, RetryAfterMs: until(now, r.LockedUntil), GuessesLeft: r.GuessesLeft,
		}}
	}
	a.Serial, a.LastGuessAt, a.LastGuess = op.Serial, now, Guess{ID: op.ID, Element: op.Element}
	a.chargeAll(p, now)
	return Outcome{Charged: a.charged(now, r, false)}
}

// isLast reports whether a guess is the last one once more. It teaches nothing new, so it is answered again, free and as
// often as it comes, and changes nothing: a host that replays it must not use anything up.
func (a *Account) isLast(op *Charge) bool {
	return a.Serial != 0 && op.Serial == a.Serial && op.ID == a.LastGuess.ID && op.Element == a.LastGuess.Element
}

// chargeAll charges every registration that could be guessed at now: the one that was, and those beside it. One that is locked
// is not charged, or guesses and proofs at a newcomer's own registration would end the owner's at once, in spite of its
// cooldown. INV-BUDGET does not need it: each registration has its own OPRF key, so a guess at one is none at another.
func (a *Account) chargeAll(p *wire.Policy, now wire.UnixMs) {
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.guessable() && r.GuessesLeft > 0 && !r.locked(now) {
			r.chargeOne(p, now)
		}
	}
}

func (r *Registration) chargeOne(p *wire.Policy, now wire.UnixMs) {
	r.tighten(p)
	r.GuessesLeft--
	if wait := cooldownMs(max(r.CooldownMs, p.CooldownMs), r.Budget-r.GuessesLeft); wait > 0 {
		r.LockedUntil = later(now, wait)
	}
	if r.GuessesLeft == 0 {
		r.ProvableUntil = later(now, p.ProvableMs)
	}
}

// tighten brings a budget down to a stricter policy's; guesses already made count. One guess
// stays where there was one: a policy must not destroy what no guess has.
func (r *Registration) tighten(p *wire.Policy) {
	if p.Budget >= r.Budget {
		return
	}
	used := r.Budget - r.GuessesLeft
	r.Budget = p.Budget
	if used < p.Budget {
		r.GuessesLeft = p.Budget - used
	} else {
		r.GuessesLeft = min(r.GuessesLeft, 1)
	}
}

// cooldownMs is the wait after that many guesses without a proof: none after three, then base, and four times as long each time.
func cooldownMs(base uint64, guesses uint8) uint64 {
	if guesses < 4 {
		return 0
	}
	wait := min(base, maxCooldownMs)
	for n := uint8(4); n < guesses && wait < maxCooldownMs; n++ {
		wait = min(wait*4, maxCooldownMs)
	}
	return wait
}

func (a *Account) charged(now wire.UnixMs, r *Registration, repeated bool) *Charged {
	return &Charged{
		registration: r.ID, serial: a.Serial, element: a.LastGuess.Element,
		generation: r.Generation, oprfKey: r.OPRFKey, record: r.Record, ksf: r.KSF,
		guessesLeft: r.GuessesLeft, lockedForMs: until(now, r.LockedUntil), repeated: repeated,
	}
}

// prove refills the one registration whose password the last guess showed. The same guess may be proved again: nothing was charged since.
func (a *Account) prove(p *wire.Policy, op *Prove) Outcome {
	r, refusal := a.lookupConfirmed(op.ID)
	switch {
	case refusal != nil:
		return Outcome{Refusal: refusal}
	case a.Serial == 0 || op.Serial != a.Serial || op.ID != a.LastGuess.ID:
		return refuse(wire.CodeSession)
	}
	r.Budget = min(r.Budget, p.Budget)
	r.GuessesLeft, r.LockedUntil, r.ProvableUntil = r.Budget, 0, 0
	return Outcome{Proved: &Proved{SealedKey: r.SealedKey, GuessesLeft: r.GuessesLeft, Freshness: r.Freshness}}
}
