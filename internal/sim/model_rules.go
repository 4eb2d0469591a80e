// SPDX-License-Identifier: Apache-2.0

package sim

import "github.com/coffer-backup/coffer/wire"

// refused tells why a request was refused; 0: it was not, or nobody knows.
func refused(output any) wire.Code {
	if e, ok := output.(*wire.Error); ok {
		return e.Code
	}
	return 0
}

// either is what an unknown outcome leaves: it happened or it did not.
func either(output any, before account, after ...account) []account {
	if output == nil {
		after = append(after, before)
	}
	return after
}

// gone returns what a refusal says of a registration, if that may be so.
func (a account) gone(r modelled, known bool, code wire.Code) []account {
	switch {
	case code == wire.CodeNoRegistration && !known:
		return []account{a}
	case code == wire.CodeNoRegistration && (r.state != wire.StateLive || r.left == 0): // it expired, or its tombstone was forgotten
		return []account{a.without(func(o modelled) bool { return o.id == r.id })}
	case code == wire.CodeDestroyed && known && r.state == wire.StateDestroyed:
		return []account{a}
	case code == wire.CodeDestroyed && known && r.confirmed() && r.left == 0:
		return []account{a.with(modelled{id: r.id, state: wire.StateDestroyed})}
	}
	return nil
}

// finish stores a pending registration, in place of one that was pending. A ticket that is refused may be of another
// core, or too late.
func (a account) finish(in finishing, output any, budget uint8) []account {
	if refused(output) == wire.CodeTicket {
		return []account{a}
	}
	if refused(output) != 0 {
		return nil
	}
	if _, known := a.find(in.id); known {
		return []account{a}
	}
	stored := a.without(func(r modelled) bool { return r.state == wire.StatePending })
	return either(output, a, stored.with(modelled{in.id, wire.StatePending, budget, in.manage}))
}

// confirm makes a registration live: what it proves dies, what is live beside it is retained.
func (a account) confirm(in *wire.RegisterConfirm, output any) []account {
	r, known := a.find(in.Registration)
	switch code := refused(output); {
	case code == wire.CodeTooMany:
		return []account{a}
	case code == wire.CodeReplaced && known && r.state == wire.StateRetained:
		return []account{a}
	case code != 0:
		return a.gone(r, known, code)
	case !known || r.state == wire.StateDestroyed || r.state == wire.StateRetained:
		return either(output, a)
	case r.state == wire.StateLive:
		return []account{a}
	}
	return either(output, a, a.makeLive(r, in)...)
}

// makeLive returns the account after a confirmation. What had no guess left may have been destroyed by then, which leaves its name.
func (a account) makeLive(r modelled, in *wire.RegisterConfirm) []account {
	ways := []account{a}
	for _, o := range a.regs {
		proved := o.manage == r.manage || in.Replaces != nil && o.manage == in.Replaces.Hash()
		for i, way := range ways {
			if o.confirmed() && o.left == 0 {
				ways = append(ways, way.with(modelled{id: o.id, state: wire.StateDestroyed}))
			}
			switch {
			case o.confirmed() && proved:
				ways[i] = way.without(func(p modelled) bool { return p.id == o.id })
			case o.state == wire.StateLive:
				kept := o
				kept.state = wire.StateRetained
				ways[i] = way.with(kept)
			}
		}
	}
	r.state = wire.StateLive
	for i := range ways {
		ways[i] = ways[i].with(r)
	}
	return ways
}

// guess is charged to all that can be guessed at; those whose cooldown may run may be left out.
func (a account) guess(in guessing, output any, budget uint8) []account {
	r, known := a.find(in.id)
	isLast := a.serial != 0 && in.serial == a.serial && a.last == guessed{in.id, in.element}
	next := in.serial == a.serial+1
	switch code := refused(output); {
	case code == wire.CodeStaleSerial:
		if e := output.(*wire.Error); known && r.confirmed() && !isLast && !next && e.Serial == a.serial && e.GuessesLeft == r.left {
			return []account{a}
		}
		return nil
	case code == wire.CodeLocked:
		if known && r.confirmed() && next && r.mayLock(budget) && output.(*wire.Error).GuessesLeft == r.left {
			return []account{a}
		}
		return nil
	case code == wire.CodePending && known && r.state == wire.StatePending:
		return []account{a}
	case code != 0:
		return a.gone(r, known, code)
	case !known || !r.confirmed() || !isLast && (!next || r.left == 0):
		return either(output, a)
	}
	told, _ := output.(*wire.RecoverStarted)
	if isLast {
		if told != nil && (!told.Repeated || told.GuessesLeft != r.left) {
			return nil
		}
		return []account{a}
	}
	if told != nil && told.GuessesLeft != r.left-1 { // it may be told that it is repeated: by itself, when an answer got lost
		return nil
	}
	return either(output, a, a.charge(in, budget)...)
}

// charge returns the account after a guess, in every way that cooldowns allow.
func (a account) charge(in guessing, budget uint8) []account {
	a.serial, a.last = in.serial, guessed{in.id, in.element}
	ways := []account{a}
	for _, r := range a.regs {
		if !r.confirmed() || r.left == 0 {
			continue
		}
		free := r.id != in.id && r.mayLock(budget)
		r.left--
		for i, way := range ways {
			if free {
				ways = append(ways, way)
			}
			ways[i] = way.with(r)
		}
	}
	return ways
}

// prove refills the registration of the last guess.
func (a account) prove(in *wire.RecoverFinish, output any, budget uint8) []account {
	r, known := a.find(in.Registration)
	switch code := refused(output); {
	case code == wire.CodeSession || code == wire.CodeProof:
		return []account{a}
	case code != 0:
		return a.gone(r, known, code)
	case !known || !r.confirmed() || in.Serial != a.serial || a.last.id != in.Registration:
		return either(output, a)
	}
	r.left = budget
	return either(output, a, a.with(r))
}

// delete ends a registration at once, or retains it.
func (a account) delete(in *wire.Delete, output any) []account {
	r, known := a.find(in.Registration)
	code := refused(output)
	if code != 0 {
		return a.gone(r, known, code)
	}
	if !known || r.state == wire.StateDestroyed {
		return either(output, a)
	}
	done, _ := output.(*wire.Deleted)
	atOnce := in.Proof != nil || r.state == wire.StatePending
	if done != nil && atOnce != (done.RetainedMs == 0) {
		return nil
	}
	if atOnce {
		return either(output, a, a.without(func(o modelled) bool { return o.id == r.id }))
	}
	r.state = wire.StateRetained
	return either(output, a, a.with(r))
}

// status must be what time alone can have made of the account. It need not stay so: a core shows what is due by its own clock as done, and the
// clock of the next one, after a crash, may be a little behind.
func (a account) status(output any) []account {
	told, ok := output.(*wire.StatusAnswer)
	if !ok || told.Serial != a.serial {
		return nil
	}
	shown := map[wire.RegistrationID]bool{}
	for _, s := range told.Registrations {
		r, known := a.find(s.ID)
		shown[s.ID] = true
		exhausted := r.confirmed() && r.left == 0
		switch {
		case !known:
			return nil
		case exhausted && (s.State == wire.StateExhausted || s.State == wire.StateDestroyed):
		case exhausted || s.State != r.state || s.GuessesLeft != r.left:
			return nil
		}
	}
	for _, r := range a.regs {
		if !shown[r.id] && r.state == wire.StateLive && r.left > 0 {
			return nil // time alone ends no live registration
		}
	}
	return []account{a}
}
