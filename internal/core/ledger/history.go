// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/coffer-backup/coffer/wire"
)

// History checks INV-BUDGET and INV-DESTROYED over all of one account's life. The zero History is ready.
type History struct {
	registrations []*past
}

// past is what a History knows of a registration.
type past struct {
	id     wire.RegistrationID
	budget uint8
	gone   bool                 // from the account, or destroyed
	last   wire.ElementDigest   // evaluated last
	proved wire.ElementDigest   // the proved guess: to evaluate it again is no new guess
	since  []wire.ElementDigest // distinct guesses evaluated since
}

func (h *History) find(id wire.RegistrationID) *past {
	i := slices.IndexFunc(h.registrations, func(r *past) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return h.registrations[i]
}

// Saw takes notice of the account after a step: of new registrations, and of those that are gone and must stay so.
func (h *History) Saw(a *Account) error {
	for i := range a.Registrations {
		r := &a.Registrations[i]
		known := h.find(r.ID)
		if known == nil {
			known = &past{id: r.ID, budget: r.Budget}
			h.registrations = append(h.registrations, known)
		}
		if known.gone && r.State != wire.StateDestroyed {
			return broken(ErrDestroyed, "%v is %v again", r.ID, r.State)
		}
	}
	for _, known := range h.registrations {
		r := a.find(known.id)
		known.gone = r == nil || r.State == wire.StateDestroyed
	}
	return nil
}

// Evaluated takes notice of an evaluation that leaves the core.
func (h *History) Evaluated(c *Charged) error {
	r := h.find(c.registration)
	if r == nil || r.gone {
		return broken(ErrDestroyed, "%v is evaluated and is not there", c.registration)
	}
	r.last = c.element
	if c.element == r.proved || slices.Contains(r.since, c.element) {
		return nil
	}
	if r.since = append(r.since, c.element); len(r.since) > int(r.budget) {
		return broken(ErrBudget, "%d distinct guesses at %v, whose budget is %d", len(r.since), r.id, r.budget)
	}
	return nil
}

// Proved takes notice of a committed proof of the last guess.
func (h *History) Proved(id wire.RegistrationID) {
	if r := h.find(id); r != nil {
		r.proved, r.since = r.last, nil
	}
}
