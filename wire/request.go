// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Sizes in bytes of OPAQUE's messages for ristretto255-SHA512 (RFC 9807 section 6) and of what else has one size.
const (
	ElementSize      = 32  // a blinded element
	RecordSize       = 192 // RegistrationRecord
	RegistrationSize = 64  // RegistrationResponse
	KE1Size          = 96
	KE2Size          = 320
	KE3Size          = 64
	SealedKeySize    = 32 + 16            // K and a tag
	DeliveredKeySize = SealedKeySize + 16 // under the session key once more
	MaxTokenSize     = 4096               // a JWT
	MaxTicketSize    = 256                // a registration ticket
	MaxFreshness     = 4                  // archives whose newest state a registration remembers
	MaxRegistrations = 12                 // in a status, destroyed ones included
	maxPlaintextSize = 3 * requestClass   // of a request or an answer, padded
	requestClass     = 2048               // requests come in multiples of it
	answerClass      = 1024               // answers come in multiples of it
)

// Kind names a request and its answer.
type Kind uint8

// The kinds. The numbers are part of the protocol.
const (
	kindError           Kind = 0
	KindStatus          Kind = 1
	KindRegisterStart   Kind = 2
	KindRegisterFinish  Kind = 3
	KindRegisterConfirm Kind = 4
	KindRecoverStart    Kind = 5
	KindRecoverFinish   Kind = 6
	KindDelete          Kind = 7
	KindPutFreshness    Kind = 8
)

// KSF is the Argon2id cost (RFC 9106) that a device chose. It is stored with the registration.
type KSF struct {
	TimeCost  uint32
	MemoryKiB uint32
	Lanes     uint8
}

func (k KSF) add(b *cryptobyte.Builder) {
	b.AddUint32(k.TimeCost)
	b.AddUint32(k.MemoryKiB)
	b.AddUint8(k.Lanes)
}

func (k *KSF) read(r *reader) { *k = KSF{r.uint32(), r.uint32(), r.uint8()} }

// Freshness is the newest state of an archive that a device has told.
type Freshness struct {
	Archive    ArchiveID
	Generation uint64
	Digest     [32]byte // of the head
}

func (f Freshness) add(b *cryptobyte.Builder) {
	b.AddBytes(f.Archive[:])
	b.AddUint64(f.Generation)
	b.AddBytes(f.Digest[:])
}

func (f *Freshness) read(r *reader) {
	r.fixed(f.Archive[:])
	f.Generation = r.uint64()
	r.fixed(f.Digest[:])
}

// Body is what a request asks or an answer says: one of the types of this package that are named after a Kind.
type Body interface {
	Kind() Kind
	add(b *cryptobyte.Builder)
	read(r *reader)
}

// Request is what a client seals to the core.
type Request struct {
	Token string // a JWT with the core's audience; the gateway never sees it
	Body  Body
}

// Format keeps the token, which its bearer is known by, out of every print.
func (Request) Format(f fmt.State, _ rune) { redact(f) }

type (
	// Status asks for the account's registrations. A companion device may, too.
	Status struct{}

	// RegisterStart asks for the evaluation of a blinded element under a fresh OPRF key.
	RegisterStart struct{ Blinded [ElementSize]byte }

	// RegisterFinish stores a registration as pending. It can be repeated.
	RegisterFinish struct {
		Ticket    []byte // from RegisterStarted
		Record    [RecordSize]byte
		SealedKey [SealedKeySize]byte
		Manage    ManageHash
		KSF       KSF
	}

	// RegisterConfirm makes a pending registration live. Every other registration of the same K, or of the K that
	// Replaces shows, dies at once; a live one that is not so proved is retained for its grace period. It can be repeated.
	RegisterConfirm struct {
		Registration RegistrationID
		Manage       ManageSecret
		Replaces     *ManageSecret // of a K that this one replaces; or nil
	}

	// RecoverStart is one guess. The same serial and blinded element again is the same guess.
	RecoverStart struct {
		Registration RegistrationID
		Serial       Serial // one more than the account's last
		KE1          [KE1Size]byte
	}

	// RecoverFinish proves the password of that guess.
	RecoverFinish struct {
		Registration RegistrationID
		Serial       Serial
		KE3          [KE3Size]byte
	}

	// Delete deletes a registration: at once with its manage secret, after its grace period with the token alone.
	Delete struct {
		Registration RegistrationID
		Proof        *ManageSecret // or nil
	}

	// PutFreshness tells the newest state of an archive.
	PutFreshness struct {
		Registration RegistrationID
		Manage       ManageSecret
		Freshness    Freshness
	}
)

func (*Status) Kind() Kind              { return KindStatus }
func (*Status) add(*cryptobyte.Builder) {}
func (*Status) read(*reader)            {}

