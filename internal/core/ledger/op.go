// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/wire"
)

// Op is an operation on an account, one of the types below.
type Op interface {
	kind() uint8
	add(b *cryptobyte.Builder)
	read(r *reader)
}

type (
	// Register stores a registration as pending. The core made ID and OPRFKey, and has opened the ticket.
	Register struct {
		ID         wire.RegistrationID
		Ticket     uint64 // the account's Tickets when the ticket was made
		Generation uint8
		OPRFKey    [32]byte
		Record     [wire.RecordSize]byte
		SealedKey  [wire.SealedKeySize]byte
		Manage     wire.ManageHash
		KSF        wire.KSF
	}

	// Confirm makes a pending registration live. Manage and Replaces are hashes of presented secrets.
	Confirm struct {
		ID       wire.RegistrationID
		Manage   wire.ManageHash
		Replaces *wire.ManageHash // or nil
	}

	// Charge is one guess.
	Charge struct {
		ID      wire.RegistrationID
		Serial  wire.Serial
		Element wire.ElementDigest
	}

	// Prove ends a guess whose KE3 the core has checked.
	Prove struct {
		ID     wire.RegistrationID
		Serial wire.Serial
	}

	// Delete deletes a registration. Proof is the hash of a presented secret.
	Delete struct {
		ID    wire.RegistrationID
		Proof *wire.ManageHash // or nil
	}

	// PutFreshness remembers an archive's newest state.
	PutFreshness struct {
		ID        wire.RegistrationID
		Manage    wire.ManageHash
		Freshness wire.Freshness
	}

	// Expire does no more than what every operation does first: what is due.
	Expire struct{}
)

// Format keeps secrets out of every print.
func (Register) Format(f fmt.State, _ rune) { redact(f) }

func (*Register) kind() uint8     { return 1 }
func (*Confirm) kind() uint8      { return 2 }
func (*Charge) kind() uint8       { return 3 }
func (*Prove) kind() uint8        { return 4 }
func (*Delete) kind() uint8       { return 5 }
func (*PutFreshness) kind() uint8 { return 6 }
func (*Expire) kind() uint8       { return 7 }

func newOp(kind uint8) Op {
	for _, op := range []Op{
		new(Register), new(Confirm), new(Charge), new(Prove), new(Delete), new(PutFreshness), new(Expire),
	} {
		if op.kind() == kind {
			return op
		}
	}
	return nil
}

// AppendOp appends an operation's encoding.
func AppendOp(to []byte, op Op) []byte {
	b := cryptobyte.NewBuilder(to)
	b.AddUint8(op.kind())
	op.add(b)
	return b.BytesOrPanic() // every length is fixed
}

// ParseOp decodes an operation, or returns ErrMalformed.
func ParseOp(encoded []byte) (Op, error) {
	r := &reader{s: encoded}
	op := newOp(r.uint8())
	if op == nil {
		return nil, ErrMalformed
	}
	op.read(r)
	if err := r.end(); err != nil {
		return nil, err
	}
	return op, nil
}

func (op *Register) add(b *cryptobyte.Builder) {
	b.AddBytes(op.ID[:])
	b.AddUint64(op.Ticket)
	b.AddUint8(op.Generation)
	b.AddBytes(op.OPRFKey[:])
	b.AddBytes(op.Record[:])
	b.AddBytes(op.SealedKey[:])
	b.AddBytes(op.Manage[:])
	addKSF(b, op.KSF)
}

func (op *Register) read(r *reader) {
	r.fixed(op.ID[:])
	op.Ticket = r.uint64()
	op.Generation = r.uint8()
	r.fixed(op.OPRFKey[:])
	r.fixed(op.Record[:])
	r.fixed(op.SealedKey[:])
	r.fixed(op.Manage[:])
	op.KSF = r.ksf()
}

func (op *Confirm) add(b *cryptobyte.Builder) {
	b.AddBytes(op.ID[:])
	b.AddBytes(op.Manage[:])
	addHash(b, op.Replaces)
}

func (op *Confirm) read(r *reader) {
	r.fixed(op.ID[:])
	r.fixed(op.Manage[:])
	op.Replaces = r.hash()
}

func (op *Charge) add(b *cryptobyte.Builder) {
	b.AddBytes(op.ID[:])
	b.AddUint64(uint64(op.Serial))
	b.AddBytes(op.Element[:])
}

func (op *Charge) read(r *reader) {
	r.fixed(op.ID[:])
	op.Serial = r.serial()
	r.fixed(op.Element[:])
}

func (op *Prove) add(b *cryptobyte.Builder) {
	b.AddBytes(op.ID[:])
	b.AddUint64(uint64(op.Serial))
}

func (op *Prove) read(r *reader) {
	r.fixed(op.ID[:])
	op.Serial = r.serial()
}

func (op *Delete) add(b *cryptobyte.Builder) {
	b.AddBytes(op.ID[:])
	addHash(b, op.Proof)
}

func (op *Delete) read(r *reader) {
	r.fixed(op.ID[:])
	op.Proof = r.hash()
}

func (op *PutFreshness) add(b *cryptobyte.Builder) {
	b.AddBytes(op.ID[:])
	b.AddBytes(op.Manage[:])
	addFreshness(b, op.Freshness)
}

func (op *PutFreshness) read(r *reader) {
	r.fixed(op.ID[:])
	r.fixed(op.Manage[:])
	op.Freshness = r.freshness()
}

func (*Expire) add(*cryptobyte.Builder) {}
func (*Expire) read(*reader)            {}

// addHash adds a hash that may be missing.
func addHash(b *cryptobyte.Builder, h *wire.ManageHash) {
	if h == nil {
		b.AddUint8(0)
		return
	}
	b.AddUint8(1)
	b.AddBytes(h[:])
}

func (r *reader) hash() *wire.ManageHash {
	if !r.bool() {
		return nil
	}
	h := new(wire.ManageHash)
	r.fixed(h[:])
	return h
}
