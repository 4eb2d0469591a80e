// SPDX-License-Identifier: Apache-2.0

package wire

import "golang.org/x/crypto/cryptobyte"

// State of a registration.
type State uint8

// The states. The numbers are part of the protocol.
const (
	StatePending   State = 1 // stored, not confirmed, never evaluated (INV-PENDING)
	StateLive      State = 2
	StateRetained  State = 3 // replaced or deleted without proof: recoverable until it expires
	StateExhausted State = 4 // no guess left: only the last guess is provable, for some minutes
	StateDestroyed State = 5 // nothing is left but its name
)

func (s State) String() string {
	switch s {
	case StatePending:
		return "pending"
	case StateLive:
		return "live"
	case StateRetained:
		return "retained"
	case StateExhausted:
		return "exhausted"
	case StateDestroyed:
		return "destroyed"
	}
	return "unknown"
}

// RegistrationStatus is what a status tells of one registration.
type RegistrationStatus struct {
	ID          RegistrationID
	State       State
	Budget      uint8 // guesses it has after a proof
	GuessesLeft uint8
	CreatedAt   UnixMs
	LockedUntil UnixMs // the next guess is allowed then; 0: at once
	ExpiresAt   UnixMs // of one that is pending, retained or exhausted; when it was destroyed; else 0
	Freshness   []Freshness
}

func (s RegistrationStatus) add(b *cryptobyte.Builder) {
	b.AddBytes(s.ID[:])
	b.AddUint8(uint8(s.State))
	b.AddUint8(s.Budget)
	b.AddUint8(s.GuessesLeft)
	b.AddUint64(uint64(s.CreatedAt))
	b.AddUint64(uint64(s.LockedUntil))
	b.AddUint64(uint64(s.ExpiresAt))
	addFreshness(b, s.Freshness)
}

func (s *RegistrationStatus) read(r *reader) {
	r.fixed(s.ID[:])
	s.State = State(r.uint8())
	r.ok(s.State >= StatePending && s.State <= StateDestroyed)
	s.Budget = r.uint8()
	s.GuessesLeft = r.uint8()
	s.CreatedAt = UnixMs(r.uint64())
	s.LockedUntil = UnixMs(r.uint64())
	s.ExpiresAt = UnixMs(r.uint64())
	s.Freshness = r.freshness()
}

func addFreshness(b *cryptobyte.Builder, list []Freshness) {
	b.AddUint8(uint8(len(list)))
	for _, f := range list {
		f.add(b)
	}
}

func (r *reader) freshness() []Freshness {
	list := make([]Freshness, r.count(MaxFreshness))
	for i := range list {
		list[i].read(r)
	}
	return list
}

type (
	// StatusAnswer answers Status.
	StatusAnswer struct {
		Now           UnixMs // the vault's clock
		Serial        Serial // of the last guess
		LastGuessAt   UnixMs // 0: never
		Registrations []RegistrationStatus
	}

	// RegisterStarted answers RegisterStart. Nothing is stored yet.
	RegisterStarted struct {
		Registration RegistrationID
		Response     [RegistrationSize]byte // RegistrationResponse
		Ticket       []byte
	}

	// RegisterFinished answers RegisterFinish.
	RegisterFinished struct{ ConfirmWithinMs uint64 }

	// RegisterConfirmed answers RegisterConfirm.
	RegisterConfirmed struct {
		Replaced   uint8  // registrations that died by proof
		RetainedMs uint64 // how long the registration that was live before is kept; 0: there was none, or it died by proof
	}

	// RecoverStarted answers RecoverStart: the guess is counted.
	RecoverStarted struct {
		KE2         [KE2Size]byte
		KSF         KSF
		GuessesLeft uint8  // after this guess, if it was wrong
		LockedForMs uint64 // until the next guess is allowed, if this one was wrong
		Repeated    bool   // this guess had been counted before
	}

	// RecoverFinished answers RecoverFinish: the guess was right.
	RecoverFinished struct {
		Key         [DeliveredKeySize]byte // the sealed K under the session key
		GuessesLeft uint8                  // refilled
		Freshness   []Freshness
	}

	// Deleted answers Delete.
	Deleted struct{ RetainedMs uint64 } // 0: it died at once

	// FreshnessPut answers PutFreshness.
	FreshnessPut struct{}
)

func (*StatusAnswer) Kind() Kind { return KindStatus }
func (m *StatusAnswer) add(b *cryptobyte.Builder) {
	b.AddUint64(uint64(m.Now))
	b.AddUint64(uint64(m.Serial))
	b.AddUint64(uint64(m.LastGuessAt))
	b.AddUint8(uint8(len(m.Registrations)))
	for _, s := range m.Registrations {
		s.add(b)
	}
}

