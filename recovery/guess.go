// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// guess is one password at one registration. To the vault it is its serial and its blinded element: sent
// again, in whatever envelope, it is the same guess and free.
type guess struct {
	id     wire.RegistrationID
	serial wire.Serial // 0: none yet
	ke1    [wire.KE1Size]byte
	login  *opaque.Login // has the password; dropped when Recover returns
	lost   bool          // it may have been counted though no answer came, or may still be: an envelope of it is about

	// Out of these and the password come the same element and key share again.
	blind           [64]byte
	nonce, keyShare [32]byte
}

func newGuess(prepared []byte, id wire.RegistrationID) (*guess, error) {
	g := &guess{id: id}
	random(g.blind[:], g.nonce[:], g.keyShare[:])
	var err error
	g.login, g.ke1, err = opaque.StartLogin(prepared, g.blind, g.nonce, g.keyShare)
	return g, err
}

// repeats reports whether a password at a registration is this guess, and readies it if so. The password itself is not kept
// for that: only the same one gives the same element.
func (g *guess) repeats(prepared []byte, id wire.RegistrationID) bool {
	if g == nil || g.id != id {
		return false
	}
	login, ke1, err := opaque.StartLogin(prepared, g.blind, g.nonce, g.keyShare)
	if err != nil || subtle.ConstantTimeCompare(ke1[:], g.ke1[:]) != 1 {
		return false
	}
	g.login = login
	return true
}

// begin returns the unfinished guess if it is the same, else a new one.
func (c *Client) begin(prepared []byte, id wire.RegistrationID) (*guess, error) {
	if c.unfinished.repeats(prepared, id) {
		return c.unfinished, nil
	}
	return newGuess(prepared, id)
}

// end keeps a guess that may have been counted or may still be, for the same password once more, and forgets every other. Whoever reads
// this process's memory then can test passwords against the element; it also has the password while a recovery runs.
func (c *Client) end(g *guess) {
	g.login = nil
	switch {
	case g.lost && c.unfinished != g:
		c.unfinished.forget()
		c.unfinished = g
	case !g.lost && c.unfinished == g:
		c.unfinished = nil
	}
	if !g.lost {
		g.forget()
	}
}

// settle explains how a guess ended, and whether it was counted.
func (g *guess) settle(err error) error {
	if err == nil {
		return nil
	}
	err = explain(err)
	lost := g.lost
	g.lost = g.isOpen(err)
	switch {
	case saysCount(err), lost && isGone(err): // of what is gone there are no guesses to tell
		return err
	case lost:
		return &MaybeCounted{err}
	}
	return noGuess(err)
}

// isOpen reports whether a guess that ended so can have been counted without our knowing, or still be: who
// holds an envelope of it that the core put off can deliver it later. Then it must not cost the user another guess.
func (g *guess) isOpen(err error) bool {
	_, locked := errors.AsType[*Locked](err)
	switch {
	case g.serial == 0: // never sent
		return false
	case locked:
		return true
	case saysCount(err), isGone(err):
		return false
	}
	return g.lost || errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (g *guess) forget() {
	if g != nil {
		clear(g.blind[:])
		clear(g.keyShare[:])
	}
}
