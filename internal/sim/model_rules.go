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
