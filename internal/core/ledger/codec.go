// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// ErrMalformed is the error of everything that does not decode.
var ErrMalformed = errors.New("ledger: malformed")

// reader reads fields one after the other and remembers the first failure.
type reader struct {
	s      cryptobyte.String
	failed bool
}

func (r *reader) ok(ok bool) { r.failed = r.failed || !ok }

func (r *reader) uint8() (v uint8)    { r.ok(r.s.ReadUint8(&v)); return v }
func (r *reader) uint32() (v uint32)  { r.ok(r.s.ReadUint32(&v)); return v }
func (r *reader) uint64() (v uint64)  { r.ok(r.s.ReadUint64(&v)); return v }
func (r *reader) time() wire.UnixMs   { return wire.UnixMs(r.uint64()) }
func (r *reader) serial() wire.Serial { return wire.Serial(r.uint64()) }
func (r *reader) fixed(to []byte)     { r.ok(r.s.CopyBytes(to)) }

// bool accepts 0 and 1 only: there is one encoding.
func (r *reader) bool() bool {
	v := r.uint8()
	r.ok(v <= 1)
	return v == 1
}

// count reads the length of a list with at most limit members.
func (r *reader) count(limit int) int {
	n := int(r.uint8())
	r.ok(n <= limit)
	if r.failed {
		return 0
	}
	return n
}

func (r *reader) end() error {
	if r.failed || !r.s.Empty() {
		return ErrMalformed
	}
	return nil
}

func (r *reader) ksf() wire.KSF {
	return wire.KSF{TimeCost: r.uint32(), MemoryKiB: r.uint32(), Lanes: r.uint8()}
}

func addKSF(b *cryptobyte.Builder, k wire.KSF) {
	b.AddUint32(k.TimeCost)
	b.AddUint32(k.MemoryKiB)
	b.AddUint8(k.Lanes)
}

func (r *reader) freshness() (f wire.Freshness) {
	r.fixed(f.Archive[:])
	f.Generation = r.uint64()
	r.fixed(f.Digest[:])
	return f
}

func addFreshness(b *cryptobyte.Builder, f wire.Freshness) {
	b.AddBytes(f.Archive[:])
	b.AddUint64(f.Generation)
	b.AddBytes(f.Digest[:])
}

// Append appends the account's encoding. It begins with the account's next
// deadline, for NextDeadline. An account that never was has the empty encoding.
func (a *Account) Append(to []byte) []byte {
	if a.Serial == 0 && a.Tickets == 0 && len(a.Registrations) == 0 && len(a.Unregistered) == 0 {
		return to
	}
	b := cryptobyte.NewBuilder(to)
	b.AddUint64(uint64(a.nextDeadline()))
	b.AddUint64(uint64(a.Serial))
	if a.Serial != 0 {
		b.AddUint64(uint64(a.LastGuessAt))
		b.AddBytes(a.LastGuess.ID[:])
		b.AddBytes(a.LastGuess.Element[:])
	}
	b.AddUint64(a.Tickets)
	b.AddUint8(uint8(len(a.Registrations)))
	for i := range a.Registrations {
		a.Registrations[i].add(b)
	}
	if len(a.Unregistered) > 0 { // most accounts have none
		b.AddUint8(uint8(len(a.Unregistered)))
	}
	for _, u := range a.Unregistered {
		b.AddBytes(u.Manage[:])
		addFreshness(b, u.Freshness)
	}
	return b.BytesOrPanic() // every length above is fixed
}

func (a *Account) nextDeadline() wire.UnixMs {
	next := never
	for i := range a.Registrations {
		next = min(next, a.Registrations[i].deadline())
	}
	return next
}

// NextDeadline returns when time alone changes the account that is encoded so,
// and the largest UnixMs if it never does. It reads no more than that.
func NextDeadline(encoded string) wire.UnixMs {
	if len(encoded) < 8 {
		return never
	}
	return wire.UnixMs(binary.BigEndian.Uint64([]byte(encoded[:8])))
}

