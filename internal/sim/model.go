// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/coffer-backup/coffer/wire"
)

// account is the model's state: what the answers of the vault must agree with. It is a rule book of its own, much smaller than ledger's: it
// knows no time. What time may do at any moment - expire, unlock, destroy what has no guess left - it allows at any moment.
type account struct {
	serial wire.Serial
	last   guessed
	regs   []modelled // sorted by id
}

type guessed struct {
	id      wire.RegistrationID
	element wire.ElementDigest
}

type modelled struct {
	id     wire.RegistrationID
	state  wire.State // never StateExhausted
	left   uint8
	manage wire.ManageHash
}

// Inputs of the model are the bodies of requests, but for these.
type (
	finishing struct {
		id     wire.RegistrationID
		manage wire.ManageHash
	}
	guessing struct {
		id      wire.RegistrationID
		serial  wire.Serial
		element wire.ElementDigest
	}
)

// confirmed tells whether a registration can be guessed at, if it has guesses left.
func (r modelled) confirmed() bool { return r.state == wire.StateLive || r.state == wire.StateRetained }

// mayLock tells whether a cooldown may run.
func (r modelled) mayLock(budget uint8) bool { return budget-r.left >= 4 }

func (a account) find(id wire.RegistrationID) (modelled, bool) {
	i := slices.IndexFunc(a.regs, func(r modelled) bool { return r.id == id })
	if i < 0 {
		return modelled{}, false
	}
	return a.regs[i], true
}

// with returns the account with a registration changed or added; states are never changed in place.
func (a account) with(r modelled) account {
	a = a.without(func(o modelled) bool { return o.id == r.id })
	a.regs = append(a.regs, r)
	slices.SortFunc(a.regs, func(x, y modelled) int { return cmp.Compare(string(x.id[:]), string(y.id[:])) })
	return a
}

func (a account) without(gone func(modelled) bool) account {
	a.regs = slices.DeleteFunc(slices.Clone(a.regs), gone)
	return a
}

func equal(x, y any) bool {
	a, b := x.(account), y.(account)
	return a.serial == b.serial && a.last == b.last && slices.Equal(a.regs, b.regs)
}

func newModel(budget uint8) porcupine.Model {
	nondeterministic := porcupine.NondeterministicModel{
		Init: func() []any { return []any{account{}} },
		Step: func(state, input, output any) (next []any) {
			for _, a := range rules(state.(account), input, output, budget) {
				next = append(next, a)
			}
			return next
		},
		Equal: equal,
	}
	return nondeterministic.ToModel()
}

// rules returns the states that an account may be in after a request with that answer; none if it cannot be answered so.
// An output of nil is unknown: everything that may have happened, nothing included.
func rules(a account, input, output any, budget uint8) []account {
	switch in := input.(type) {
	case *wire.Status:
		return a.status(output)
	case finishing:
		return a.finish(in, output, budget)
	case *wire.RegisterConfirm:
		return a.confirm(in, output)
	case guessing:
		return a.guess(in, output, budget)
	case *wire.RecoverFinish:
		return a.prove(in, output, budget)
	case *wire.Delete:
		return a.delete(in, output)
	}
	panic("sim: an input that the model does not know")
}
