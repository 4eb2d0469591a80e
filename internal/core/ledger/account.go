// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/coffer-backup/coffer/wire"
)

// Bounds of an account. They bound its memory, and what a status tells.
const (
	maxRetained      = 3               // when a new registration is confirmed
	maxGuessable     = maxRetained + 1 // live and retained: the live one may be deleted without proof, too
	maxTombstones    = 4
	maxRegistrations = 1 + maxGuessable + maxTombstones // one of them pending
	maxCooldownMs    = 7 * 24 * 3600_000
)

// never is a time that no clock reaches.
const never = wire.UnixMs(math.MaxUint64)

// Account is what a vault knows of an account. It is never deleted, so that
// neither Serial nor Tickets starts again. The zero Account is one that never was.
type Account struct {
	Serial        wire.Serial // of the last guess
	LastGuessAt   wire.UnixMs
	LastGuess     Guess
	Tickets       uint64         // registrations ever stored; a ticket carries the number it was made at
	Registrations []Registration // in the order in which they were stored
	Unregistered  []Unregistered // in the order in which they were first told
}

// Guess names the last guess, so that it can be repeated and proved.
type Guess struct {
	ID      wire.RegistrationID
	Element wire.ElementDigest
}

// Registration is one (OPAQUE record, sealed K, OPRF key) of an account. Budget,
// cooldown and grace are those of the policy it was made under; a later policy
// may only make the first smaller and the second longer.
type Registration struct {
	ID    wire.RegistrationID
	State wire.State // never StateExhausted, which follows from GuessesLeft

	Budget      uint8
	GuessesLeft uint8
	CooldownMs  uint64 // at most maxCooldownMs
	GraceMs     uint64

	CreatedAt     wire.UnixMs
	LockedUntil   wire.UnixMs // 0: not locked
	ExpiresAt     wire.UnixMs // pending: unconfirmed; retained: recoverable; destroyed: since when; live: 0
	ProvableUntil wire.UnixMs // of one without guesses: its destruction; else 0

	Generation uint8 // of the OPAQUE key that the record was made for
	OPRFKey    [32]byte
	Record     [wire.RecordSize]byte
	SealedKey  [wire.SealedKeySize]byte
	Manage     wire.ManageHash
	KSF        wire.KSF
	Freshness  []wire.Freshness
}

// Format keeps secrets out of every print.
func (Registration) Format(f fmt.State, _ rune) { redact(f) }

func redact(f fmt.State) { _, _ = io.WriteString(f, "(redacted)") }

// guessable reports whether r is live or retained. Whether it has guesses left is another question.
func (r *Registration) guessable() bool {
	return r.State == wire.StateLive || r.State == wire.StateRetained
}

// locked reports whether r's cooldown runs at now.
func (r *Registration) locked(now wire.UnixMs) bool { return now < r.LockedUntil }

func (r *Registration) exhausted() bool { return r.guessable() && r.GuessesLeft == 0 }

// deadline is when time alone changes r: it is forgotten, or destroyed.
func (r *Registration) deadline() wire.UnixMs {
	at := never
	if r.State == wire.StatePending || r.State == wire.StateRetained {
		at = r.ExpiresAt
	}
	if r.exhausted() {
		at = min(at, r.ProvableUntil)
	}
	return at
}

// destroy overwrites everything but the name, and the times when it was made and destroyed.
func (r *Registration) destroy(now wire.UnixMs) {
	*r = Registration{ID: r.ID, State: wire.StateDestroyed, CreatedAt: r.CreatedAt, ExpiresAt: now}
}

func (a *Account) find(id wire.RegistrationID) *Registration {
	i := slices.IndexFunc(a.Registrations, func(r Registration) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &a.Registrations[i]
}

// remove forgets the registrations that gone picks. DeleteFunc overwrites what it frees.
func (a *Account) remove(gone func(r *Registration) bool) {
	a.Registrations = slices.DeleteFunc(a.Registrations, func(r Registration) bool { return gone(&r) })
}

// expire does what time does: it destroys what had no guess left, for a registration's owner is to be told so,
// and forgets what was pending or retained for too long.
func (a *Account) expire(now wire.UnixMs) {
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.exhausted() && now >= r.ProvableUntil {
			r.destroy(now)
		}
	}
	a.remove(func(r *Registration) bool { return now >= r.deadline() })
	a.dropTombstones()
}

// dropTombstones keeps the newest few.
func (a *Account) dropTombstones() {
	destroyed := func(r Registration) bool { return r.State == wire.StateDestroyed }
	for count(a, destroyed) > maxTombstones {
		oldest := never
		for _, r := range a.Registrations {
			if destroyed(r) {
				oldest = min(oldest, r.ExpiresAt)
			}
		}
		i := slices.IndexFunc(a.Registrations, func(r Registration) bool { return destroyed(r) && r.ExpiresAt == oldest })
		a.Registrations = slices.Delete(a.Registrations, i, i+1)
	}
}

func count(a *Account, matches func(r Registration) bool) (n int) {
	for _, r := range a.Registrations {
		if matches(r) {
			n++
		}
	}
	return n
}

// later returns t + ms without running over.
func later(t wire.UnixMs, ms uint64) wire.UnixMs {
	if sum := t + wire.UnixMs(ms); sum >= t {
		return sum
	}
	return never
}

// until returns the milliseconds from now to t, 0 if t is past.
func until(now, t wire.UnixMs) uint64 {
	if t <= now {
		return 0
	}
	return uint64(t - now)
}
