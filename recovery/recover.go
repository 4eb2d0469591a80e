// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

const (
	maxRaces    = 4 // how often another device may be first, each time at no cost
	maxSessions = 4 // how often a core may forget a login, each time at no cost
)

// Recovered is what a right password brings back.
type Recovered struct {
	K            [32]byte
	Registration wire.RegistrationID
	Freshness    []wire.Freshness // the newest state of each archive that a device has told
	GuessesLeft  uint8            // refilled
}

func (Recovered) String() string   { return "(redacted)" }
func (Recovered) GoString() string { return "(redacted)" }

// Recover gets K back with a password from a registration, see Choose. It uses one guess, or none: a wrong
// password is a *WrongPassword and the guess is gone; a right one refills. An answer that got lost is asked
// for again as the same guess. If it never comes, the error is a *MaybeCounted, and Recover by this Client with
// the same password repeats the same guess, free.
func (c *Client) Recover(ctx context.Context, pass string, id wire.RegistrationID) (*Recovered, error) {
	prepared, err := prepare(pass)
	if err != nil {
		return nil, err
	}
	defer clear(prepared)
	c.guessing.Lock()
	defer c.guessing.Unlock()
	g, err := c.begin(prepared, id)
	if err != nil {
		return nil, err
	}
	defer c.end(g)
	for range maxRaces {
		var r *Recovered
		err := c.takeSerial(ctx, g)
		if err == nil {
			r, err = c.prove(ctx, g)
		}
		if !refusedWith(err, wire.CodeStaleSerial) {
			return r, g.settle(err)
		}
		if !g.lostTo(err) {
			g.lost = false // the vault remembers it no longer, so that the next try is another guess
			return nil, &MaybeCounted{ErrRace}
		}
	}
	return nil, g.settle(ErrRace)
}

// takeSerial gives a guess that has none the account's next serial.
func (c *Client) takeSerial(ctx context.Context, g *guess) error {
	if g.serial != 0 {
		return nil
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	for _, r := range status.Registrations {
		switch {
		case r.ID != g.id:
		case r.State == wire.StateExhausted: // a new guess would destroy it at once, before who made the last one can prove it
			return ErrExhausted
		case r.LockedUntil > status.Now: // and a guess that is sent too early could be delivered later
			return &Locked{duration(uint64(r.LockedUntil - status.Now)), r.GuessesLeft}
		}
	}
	g.serial = status.Serial + 1
	return nil
}

// lostTo reports whether a stale serial means for sure that this guess was not counted, so that it may have another serial: another guess has just
// this serial, and is the last. Otherwise it may have been counted before the others were, also if no answer got lost: whoever carried the request may have
// delivered it twice, and dropped the first answer.
func (g *guess) lostTo(err error) bool {
	refusal, _ := errors.AsType[*wire.Error](err)
	if refusal.Serial != g.serial {
		return false
	}
	g.serial, g.lost = 0, false
	return true
}

// prove sends the guess and, if the password is right, its proof. A core that has forgotten the login answers the same guess again.
func (c *Client) prove(ctx context.Context, g *guess) (r *Recovered, err error) {
	for range maxSessions {
		r, err = c.session(ctx, g)
		// CodeProof: after a restart somebody on the way repeated the guess, and the core waits for the proof of another KE2 than ours.
		if !refusedWith(err, wire.CodeSession) && !refusedWith(err, wire.CodeProof) {
			return r, err
		}
	}
	return nil, fmt.Errorf("%w: it forgets the login each time", ErrUnavailable)
}

func (c *Client) session(ctx context.Context, g *guess) (*Recovered, error) {
	started, err := ask[*wire.RecoverStarted](ctx, c, &wire.RecoverStart{Registration: g.id, Serial: g.serial, KE1: g.ke1}, &g.lost)
	if err != nil {
		return nil, err
	}
	g.lost = true // counted; the answer is worth nothing before the password is known to be wrong, or the proof has arrived
	// It refuses a cost out of bounds before it takes the memory.
	ke3, session, export, err := g.login.Finish(started.KE2, c.identities(), opaque.KSF(started.KSF))
	if errors.Is(err, opaque.ErrWrongPassword) {
		return nil, &WrongPassword{started.GuessesLeft, duration(started.LockedForMs), started.GuessesLeft == 0}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	defer clear(session[:])
	defer clear(export[:])
	return c.finish(ctx, g, ke3, &session, &export)
}

func (c *Client) finish(ctx context.Context, g *guess, ke3 [wire.KE3Size]byte, session, export *[64]byte) (*Recovered, error) {
	var lost bool // of a proof; the guess itself is counted
	finished, err := ask[*wire.RecoverFinished](ctx, c, &wire.RecoverFinish{Registration: g.id, Serial: g.serial, KE3: ke3}, &lost)
	if err != nil {
		return nil, err
	}
	g.lost = false
	sealed, err := openDelivery(session, &finished.Key, g.id)
	if err != nil {
		return nil, err
	}
	k, err := openKey(export, sealed, c.context(g.id))
	defer clear(k[:])
	if err != nil {
		return nil, err
	}
	return &Recovered{K: k, Registration: g.id, Freshness: finished.Freshness, GuessesLeft: finished.GuessesLeft}, nil
}