// Decode decodes an account, or returns ErrMalformed. It accepts only what Append makes of an account within its bounds.
func Decode(encoded string) (*Account, error) {
	a := new(Account)
	if encoded == "" {
		return a, nil
	}
	r := &reader{s: cryptobyte.String(encoded)}
	deadline := r.time()
	a.Serial = r.serial()
	if a.Serial != 0 {
		a.LastGuessAt = r.time()
		r.fixed(a.LastGuess.ID[:])
		r.fixed(a.LastGuess.Element[:])
	}
	a.Tickets = r.uint64()
	a.Registrations = make([]Registration, r.count(maxRegistrations))
	for i := range a.Registrations {
		a.Registrations[i].read(r)
	}
	if !r.s.Empty() {
		a.Unregistered = make([]Unregistered, r.count(wire.MaxFreshness))
		r.ok(len(a.Unregistered) > 0)
	}
	for i := range a.Unregistered {
		r.fixed(a.Unregistered[i].Manage[:])
		a.Unregistered[i].Freshness = r.freshness()
	}
	r.ok(a.Serial != 0 || a.Tickets != 0 || len(a.Registrations) != 0 || len(a.Unregistered) != 0)
	r.ok(!r.failed && deadline == a.nextDeadline() && a.check() == nil)
	if err := r.end(); err != nil {
		return nil, err
	}
	return a, nil
}

// The times that most registrations lack are announced in the state's byte.
const (
	hasExpiry   = 0x80
	hasLock     = 0x40
	hasProvable = 0x20
	stateBits   = 0x1f
)

// times returns the optional times in the order of their encoding.
func (r *Registration) times() [3]struct {
	flag uint8
	at   *wire.UnixMs
} {
	return [3]struct {
		flag uint8
		at   *wire.UnixMs
	}{{hasExpiry, &r.ExpiresAt}, {hasLock, &r.LockedUntil}, {hasProvable, &r.ProvableUntil}}
}

func (r *Registration) add(b *cryptobyte.Builder) {
	head := uint8(r.State)
	for _, t := range r.times() {
		if *t.at != 0 {
			head |= t.flag
		}
	}
	b.AddUint8(head)
	b.AddBytes(r.ID[:])
	b.AddUint64(uint64(r.CreatedAt))
	for _, t := range r.times() {
		if *t.at != 0 {
			b.AddUint64(uint64(*t.at))
		}
	}
	if r.State != wire.StateDestroyed {
		r.addLiving(b)
	}
}

func (r *Registration) read(s *reader) {
	head := s.uint8()
	r.State = wire.State(head & stateBits)
	s.ok(r.State == wire.StateDestroyed || r.State == wire.StatePending || r.guessable())
	s.fixed(r.ID[:])
	r.CreatedAt = s.time()
	for _, t := range r.times() {
		if head&t.flag != 0 {
			*t.at = s.time()
			s.ok(*t.at != 0)
		}
	}
	if r.State != wire.StateDestroyed {
		r.readLiving(s)
	}
}

// addLiving adds what a destroyed registration has no more.
func (r *Registration) addLiving(b *cryptobyte.Builder) {
	b.AddUint8(r.Budget)
	b.AddUint8(r.GuessesLeft)
	b.AddUint32(uint32(r.CooldownMs))
	b.AddUint64(r.GraceMs)
	b.AddUint8(r.Generation)
	b.AddBytes(r.OPRFKey[:])
	b.AddBytes(r.Record[:])
	b.AddBytes(r.SealedKey[:])
	b.AddBytes(r.Manage[:])
	addKSF(b, r.KSF)
	b.AddUint8(uint8(len(r.Freshness)))
	for _, f := range r.Freshness {
		addFreshness(b, f)
	}
}

func (r *Registration) readLiving(s *reader) {
	r.Budget = s.uint8()
	r.GuessesLeft = s.uint8()
	r.CooldownMs = uint64(s.uint32())
	r.GraceMs = s.uint64()
	r.Generation = s.uint8()
	s.fixed(r.OPRFKey[:])
	s.fixed(r.Record[:])
	s.fixed(r.SealedKey[:])
	s.fixed(r.Manage[:])
	r.KSF = s.ksf()
	r.Freshness = make([]wire.Freshness, s.count(wire.MaxFreshness))
	for i := range r.Freshness {
		r.Freshness[i] = s.freshness()
	}
}
