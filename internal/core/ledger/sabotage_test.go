// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

type applyFunc = func(*wire.Policy, wire.UnixMs, *Account, Op) Outcome

// TestCheckersFire takes one rule out of Apply at a time, by doing around it what the rule
// forbids. Unsabotaged, the same story passes.
func TestCheckersFire(t *testing.T) {
	for _, test := range []struct {
		name      string
		invariant error
		sabotage  applyFunc
		story     func(w *world) error
	}{
		{"a pending registration is evaluated", ErrPending, pendingAsLive, func(w *world) error {
			return w.last(w.newGuess(w.pending(w.manage())))
		}},
		{"a pending registration becomes live by itself", ErrPending, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Expire); ok {
				setState(a, wire.StatePending, wire.StateLive)
			}
		}), func(w *world) error {
			w.pending(w.manage())
			return w.last(&Expire{})
		}},
		{"a wrong manage secret confirms", ErrPending, ignoringProof, func(w *world) error {
			return w.last(&Confirm{ID: w.pending(w.manage()), Manage: w.manage()})
		}},
		{"a retained registration becomes live again", ErrPending, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Expire); ok {
				setState(a, wire.StateRetained, wire.StateLive)
			}
		}), func(w *world) error {
			w.do(&Delete{ID: w.live(w.manage())})
			return w.last(&Expire{})
		}},

		{"a destroyed registration lives again", ErrDestroyed, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Expire); ok {
				setState(a, wire.StateDestroyed, wire.StateLive)
			}
		}), destroyedStory},
		{"a destroyed registration keeps its secrets", ErrDestroyed, keepingSecrets, destroyedStory},
		{"an exhausted registration outlives its time", ErrDestroyed, withoutExpiry, exhaustedStory},
		{"an exhausted registration is evaluated after its time", ErrDestroyed, withoutExpiry, func(w *world) error {
			id := w.live(w.manage())
			w.guesses(9, id)
			w.now = w.a.find(id).LockedUntil
			op := w.newGuess(id)
			w.do(op)
			w.now += wire.UnixMs(w.p.ProvableMs)
			return w.last(op)
		}},
		{"a used ticket stores again", ErrDestroyed, ignoringTicket, func(w *world) error {
			op := w.newRegister(w.manage())
			w.do(op)
			w.do(&Delete{ID: op.ID})
			return w.last(op)
		}},
		{"a forgotten id returns under a fresh ticket", ErrDestroyed, Apply, func(w *world) error {
			op := w.newRegister(w.manage())
			w.do(op)
			w.do(&Delete{ID: op.ID})
			if w.sound { // what Apply cannot know, and the history must
				return nil
			}
			op.Ticket = w.a.Tickets
			return w.last(op)
		}},

		{"a confirmation ends another without proof", ErrProof, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Confirm); ok {
				a.remove(func(r *Registration) bool { return r.State == wire.StateRetained })
			}
		}), takeoverStory},
		{"a confirmation shortens another's grace", ErrProof, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Confirm); ok {
				for i := range a.Registrations {
					if r := &a.Registrations[i]; r.State == wire.StateRetained {
						r.ExpiresAt--
					}
				}
			}
		}), takeoverStory},
		{"the token alone deletes at once", ErrProof, after(func(a *Account, op Op, o *Outcome) {
			if d, ok := op.(*Delete); ok && o.Deleted != nil {
				a.remove(func(r *Registration) bool { return r.ID == d.ID })
			}
		}), deleteStory},
		{"a wrong proof deletes at once", ErrProof, ignoringProof, func(w *world) error {
			wrong := w.manage()
			return w.last(&Delete{ID: w.live(w.manage()), Proof: &wrong})
		}},
		{"a repeated deletion shortens the grace", ErrProof, after(func(a *Account, op Op, o *Outcome) {
			if d, ok := op.(*Delete); ok && o.Deleted != nil && o.Deleted.RetainedMs < 30*dayMs {
				a.find(d.ID).ExpiresAt -= 1000
			}
		}), func(w *world) error {
			id := w.live(w.manage())
			w.do(&Delete{ID: id})
			w.now += 1000
			return w.last(&Delete{ID: id})
		}},
		{"a record is exchanged", ErrProof, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Charge); ok {
				a.Registrations[0].Record[0]++
			}
		}), guessStory},
		{"a guess retains", ErrProof, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Charge); ok {
				setState(a, wire.StateLive, wire.StateRetained)
			}
		}), guessStory},
		{"a replayed guess destroys", ErrProof, after(func(a *Account, op Op, o *Outcome) {
			if o.Refusal != nil && o.Refusal.Code == wire.CodeStaleSerial {
				a.find(op.(*Charge).ID).destroy(1)
			}
		}), staleStory},

		{"a guess is charged to its target alone", ErrBudget, chargingOne, besideStory},
		{"a guess is charged to a locked one, too", ErrBudget, unlocked, besideLockedStory},
		{"a guess is charged to a locked one, which stays locked as it was", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Charged != nil {
				a.Registrations[0].GuessesLeft--
			}
		}), besideLockedStory},
		{"a guess makes another's lock longer", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Charged != nil {
				a.Registrations[0].LockedUntil++
			}
		}), besideLockedStory},
		{"a guess unlocks another", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Charged != nil {
				a.Registrations[0].LockedUntil = 0
			}
		}), besideLockedStory},
		{"a guess is charged to another twice", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Charged != nil {
				a.Registrations[0].GuessesLeft--
			}
		}), besideStory},
		{"a guess is free", ErrBudget, freeGuesses, guessStory},
		{"a locked registration is guessed", ErrBudget, unlocked, func(w *world) error {
			id := w.live(w.manage())
			w.guesses(4, id)
			return w.last(w.newGuess(id))
		}},
		{"a locked registration is guessed for free", ErrBudget, func(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
			registrations := a.clone().Registrations
			o := unlocked(p, now, a, op)
			a.Registrations = registrations
			return o
		}, func(w *world) error {
			id := w.live(w.manage())
			w.guesses(4, id)
			return w.last(w.newGuess(id))
		}},
		{"there is no cooldown", ErrBudget, after(func(a *Account, op Op, _ *Outcome) {
			for i := range a.Registrations {
				a.Registrations[i].LockedUntil = 0
			}
		}), func(w *world) error {
			id := w.live(w.manage())
			w.guesses(3, id)
			return w.last(w.newGuess(id))
		}},
		{"a proof refills all", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Proved != nil {
				refillAll(a)
			}
		}), func(w *world) error {
			w.live(w.manage())
			w.guess(w.live(w.manage()))
			return w.last(&Prove{ID: w.a.LastGuess.ID, Serial: w.a.Serial})
		}},
		{"an old proof refills", ErrBudget, anyProof, func(w *world) error {
			id := w.live(w.manage())
			w.guesses(2, id)
			return w.last(&Prove{ID: id, Serial: 1})
		}},
		{"a proof of another registration refills", ErrBudget, anyProof, func(w *world) error {
			old := w.live(w.manage())
			w.guess(w.live(w.manage()))
			return w.last(&Prove{ID: old, Serial: 1})
		}},
		{"a repeated confirmation refills", ErrBudget, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Confirm); ok {
				refillAll(a)
			}
		}), func(w *world) error {
			m := w.manage()
			id := w.live(m)
			w.guess(id)
			return w.last(&Confirm{ID: id, Manage: m})
		}},
		{"a refusal charges", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Refusal != nil && o.Refusal.Code == wire.CodeStaleSerial {
				a.Registrations[0].GuessesLeft--
			}
		}), staleStory},
		{"a refusal uses the serial", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Refusal != nil && o.Refusal.Code == wire.CodeStaleSerial {
				a.Serial++
			}
		}), staleStory},
		{"a repeat is charged", ErrBudget, after(func(a *Account, op Op, o *Outcome) {
			if o.Charged != nil && o.Charged.repeated {
				a.Registrations[0].GuessesLeft--
			}
		}), func(w *world) error {
			op := w.newGuess(w.live(w.manage()))
			w.do(op)
			return w.last(op)
		}},
		{"a new guess passes for a repeated one", ErrBudget, after(func(_ *Account, _ Op, o *Outcome) {
			if o.Charged != nil {
				o.Charged.repeated = true
			}
		}), guessStory},
		{"an older guess is answered again", ErrCommit, anySerial, func(w *world) error {
			id := w.live(w.manage())
			op := w.newGuess(id)
			w.do(op)
			w.guess(id)
			return w.last(op)
		}},
		{"the serial starts again", ErrBudget, after(func(a *Account, op Op, _ *Outcome) {
			if _, ok := op.(*Expire); ok {
				a.Serial = 0
			}
		}), func(w *world) error {
			w.guess(w.live(w.manage()))
			return w.last(&Expire{})
		}},

		{"another guess is evaluated", ErrCommit, after(func(_ *Account, _ Op, o *Outcome) {
			if o.Charged != nil {
				o.Charged.element[0]++
			}
		}), guessStory},
		{"a guess is evaluated and not remembered", ErrCommit, uncommitted, guessStory},
		{"an evaluation without a guess", ErrCommit, after(func(_ *Account, op Op, o *Outcome) {
			if _, ok := op.(*Prove); ok {
				*o = Outcome{Charged: &Charged{}}
			}
		}), func(w *world) error {
			id := w.live(w.manage())
			w.guess(id)
			return w.last(&Prove{ID: id, Serial: 1})
		}},
		{"another's key evaluates", ErrCommit, after(func(_ *Account, _ Op, o *Outcome) {
			if o.Charged != nil {
				o.Charged.oprfKey[0]++
			}
		}), guessStory},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.sound = true
			if err := test.story(w); err != nil {
				t.Fatalf("unsabotaged: %v", err)
			}
			w = newWorld(t)
			w.sabotage = test.sabotage
			if err := test.story(w); !errors.Is(err, test.invariant) {
				t.Fatalf("got %v, want %v", err, test.invariant)
			}
		})
	}
}

