// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"fmt"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/internal/password"
	"github.com/coffer-backup/coffer/wire"
)

// maxStarts bounds how often a registration begins anew because its ticket died with a core.
const maxStarts = 4

// DefaultKSF is RFC 9106's second choice, 64 MiB. It is not chosen by this machine's memory: the key may have to come back on a
// phone that is smaller than the computer that registered it.
var DefaultKSF = wire.KSF(opaque.DefaultKSF)

// RegisterOptions are what a registration may say beside key and password. The zero value is for a first one.
type RegisterOptions struct {
	KSF wire.KSF // the password's Argon2id cost; zero: DefaultKSF

	// Replaces is the K of the living registration if this one's is another: the living one then dies at once.
	// One of the same K dies at once without it, as at a change of password. One that is not so proved
	// stays recoverable for its grace period.
	Replaces *[32]byte

	// BeforeConfirm is told the registration once it is stored and before it can become live, so that the caller can
	// make the name durable; an error ends the registration. After a crash Confirm with that name finishes it.
	BeforeConfirm func(wire.RegistrationID) error
}

// Register puts K into the vault under a password, of which the caller has judged the strength.
//
// It takes effect with its last step. A device that dies before leaves a pending registration, which cannot be
// guessed at and expires within the hour; one that dies during the last step
// finds in the status, or by Confirm, whether it took effect.
func (c *Client) Register(ctx context.Context, k *[32]byte, pass string, o RegisterOptions) (id wire.RegistrationID, done wire.RegisterConfirmed, err error) {
	prepared, err := prepare(pass)
	if err != nil {
		return id, done, err
	}
	defer clear(prepared)
	if o.KSF == (wire.KSF{}) {
		o.KSF = DefaultKSF
	}
	if err := opaque.KSF(o.KSF).Check(); err != nil {
		return id, done, err
	}
	for range maxStarts {
		if id, err = c.store(ctx, k, prepared, o.KSF); !refusedWith(err, wire.CodeTicket) {
			break
		}
	}
	if err != nil {
		return id, done, explain(err)
	}
	if o.BeforeConfirm != nil {
		if err := o.BeforeConfirm(id); err != nil {
			return id, done, err
		}
	}
	done, err = c.Confirm(ctx, id, k, o.Replaces)
	return id, done, err
}

// prepare normalises a password, so that it is the same from every keyboard (RFC 8265).
func prepare(pass string) ([]byte, error) {
	prepared, err := password.Prepare(pass)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassword, err)
	}
	return prepared, nil
}

// store makes a pending registration. All of it can be lost or repeated at no cost.
func (c *Client) store(ctx context.Context, k *[32]byte, prepared []byte, ksf wire.KSF) (id wire.RegistrationID, err error) {
	var (
		blind [64]byte
		nonce [32]byte
		lost  bool // a repeated step of a registration does no harm
	)
	random(blind[:], nonce[:])
	defer clear(blind[:])
	registration, request, err := opaque.StartRegistration(prepared, blind)
	if err != nil {
		return id, err
	}
	started, err := ask[*wire.RegisterStarted](ctx, c, &wire.RegisterStart{Blinded: request}, &lost)
	if err != nil {
		return id, err
	}
	id = started.Registration
	record, export, server, err := registration.Finish(started.Response, c.identities(), opaque.KSF(ksf), nonce)
	if err != nil {
		return id, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	defer clear(export[:])
	if server != c.config.Descriptor.OPAQUE {
		return id, fmt.Errorf("%w: it registers under another server key than the pinned one", ErrProtocol)
	}
	_, err = ask[*wire.RegisterFinished](ctx, c, &wire.RegisterFinish{
		Ticket: started.Ticket, Record: record, SealedKey: sealKey(&export, k, c.context(id)),
		Manage: c.manage(k).Hash(), KSF: ksf,
	}, &lost)
	return id, err
}

// Confirm makes a stored registration of K live, as Register does in its last step. It can be repeated: on one
// that is live already it changes nothing, and so tells a device after a crash whether that registration is its own.
// ErrReplaced says that it was live, and ErrRace that it is not there: nobody can tell whether it ever was live.
func (c *Client) Confirm(ctx context.Context, id wire.RegistrationID, k, replaces *[32]byte) (wire.RegisterConfirmed, error) {
	request := &wire.RegisterConfirm{Registration: id, Manage: c.manage(k)}
	defer clear(request.Manage[:])
	if replaces != nil {
		old := c.manage(replaces)
		defer clear(old[:])
		request.Replaces = &old
	}
	var lost bool
	done, err := ask[*wire.RegisterConfirmed](ctx, c, request, &lost)
	if refusedWith(err, wire.CodeNoRegistration) {
		return wire.RegisterConfirmed{}, fmt.Errorf("%w (the registration expired, or gave way to another one)", ErrRace)
	}
	if err != nil {
		return wire.RegisterConfirmed{}, explain(err)
	}
	return *done, nil
}
