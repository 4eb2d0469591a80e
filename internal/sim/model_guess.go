// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/coffer-backup/coffer/wire"
)

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
