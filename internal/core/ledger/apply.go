// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"github.com/coffer-backup/coffer/wire"
)

// Outcome is what an operation came to: exactly one field is set, and none after Expire.
type Outcome struct {
	Refusal      *wire.Error // the operation changed nothing but what was due anyway
	Registered   *wire.RegisterFinished
	Confirmed    *wire.RegisterConfirmed
	Charged      *Charged
	Proved       *Proved
	Deleted      *wire.Deleted
	FreshnessPut *wire.FreshnessPut
}

func refuse(c wire.Code) Outcome { return Outcome{Refusal: wire.Refuse(c)} }

// Apply does what is due at now, and then a committed operation. Whatever the
// outcome, the account may have changed. Now never goes back.
func Apply(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	a.expire(now)
	switch op := op.(type) {
	case *Register:
		return a.register(p, now, op)
	case *Confirm:
		return a.confirm(now, op)
	case *Charge:
		return a.charge(p, now, op)
	case *Prove:
		return a.prove(p, op)
	case *Delete:
		return a.delete(now, op)
	case *PutFreshness:
		return a.putFreshness(op)
	case *Expire:
		return Outcome{}
	}
	panic(fmt.Sprintf("ledger: unknown operation %T", op)) // ParseOp makes no other
}

// lookup returns the registration that an operation is about, or why there is none.
func (a *Account) lookup(id wire.RegistrationID) (*Registration, *wire.Error) {
	r := a.find(id)
	switch {
	case r == nil:
		return nil, wire.Refuse(wire.CodeNoRegistration)
	case r.State == wire.StateDestroyed:
		return nil, wire.Refuse(wire.CodeDestroyed)
	}
	return r, nil
}

// lookupConfirmed is lookup for what a pending registration cannot do.
func (a *Account) lookupConfirmed(id wire.RegistrationID) (*Registration, *wire.Error) {
	r, refusal := a.lookup(id)
	if refusal == nil && r.State == wire.StatePending {
		return nil, wire.Refuse(wire.CodePending)
	}
	return r, refusal
}
