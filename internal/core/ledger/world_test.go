// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

const (
	minuteMs = 60_000
	dayMs    = 24 * 3600_000
)

// world is one account, its clock, and the checkers that look on.
type world struct {
	t interface {
		Helper()
		Fatalf(format string, args ...any)
	}
	p       wire.Policy
	now     wire.UnixMs
	a       *Account
	history History
	apply   func(*wire.Policy, wire.UnixMs, *Account, Op) Outcome
	next    uint64 // for ids and elements

	sabotage func(*wire.Policy, wire.UnixMs, *Account, Op) Outcome // of a story's last step, or nil
	sound    bool                                                  // the story is told without sabotage
}

func newWorld(t *testing.T) *world {
	return &world{t: t, p: wire.DefaultPolicy(), now: 1_800_000_000_000, a: new(Account), apply: Apply}
}

// try applies an operation and returns what the checkers find.
func (w *world) try(op Op) (Outcome, error) {
	before := w.a.clone()
	o := w.apply(&w.p, w.now, w.a, op)
	if err := CheckStep(&w.p, w.now, before, w.a, op, o); err != nil {
		return o, err
	}
	if o.Proved != nil {
		w.history.Proved(w.a.LastGuess.ID)
	}
	if err := w.history.Saw(w.a); err != nil {
		return o, err
	}
	if o.Charged != nil {
		return o, w.history.Evaluated(o.Charged)
	}
	return o, nil
}

// do is try where nothing may be broken, the encoding included.
func (w *world) do(op Op) Outcome {
	w.t.Helper()
	encodedOp := AppendOp(nil, op)
	parsed, err := ParseOp(encodedOp)
	if err != nil || !bytes.Equal(AppendOp(nil, parsed), encodedOp) {
		w.t.Fatalf("%T does not survive its encoding: %v", op, err)
	}
	o, err := w.try(parsed)
	if err != nil {
		w.t.Fatalf("after %T: %v", op, err)
	}
	encoded := string(w.a.Append(nil))
	again, err := Decode(encoded)
	if err != nil || string(again.Append(nil)) != encoded {
		w.t.Fatalf("after %T the account does not survive its encoding: %v", op, err)
	}
	if due := NextDeadline(encoded); due < w.now || due == w.now && w.p.GraceMs > 0 {
		w.t.Fatalf("after %T something was due at %d and is left at %d", op, due, w.now)
	}
	w.a = again
	return o
}

func (w *world) refused(op Op, code wire.Code) *wire.Error {
	w.t.Helper()
	before := w.a.Append(nil)
	o := w.do(op)
	if o.Refusal == nil || o.Refusal.Code != code {
		w.t.Fatalf("%T: got %+v, want the refusal %q", op, o, code)
	}
	if o.Refusal.Code != wire.CodeDestroyed && !bytes.Equal(before, w.a.Append(nil)) {
		w.t.Fatalf("%T: the refusal %q changed the account", op, code)
	}
	return o.Refusal
}

func (w *world) number() (b [32]byte) {
	w.next++
	binary.BigEndian.PutUint64(b[24:], w.next)
	return b
}

func (w *world) element() wire.ElementDigest { return w.number() }
func (w *world) manage() wire.ManageHash     { return w.number() }

// newRegister returns a registration with secrets that are nowhere zero.
func (w *world) newRegister(manage wire.ManageHash) *Register {
	id := w.number()
	op := &Register{Ticket: w.a.Tickets, Manage: manage, Generation: 1, KSF: wire.KSF{TimeCost: 3, MemoryKiB: 65536, Lanes: 4}}
	copy(op.ID[:], id[16:])
	for _, secret := range [][]byte{op.OPRFKey[:], op.Record[:], op.SealedKey[:]} {
		for i := range secret {
			secret[i] = id[31] | 0x80
		}
	}
	return op
}

func (w *world) pending(manage wire.ManageHash) wire.RegistrationID {
	w.t.Helper()
	op := w.newRegister(manage)
	if o := w.do(op); o.Registered == nil || o.Registered.ConfirmWithinMs != w.p.PendingMs {
		w.t.Fatalf("registration was not stored: %+v", o)
	}
	return op.ID
}

func (w *world) live(manage wire.ManageHash) wire.RegistrationID {
	w.t.Helper()
	id := w.pending(manage)
	if o := w.do(&Confirm{ID: id, Manage: manage}); o.Confirmed == nil {
		w.t.Fatalf("registration was not confirmed: %+v", o.Refusal)
	}
	return id
}

func (w *world) newGuess(id wire.RegistrationID) *Charge {
	return &Charge{ID: id, Serial: w.a.Serial + 1, Element: w.element()}
}

// guess waits for the cooldown to end, and guesses.
func (w *world) guess(id wire.RegistrationID) *Charged {
	w.t.Helper()
	if r := w.a.find(id); r != nil {
		w.now = max(w.now, r.LockedUntil)
	}
	o := w.do(w.newGuess(id))
	if o.Charged == nil {
		w.t.Fatalf("a guess was refused: %v", o.Refusal)
	}
	return o.Charged
}

func (w *world) guesses(n int, id wire.RegistrationID) (last *Charged) {
	w.t.Helper()
	for range n {
		last = w.guess(id)
	}
	return last
}

func (w *world) prove() Outcome { return w.do(&Prove{ID: w.a.LastGuess.ID, Serial: w.a.Serial}) }

func (w *world) state(id wire.RegistrationID) wire.State {
	for _, r := range Status(w.now, w.a).Registrations {
		if r.ID == id {
			return r.State
		}
	}
	return 0
}

// want compares the states of registrations; 0 is one that is not there.
func (w *world) want(states map[wire.RegistrationID]wire.State) {
	w.t.Helper()
	for id, want := range states {
		if got := w.state(id); got != want {
			w.t.Fatalf("%v is %v, want %v", id, got, want)
		}
	}
}

func (w *world) left(id wire.RegistrationID) uint8 { return w.a.find(id).GuessesLeft }
