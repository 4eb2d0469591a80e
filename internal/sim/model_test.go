// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/coffer-backup/coffer/wire"
)

// A story is what clients asked and were told, one after the other, but for what is unknown.
type story []porcupine.Operation

func (s story) then(in, out any) story {
	n := int64(2 * len(s))
	op := porcupine.Operation{Input: in, Output: out, Call: n, Return: n + 1}
	if out == nil {
		op.Return = math.MaxInt64
	}
	return append(s[:len(s):len(s)], op)
}

func (s story) explained() bool { return porcupine.CheckOperations(newModel(5), s) }

// TestModel: the model refuses what a vault that counts right cannot have said, and takes what it can.
func TestModel(t *testing.T) {
	id, other := wire.RegistrationID{1}, wire.RegistrationID{2}
	manage := wire.ManageSecret{1}
	guess := func(id wire.RegistrationID, serial wire.Serial, element byte) guessing {
		return guessing{id, serial, wire.ElementDigest{element}}
	}
	told := func(left uint8, repeated bool) *wire.RecoverStarted {
		return &wire.RecoverStarted{GuessesLeft: left, Repeated: repeated}
	}
	status := func(serial wire.Serial, regs ...wire.RegistrationStatus) *wire.StatusAnswer {
		return &wire.StatusAnswer{Serial: serial, Registrations: regs}
	}
	is := func(id wire.RegistrationID, state wire.State, left uint8) wire.RegistrationStatus {
		return wire.RegistrationStatus{ID: id, State: state, GuessesLeft: left}
	}
	live := story{}.then(finishing{id, manage.Hash()}, &wire.RegisterFinished{}).
		then(&wire.RegisterConfirm{Registration: id, Manage: manage}, &wire.RegisterConfirmed{})
	guessed := live.then(guess(id, 1, 1), told(4, false))
	lost := live.then(guess(id, 1, 1), nil)
	two := live.then(finishing{other, wire.ManageHash{2}}, &wire.RegisterFinished{}).
		then(&wire.RegisterConfirm{Registration: other}, &wire.RegisterConfirmed{})
	for name, c := range map[string]struct {
		story story
		want  bool
	}{
		"a guess":                       {guessed.then(&wire.Status{}, status(1, is(id, wire.StateLive, 4))), true},
		"a guess is forgotten":          {guessed.then(&wire.Status{}, status(0, is(id, wire.StateLive, 5))), false},
		"a guess is charged twice":      {guessed.then(&wire.Status{}, status(1, is(id, wire.StateLive, 3))), false},
		"a lost guess has happened":     {lost.then(&wire.Status{}, status(1, is(id, wire.StateLive, 4))), true},
		"a lost guess has not happened": {lost.then(&wire.Status{}, status(0, is(id, wire.StateLive, 5))), true},
		"a lost guess is undone": {lost.then(&wire.Status{}, status(1, is(id, wire.StateLive, 4))).
			then(&wire.Status{}, status(0, is(id, wire.StateLive, 5))), false},
		"a repetition is free":     {guessed.then(guess(id, 1, 1), told(4, true)), true},
		"a repetition costs":       {guessed.then(guess(id, 1, 1), told(3, true)), false},
		"two guesses, one serial":  {guessed.then(guess(id, 1, 2), told(3, false)), false},
		"an old serial is refused": {guessed.then(guess(id, 1, 2), &wire.Error{Code: wire.CodeStaleSerial, Serial: 1, GuessesLeft: 4}), true},
		"a new serial is refused":  {guessed.then(guess(id, 2, 2), &wire.Error{Code: wire.CodeStaleSerial, Serial: 1, GuessesLeft: 4}), false},
		"locked after one guess":   {guessed.then(guess(id, 2, 2), &wire.Error{Code: wire.CodeLocked, GuessesLeft: 4}), false},
		"a proof refills": {guessed.then(&wire.RecoverFinish{Registration: id, Serial: 1}, &wire.RecoverFinished{}).
			then(&wire.Status{}, status(1, is(id, wire.StateLive, 5))), true},
		"a proof refills nothing": {guessed.then(&wire.RecoverFinish{Registration: id, Serial: 1}, &wire.RecoverFinished{}).
			then(&wire.Status{}, status(1, is(id, wire.StateLive, 4))), false},
		"a second registration retains the first": {two.then(&wire.Status{}, status(0, is(id, wire.StateRetained, 5), is(other, wire.StateLive, 5))), true},
		"a second registration ends the first":    {two.then(guess(id, 1, 1), &wire.Error{Code: wire.CodeDestroyed}), false},
		"a guess is charged to both": {two.then(guess(other, 1, 1), told(4, false)).
			then(&wire.Status{}, status(1, is(id, wire.StateRetained, 4), is(other, wire.StateLive, 4))), true},
		"a guess is charged to one": {two.then(guess(other, 1, 1), told(4, false)).
			then(&wire.Status{}, status(1, is(id, wire.StateRetained, 5), is(other, wire.StateLive, 4))), false},
		"a live one vanishes": {live.then(&wire.Status{}, status(0)), false},
		"a deletion":          {live.then(&wire.Delete{Registration: id, Proof: &manage}, &wire.Deleted{}).then(&wire.Status{}, status(0)), true},
	} {
		if c.story.explained() != c.want {
			t.Errorf("%s: explained: %v", name, !c.want)
		}
	}
}
