// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// ksf is what registrations say of their cost. Stretching itself is done cheaply: see opaque.FinishCheaply.
var ksf = wire.KSF(opaque.DefaultKSF)

func (c *client) identities() opaque.Identities {
	return opaque.Identities{Client: c.id[:], Server: c.w.descriptor.Fleet[:]}
}

func (c *client) manage(key [32]byte) wire.ManageSecret {
	return wire.NewManageSecret(key[:], c.w.descriptor.Fleet, c.id)
}

// register makes a registration live. With proof it names the K that it replaces.
func (c *client) register(withProof bool) {
	new := owned{password: fmt.Sprint("password ", c.random.Uint32())}
	c.fill(new.key[:])
	if !c.store(&new) {
		return
	}
	if c.random.IntN(6) == 0 { // too early: it must be refused (INV-PENDING)
		if s := c.status(); s != nil {
			_, _ = c.guessAt(new.id, s.Serial+1, new.password)
		}
	}
	confirm := &wire.RegisterConfirm{Registration: new.id, Manage: c.manage(new.key)}
	if withProof && len(c.owned) > 0 {
		old := c.manage(c.owned[len(c.owned)-1].key)
		confirm.Replaces = &old
	}
	c.owned = append(c.owned, new)
	if _, err := c.ask(confirm); err == nil {
		c.owned[len(c.owned)-1].live = true
		c.w.trace.count["registered"]++
	}
}

// store leaves a registration pending.
func (c *client) store(o *owned) bool {
	var blind [64]byte
	var nonce [32]byte
	c.fill(blind[:], nonce[:])
	registration, blinded, err := opaque.StartRegistration([]byte(o.password), blind)
	if err != nil {
		c.w.fail("world", err)
		return false
	}
	answer, err := c.ask(&wire.RegisterStart{Blinded: blinded})
	if err != nil {
		return false
	}
	started := answer.(*wire.RegisterStarted)
	o.id, c.storing = started.Registration, started.Registration
	record, export, server, err := registration.FinishCheaply(started.Response, c.identities(), nonce)
	if err != nil || server != c.w.descriptor.OPAQUE {
		c.w.fail("answer", fmt.Errorf("a registration cannot be finished: %v", err))
		return false
	}
	_, err = c.ask(&wire.RegisterFinish{
		Ticket: started.Ticket, Record: record, SealedKey: [wire.SealedKeySize]byte(
			oneUse(export[:], wire.DomainSealedKey, nil).Seal(nil, make([]byte, 12), o.key[:], nil)),
		Manage: c.manage(o.key).Hash(), KSF: ksf,
	})
	return err == nil
}

// oneUse is a cipher for one plaintext.
func oneUse(secret []byte, domain string, context []byte) cipher.AEAD {
	key := wire.DeriveKey(secret, domain, context)
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var gcm cipher.AEAD
		if gcm, err = cipher.NewGCM(block); err == nil {
			return gcm
		}
	}
	panic(err) // 32 bytes are a key
}

// status asks for the account's state.
func (c *client) status() *wire.StatusAnswer {
	answer, err := c.ask(&wire.Status{})
	if err != nil {
		return nil
	}
	return answer.(*wire.StatusAnswer)
}

// delete deletes the newest registration of this client, or, as a thief does, one of another.
func (c *client) delete(withProof bool) {
	if withProof {
		if len(c.owned) > 0 {
			o := c.owned[len(c.owned)-1]
			proof := c.manage(o.key)
			_, _ = c.ask(&wire.Delete{Registration: o.id, Proof: &proof})
		}
		return
	}
	if s := c.status(); s != nil {
		if r := target(s, func(id wire.RegistrationID) bool { return (c.own(id) == nil) == c.thief }); r != nil {
			_, _ = c.ask(&wire.Delete{Registration: r.ID})
		}
	}
}