// TestHistoryCountsGuesses: the history alone finds too many guesses, even where each step looks right.
func TestHistoryCountsGuesses(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	first := w.guess(id)
	w.guesses(9, id)
	extra := *first
	if err := w.history.Evaluated(&extra); err != nil {
		t.Fatalf("an element that was evaluated before: %v", err)
	}
	extra.element = w.element()
	if err := w.history.Evaluated(&extra); !errors.Is(err, ErrBudget) {
		t.Fatalf("the eleventh guess: %v", err)
	}
	extra.registration[0]++
	if err := w.history.Evaluated(&extra); !errors.Is(err, ErrDestroyed) {
		t.Fatalf("a registration that never was: %v", err)
	}
}

// last applies a story's last operation, sabotaged in the second telling.
func (w *world) last(op Op) error {
	if w.sabotage != nil {
		w.apply = w.sabotage
	}
	_, err := w.try(op)
	return err
}

func guessStory(w *world) error { return w.last(w.newGuess(w.live(w.manage()))) }

func deleteStory(w *world) error { return w.last(&Delete{ID: w.live(w.manage())}) }

func takeoverStory(w *world) error {
	w.live(w.manage())
	m := w.manage()
	return w.last(&Confirm{ID: w.pending(m), Manage: m})
}

func staleStory(w *world) error {
	id := w.live(w.manage())
	w.guesses(10, id)
	return w.last(&Charge{ID: id, Serial: 3, Element: w.element()})
}