func (m *StatusAnswer) read(r *reader) {
	m.Now = UnixMs(r.uint64())
	m.Serial = Serial(r.uint64())
	m.LastGuessAt = UnixMs(r.uint64())
	m.Registrations = make([]RegistrationStatus, r.count(MaxRegistrations))
	for i := range m.Registrations {
		m.Registrations[i].read(r)
	}
}

func (*RegisterStarted) Kind() Kind { return KindRegisterStart }
func (m *RegisterStarted) add(b *cryptobyte.Builder) {
	b.AddBytes(m.Registration[:])
	b.AddBytes(m.Response[:])
	addVector(b, m.Ticket)
}

func (m *RegisterStarted) read(r *reader) {
	r.fixed(m.Registration[:])
	r.fixed(m.Response[:])
	m.Ticket = r.vector(MaxTicketSize)
}

func (*RegisterFinished) Kind() Kind                  { return KindRegisterFinish }
func (m *RegisterFinished) add(b *cryptobyte.Builder) { b.AddUint64(m.ConfirmWithinMs) }
func (m *RegisterFinished) read(r *reader)            { m.ConfirmWithinMs = r.uint64() }

func (*RegisterConfirmed) Kind() Kind { return KindRegisterConfirm }
func (m *RegisterConfirmed) add(b *cryptobyte.Builder) {
	b.AddUint8(m.Replaced)
	b.AddUint64(m.RetainedMs)
}

func (m *RegisterConfirmed) read(r *reader) {
	m.Replaced = r.uint8()
	m.RetainedMs = r.uint64()
}

func (*RecoverStarted) Kind() Kind { return KindRecoverStart }
func (m *RecoverStarted) add(b *cryptobyte.Builder) {
	b.AddBytes(m.KE2[:])
	m.KSF.add(b)
	b.AddUint8(m.GuessesLeft)
	b.AddUint64(m.LockedForMs)
	addBool(b, m.Repeated)
}

func (m *RecoverStarted) read(r *reader) {
	r.fixed(m.KE2[:])
	m.KSF.read(r)
	m.GuessesLeft = r.uint8()
	m.LockedForMs = r.uint64()
	m.Repeated = r.bool()
}

func (*RecoverFinished) Kind() Kind { return KindRecoverFinish }
func (m *RecoverFinished) add(b *cryptobyte.Builder) {
	b.AddBytes(m.Key[:])
	b.AddUint8(m.GuessesLeft)
	addFreshness(b, m.Freshness)
}

func (m *RecoverFinished) read(r *reader) {
	r.fixed(m.Key[:])
	m.GuessesLeft = r.uint8()
	m.Freshness = r.freshness()
}

func (*Deleted) Kind() Kind                  { return KindDelete }
func (m *Deleted) add(b *cryptobyte.Builder) { b.AddUint64(m.RetainedMs) }
func (m *Deleted) read(r *reader)            { m.RetainedMs = r.uint64() }

func (*FreshnessPut) Kind() Kind              { return KindPutFreshness }
func (*FreshnessPut) add(*cryptobyte.Builder) {}
func (*FreshnessPut) read(*reader)            {}

// Kind of a refusal. It may answer every request.
func (*Error) Kind() Kind { return kindError }
func (e *Error) add(b *cryptobyte.Builder) {
	b.AddUint16(uint16(e.Code))
	b.AddUint64(e.RetryAfterMs)
	b.AddUint8(e.GuessesLeft)
	b.AddUint64(uint64(e.Serial))
}

func (e *Error) read(r *reader) {
	e.Code = Code(r.uint16())
	r.ok(e.Code > 0 && e.Code < codeEnd)
	e.RetryAfterMs = r.uint64()
	e.GuessesLeft = r.uint8()
	e.Serial = Serial(r.uint64())
}

func newAnswerBody(k Kind) Body {
	switch k {
	case kindError:
		return new(Error)
	case KindStatus:
		return new(StatusAnswer)
	case KindRegisterStart:
		return new(RegisterStarted)
	case KindRegisterFinish:
		return new(RegisterFinished)
	case KindRegisterConfirm:
		return new(RegisterConfirmed)
	case KindRecoverStart:
		return new(RecoverStarted)
	case KindRecoverFinish:
		return new(RecoverFinished)
	case KindDelete:
		return new(Deleted)
	case KindPutFreshness:
		return new(FreshnessPut)
	}
	return nil
}

// AppendAnswer appends an answer's encoding. A refusal is an answer, too.
func AppendAnswer(to []byte, answer Body) []byte {
	return append(to, build(func(b *cryptobyte.Builder) {
		b.AddUint8(uint8(answer.Kind()))
		answer.add(b)
	})...)
}

// ParseAnswer decodes an answer, or returns ErrMalformed.
func ParseAnswer(encoded []byte) (Body, error) {
	r := &reader{s: encoded}
	body := newAnswerBody(Kind(r.uint8()))
	if body == nil {
		return nil, ErrMalformed
	}
	body.read(r)
	if err := r.end(); err != nil {
		return nil, err
	}
	return body, nil
}
