// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// target is a registration that can be guessed at, or nil.
func target(s *wire.StatusAnswer, wanted func(wire.RegistrationID) bool) *wire.RegistrationStatus {
	for i := range s.Registrations {
		r := &s.Registrations[i]
		if (r.State == wire.StateLive || r.State == wire.StateRetained) && wanted(r.ID) {
			return r
		}
	}
	return nil
}

// guessAt makes one guess with a password, and returns the answer.
func (c *client) guessAt(id wire.RegistrationID, serial wire.Serial, password string) (*wire.RecoverStarted, error) {
	g := &guess{id: id, serial: serial}
	var blind [64]byte
	var nonce, share [32]byte
	c.fill(blind[:], nonce[:], share[:])
	var err error
	if g.login, g.ke1, err = opaque.StartLogin([]byte(password), blind, nonce, share); err != nil {
		c.w.fail("world", err)
		return nil, err
	}
	c.last = g
	return c.repeat(g)
}

// repeat asks for the same guess, the first time or again.
func (c *client) repeat(g *guess) (*wire.RecoverStarted, error) {
	answer, err := c.ask(&wire.RecoverStart{Registration: g.id, Serial: g.serial, KE1: g.ke1})
	if err != nil {
		return nil, err
	}
	c.w.trace.count["guess"]++
	return answer.(*wire.RecoverStarted), nil
}

// wrong guesses wrong.
func (c *client) wrong() {
	s := c.status()
	if s == nil {
		return
	}
	if r := target(s, func(wire.RegistrationID) bool { return true }); r != nil {
		_, _ = c.guessAt(r.ID, s.Serial+1, fmt.Sprint("wrong ", c.random.Uint32()))
	}
}

// again repeats the last guess: it is free if it is still the account's last one.
func (c *client) again() {
	if c.last != nil {
		_, _ = c.repeat(c.last)
	}
}

// recover guesses right, proves it and checks that K is the one that was stored. It reports whether K came back.
func (c *client) recover() bool {
	s := c.status()
	if s == nil {
		return false
	}
	r := target(s, func(id wire.RegistrationID) bool { return c.own(id) != nil })
	if r == nil {
		return false
	}
	o := c.own(r.ID)
	started, err := c.guessAt(o.id, s.Serial+1, o.password)
	for range 3 {
		if err != nil {
			return false
		}
		var again bool
		if again, err = c.prove(o, started); !again {
			return err == nil
		}
		started, err = c.repeat(c.last) // the login died with its core: the same guess once more
	}
	return false
}

// prove sends the proof of the last guess. Again: the core has forgotten the login.
func (c *client) prove(o *owned, started *wire.RecoverStarted) (again bool, err error) {
	ke3, session, export, err := c.last.login.FinishCheaply(started.KE2, c.identities())
	if err != nil {
		c.w.fail("answer", fmt.Errorf("the right password does not open the answer: %w", err))
		return false, err
	}
	answer, err := c.ask(&wire.RecoverFinish{Registration: o.id, Serial: c.last.serial, KE3: ke3})
	var refusal *wire.Error
	if errors.As(err, &refusal) {
		return refusal.Code == wire.CodeSession || refusal.Code == wire.CodeProof, err
	}
	if err != nil {
		return false, err
	}
	finished := answer.(*wire.RecoverFinished)
	sealed, err := oneUse(session[:], wire.DomainDelivery, o.id[:]).Open(nil, make([]byte, 12), finished.Key[:], nil)
	if err == nil {
		sealed, err = oneUse(export[:], wire.DomainSealedKey, nil).Open(nil, make([]byte, 12), sealed, nil)
	}
	if err != nil || [32]byte(sealed) != o.key {
		c.w.fail("answer", fmt.Errorf("another K came back: %v", err))
	}
	c.w.trace.count["recovered"]++
	return false, nil
}

func (c *client) own(id wire.RegistrationID) *owned {
	for i := range c.owned {
		if c.owned[i].id == id {
			return &c.owned[i]
		}
	}
	return nil
}
