// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/cipher"

	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// A ticket carries the fresh OPRF key of a registration from its start to its finish, so that the core need
// store nothing for who never finishes. It is sealed under a key that only this incarnation has.
type ticket struct {
	account      wire.AccountID
	registration wire.RegistrationID
	oprfKey      [32]byte
	number       uint64 // of the account's registrations so far: a ticket is good for the next one only
	expires      uint64 // by the core's elapsed time, which nobody sets
}

// tickets seals tickets under a key that lives for ten minutes, and opens them for ten more.
type tickets struct {
	current, previous cipher.AEAD
	renewed           uint64 // by the core's elapsed time
}

func (c *Core) ticketKeys() *tickets {
	t := &c.tickets
	if t.current == nil || c.elapsed >= t.renewed+ticketMs {
		t.previous, t.current, t.renewed = t.current, newGCM(c.entropy.bytes32()), c.elapsed
	}
	return t
}

func (c *Core) sealTicket(t *ticket) []byte {
	var b cryptobyte.Builder
	b.AddBytes(t.account[:])
	b.AddBytes(t.registration[:])
	b.AddBytes(t.oprfKey[:])
	b.AddUint64(t.number)
	b.AddUint64(t.expires)
	plain := b.BytesOrPanic()
	defer clear(plain)
	return c.seal(c.ticketKeys().current, plain, []byte(wire.DomainTicket))
}

// openTicket returns an account's ticket, if it is one of this core's and has not expired.
func (c *Core) openTicket(account wire.AccountID, sealed []byte) (t ticket, ok bool) {
	for _, key := range []cipher.AEAD{c.ticketKeys().current, c.tickets.previous} {
		if key == nil {
			continue
		}
		plain, err := unseal(key, sealed, []byte(wire.DomainTicket))
		if err != nil {
			continue
		}
		defer clear(plain)
		s := cryptobyte.String(plain)
		ok = s.CopyBytes(t.account[:]) && s.CopyBytes(t.registration[:]) && s.CopyBytes(t.oprfKey[:]) &&
			s.ReadUint64(&t.number) && s.ReadUint64(&t.expires) && s.Empty()
		return t, ok && t.account == account && c.elapsed < t.expires
	}
	return t, false
}

func (c *Core) registerStart(n uint64, r *request, b *wire.RegisterStart) {
	a, err := r.part.account(r.account)
	if err != nil {
		c.refuse(n, wire.CodeUnavailable)
		return
	}
	r.ticket = ticket{account: r.account, number: a.Tickets, expires: c.elapsed + ticketMs}
	c.entropy.fill(r.ticket.registration[:])
	c.emit(Run{n, &evaluateJob{&c.identity, c.entropy.bytes64(), b.Blinded}})
}

func (c *Core) registerStarted(n uint64, r *request, e *evaluated) {
	if e.refusal != nil {
		c.answer(n, e.refusal)
		return
	}
	r.ticket.oprfKey = e.oprfKey
	c.answer(n, &wire.RegisterStarted{Registration: r.ticket.registration, Response: e.response, Ticket: c.sealTicket(&r.ticket)})
}

func (c *Core) registerFinish(n uint64, r *request, b *wire.RegisterFinish) {
	t, ok := c.openTicket(r.account, b.Ticket)
	if !ok {
		c.refuse(n, wire.CodeTicket)
		return
	}
	c.proposeFor(n, r, &ledger.Register{
		ID: t.registration, Ticket: t.number, OPRFKey: t.oprfKey, Record: b.Record, SealedKey: b.SealedKey,
		Manage: b.Manage, KSF: b.KSF, Generation: c.identity.generation,
	})
}