func (*RegisterStart) Kind() Kind                  { return KindRegisterStart }
func (m *RegisterStart) add(b *cryptobyte.Builder) { b.AddBytes(m.Blinded[:]) }
func (m *RegisterStart) read(r *reader)            { r.fixed(m.Blinded[:]) }

func (*RegisterFinish) Kind() Kind { return KindRegisterFinish }
func (m *RegisterFinish) add(b *cryptobyte.Builder) {
	addVector(b, m.Ticket)
	b.AddBytes(m.Record[:])
	b.AddBytes(m.SealedKey[:])
	b.AddBytes(m.Manage[:])
	m.KSF.add(b)
}

func (m *RegisterFinish) read(r *reader) {
	m.Ticket = r.vector(MaxTicketSize)
	r.fixed(m.Record[:])
	r.fixed(m.SealedKey[:])
	r.fixed(m.Manage[:])
	m.KSF.read(r)
}

func (*RegisterConfirm) Kind() Kind { return KindRegisterConfirm }
func (m *RegisterConfirm) add(b *cryptobyte.Builder) {
	b.AddBytes(m.Registration[:])
	b.AddBytes(m.Manage[:])
	addSecret(b, m.Replaces)
}

func (m *RegisterConfirm) read(r *reader) {
	r.fixed(m.Registration[:])
	r.fixed(m.Manage[:])
	m.Replaces = r.secret()
}

func (*RecoverStart) Kind() Kind { return KindRecoverStart }
func (m *RecoverStart) add(b *cryptobyte.Builder) {
	b.AddBytes(m.Registration[:])
	b.AddUint64(uint64(m.Serial))
	b.AddBytes(m.KE1[:])
}

func (m *RecoverStart) read(r *reader) {
	r.fixed(m.Registration[:])
	m.Serial = Serial(r.uint64())
	r.fixed(m.KE1[:])
}

func (*RecoverFinish) Kind() Kind { return KindRecoverFinish }
func (m *RecoverFinish) add(b *cryptobyte.Builder) {
	b.AddBytes(m.Registration[:])
	b.AddUint64(uint64(m.Serial))
	b.AddBytes(m.KE3[:])
}

func (m *RecoverFinish) read(r *reader) {
	r.fixed(m.Registration[:])
	m.Serial = Serial(r.uint64())
	r.fixed(m.KE3[:])
}

func (*Delete) Kind() Kind { return KindDelete }
func (m *Delete) add(b *cryptobyte.Builder) {
	b.AddBytes(m.Registration[:])
	addSecret(b, m.Proof)
}

func (m *Delete) read(r *reader) {
	r.fixed(m.Registration[:])
	m.Proof = r.secret()
}

func (*PutFreshness) Kind() Kind { return KindPutFreshness }
func (m *PutFreshness) add(b *cryptobyte.Builder) {
	b.AddBytes(m.Registration[:])
	b.AddBytes(m.Manage[:])
	m.Freshness.add(b)
}

func (m *PutFreshness) read(r *reader) {
	r.fixed(m.Registration[:])
	r.fixed(m.Manage[:])
	m.Freshness.read(r)
}

// addSecret adds a manage secret that may be missing.
func addSecret(b *cryptobyte.Builder, m *ManageSecret) {
	addBool(b, m != nil)
	if m != nil {
		b.AddBytes(m[:])
	}
}

func (r *reader) secret() *ManageSecret {
	if !r.bool() {
		return nil
	}
	m := new(ManageSecret)
	r.fixed(m[:])
	return m
}

func newRequestBody(k Kind) Body {
	switch k {
	case KindStatus:
		return new(Status)
	case KindRegisterStart:
		return new(RegisterStart)
	case KindRegisterFinish:
		return new(RegisterFinish)
	case KindRegisterConfirm:
		return new(RegisterConfirm)
	case KindRecoverStart:
		return new(RecoverStart)
	case KindRecoverFinish:
		return new(RecoverFinish)
	case KindDelete:
		return new(Delete)
	case KindPutFreshness:
		return new(PutFreshness)
	}
	return nil
}

// Append appends the request's encoding. Where there is room it makes no copy of it.
func (m *Request) Append(to []byte) []byte {
	b := cryptobyte.NewBuilder(to)
	b.AddUint8(uint8(m.Body.Kind()))
	addVector(b, []byte(m.Token))
	m.Body.add(b)
	return b.BytesOrPanic() // senders keep the bounds that readers check
}

// ParseRequest decodes a request, or returns ErrMalformed.
func ParseRequest(encoded []byte) (*Request, error) {
	r := &reader{s: encoded}
	body := newRequestBody(Kind(r.uint8()))
	if body == nil {
		return nil, ErrMalformed
	}
	m := &Request{Token: string(r.vector(MaxTokenSize)), Body: body}
	body.read(r)
	if err := r.end(); err != nil {
		return nil, err
	}
	return m, nil
}