func exhaustedStory(w *world) error {
	w.guesses(10, w.live(w.manage()))
	w.now += wire.UnixMs(w.p.ProvableMs)
	return w.last(&Expire{})
}

func destroyedStory(w *world) error {
	if err := exhaustedStory(w); err != nil {
		return err
	}
	return w.last(&Expire{})
}

func besideStory(w *world) error {
	w.live(w.manage())
	return w.last(w.newGuess(w.live(w.manage())))
}

// besideLockedStory is of a guess while the account's first registration is locked.
func besideLockedStory(w *world) error {
	w.guesses(4, w.live(w.manage()))
	return w.last(w.newGuess(w.live(w.manage())))
}

// after lets a sabotage loose on what Apply left.
func after(sabotage func(a *Account, op Op, o *Outcome)) applyFunc {
	return func(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
		o := Apply(p, now, a, op)
		sabotage(a, op, &o)
		return o
	}
}

func setState(a *Account, from, to wire.State) {
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.State == from {
			r.State, r.ExpiresAt, r.Budget, r.GuessesLeft = to, 0, 10, 10
		}
	}
}

func refillAll(a *Account) {
	for i := range a.Registrations {
		a.Registrations[i].GuessesLeft = a.Registrations[i].Budget
	}
}

func pendingAsLive(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	r := a.find(op.(*Charge).ID)
	expires := r.ExpiresAt
	r.State, r.ExpiresAt = wire.StateLive, 0
	o := Apply(p, now, a, op)
	r.State, r.ExpiresAt = wire.StatePending, expires
	return o
}

// ignoringProof shows the right manage secret instead of the one in the operation.
func ignoringProof(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	switch op := op.(type) {
	case *Confirm:
		return Apply(p, now, a, &Confirm{ID: op.ID, Manage: a.find(op.ID).Manage})
	case *Delete:
		return Apply(p, now, a, &Delete{ID: op.ID, Proof: &a.find(op.ID).Manage})
	}
	return Apply(p, now, a, op)
}

func ignoringTicket(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	fresh := *op.(*Register)
	fresh.Ticket = a.Tickets
	return Apply(p, now, a, &fresh)
}

func keepingSecrets(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	before := a.clone()
	o := Apply(p, now, a, op)
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.State == wire.StateDestroyed {
			r.OPRFKey = before.find(r.ID).OPRFKey
		}
	}
	return o
}

// withoutExpiry stops the clock.
func withoutExpiry(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	return Apply(p, a.LastGuessAt, a, op)
}

func chargingOne(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	before := a.clone()
	o := Apply(p, now, a, op)
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.ID != op.(*Charge).ID {
			*r = *before.find(r.ID)
		}
	}
	return o
}

func freeGuesses(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	registrations := a.clone().Registrations
	o := Apply(p, now, a, op)
	a.Registrations = registrations
	return o
}

func unlocked(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	for i := range a.Registrations {
		a.Registrations[i].LockedUntil = 0
	}
	return Apply(p, now, a, op)
}

// anyProof takes the proof of any guess at any registration for the last one's.
func anyProof(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	last := a.LastGuess
	a.LastGuess.ID = op.(*Prove).ID
	o := Apply(p, now, a, &Prove{ID: op.(*Prove).ID, Serial: a.Serial})
	a.LastGuess = last
	return o
}

// anySerial takes every guess for the last one.
func anySerial(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	charge, serial, last := op.(*Charge), a.Serial, a.LastGuess
	a.Serial, a.LastGuess = charge.Serial, Guess{ID: charge.ID, Element: charge.Element}
	o := Apply(p, now, a, op)
	a.Serial, a.LastGuess = serial, last
	return o
}

// uncommitted evaluates before the account remembers.
func uncommitted(p *wire.Policy, now wire.UnixMs, a *Account, op Op) Outcome {
	return Apply(p, now, a.clone(), op)
}
