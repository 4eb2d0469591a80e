// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

func TestGuessIsChargedToAll(t *testing.T) {
	w := newWorld(t)
	old := w.live(w.manage())
	id := w.live(w.manage())
	pending := w.pending(w.manage())
	c := w.guess(id)
	if c.GuessesLeft() != 9 || c.Serial() != 1 || c.Registration() != id || c.Repeated() || c.LockedForMs() != 0 {
		t.Fatalf("got %d left, serial %d", c.GuessesLeft(), c.Serial())
	}
	r := w.a.find(id)
	if c.OPRFKey() != r.OPRFKey || c.Record() != r.Record || c.KSF() != r.KSF || c.Generation() != 1 || c.Element() != w.a.LastGuess.Element {
		t.Fatal("the evaluation is of something else")
	}
	if w.left(old) != 9 || w.left(id) != 9 || w.left(pending) != 10 || w.a.LastGuessAt != w.now {
		t.Fatalf("left %d, %d, pending %d", w.left(old), w.left(id), w.left(pending))
	}
}

func TestProofRefillsOne(t *testing.T) {
	w := newWorld(t)
	old := w.live(w.manage())
	id := w.live(w.manage())
	w.guesses(6, id)
	o := w.prove()
	if o.Proved == nil || o.Proved.GuessesLeft != 10 || o.Proved.SealedKey != w.a.find(id).SealedKey {
		t.Fatalf("not proved: %v", o.Refusal)
	}
	if w.left(id) != 10 || w.left(old) != 4 || w.a.find(id).LockedUntil != 0 || w.a.find(old).LockedUntil == 0 {
		t.Fatalf("left %d and %d", w.left(id), w.left(old))
	}
	if again := w.prove(); again.Proved == nil {
		t.Fatalf("a lost answer could not be repeated: %v", again.Refusal)
	}
}

func TestProofNeedsTheLastGuess(t *testing.T) {
	w := newWorld(t)
	old := w.live(w.manage())
	id := w.live(w.manage())
	w.refused(&Prove{ID: id, Serial: 0}, wire.CodeSession) // no guess yet
	w.guesses(2, id)
	w.refused(&Prove{ID: id, Serial: 1}, wire.CodeSession)
	w.refused(&Prove{ID: id, Serial: 3}, wire.CodeSession)
	w.refused(&Prove{ID: old, Serial: 2}, wire.CodeSession)
	w.refused(&Prove{ID: wire.RegistrationID{9}, Serial: 2}, wire.CodeNoRegistration)
	w.refused(&Prove{ID: w.pending(w.manage()), Serial: 2}, wire.CodePending)
}

// However often a host replays a guess: nothing is used up, and nothing changes.
func TestRepeatIsFree(t *testing.T) {
	w := newWorld(t)
	old := w.live(w.manage())
	id := w.live(w.manage())
	op := w.newGuess(id)
	w.do(op)
	account := w.a.Append(nil)
	for n := range 300 {
		w.now++
		o := w.do(op)
		if o.Charged == nil || !o.Charged.Repeated() || o.Charged.GuessesLeft() != 9 {
			t.Fatalf("repeat %d: %v", n+1, o.Refusal)
		}
		if !bytes.Equal(w.a.Append(nil), account) {
			t.Fatalf("repeat %d changed the account", n+1)
		}
	}
	w.refused(&Charge{ID: old, Serial: op.Serial, Element: op.Element}, wire.CodeStaleSerial)
	w.refused(&Charge{ID: id, Serial: op.Serial, Element: w.element()}, wire.CodeStaleSerial)
	w.guess(id)
	w.refused(op, wire.CodeStaleSerial)
}

func TestRepeatAfterProofIsNoNewGuess(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	op := w.newGuess(id)
	w.do(op)
	w.prove()
	if o := w.do(op); o.Charged == nil || o.Charged.GuessesLeft() != 10 {
		t.Fatalf("refused: %v", o.Refusal)
	}
	w.guesses(10, id) // the history counts
	w.want(map[wire.RegistrationID]wire.State{id: wire.StateExhausted})
}

func TestSerialMustBeTheNext(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(2, id)
	for _, serial := range []wire.Serial{0, 1, 2, 4, 1 << 63} {
		refusal := w.refused(&Charge{ID: id, Serial: serial, Element: w.element()}, wire.CodeStaleSerial)
		if refusal.Serial != 2 || refusal.GuessesLeft != 8 {
			t.Fatalf("serial %d: %+v", serial, refusal)
		}
	}
}

// Before the first guess nothing is remembered, and a guess of zeros must not look like it.
func TestFirstGuessIsNoRepeat(t *testing.T) {
	w := newWorld(t)
	op := w.newRegister(w.manage())
	op.ID = wire.RegistrationID{}
	w.do(op)
	w.do(&Confirm{Manage: op.Manage})
	w.refused(&Charge{}, wire.CodeStaleSerial)
	w.refused(&Prove{}, wire.CodeSession)
}

func TestPendingIsNeverEvaluated(t *testing.T) {
	w := newWorld(t)
	id := w.pending(w.manage())
	w.refused(w.newGuess(id), wire.CodePending)
	w.refused(&Charge{ID: wire.RegistrationID{9}, Serial: 1}, wire.CodeNoRegistration)
}

func TestCooldownGrows(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	for n, minutes := range []uint64{0, 0, 0, 1, 4, 16, 64, 256, 1024, 4096} {
		if c := w.guess(id); c.LockedForMs() != minutes*minuteMs {
			t.Fatalf("guess %d: locked for %d ms, want %d minutes", n+1, c.LockedForMs(), minutes)
		}
	}
	if got := cooldownMs(minuteMs, 12); got != maxCooldownMs {
		t.Fatalf("the cooldown grew beyond a week: %d", got)
	}
	if got := cooldownMs(1<<63, 255); got != maxCooldownMs {
		t.Fatalf("the cooldown ran over: %d", got)
	}
	if got := cooldownMs(0, 255); got != 0 {
		t.Fatalf("without a cooldown: %d", got)
	}
}

func TestLockedRefusesForFree(t *testing.T) {
	w := newWorld(t)
	old := w.live(w.manage())
	w.guesses(4, old)
	refusal := w.refused(w.newGuess(old), wire.CodeLocked)
	if refusal.RetryAfterMs != minuteMs || refusal.GuessesLeft != 6 {
		t.Fatalf("got %+v", refusal)
	}
	id := w.live(w.manage())
	if o := w.do(w.newGuess(id)); o.Charged == nil { // only the target's lock counts
		t.Fatalf("another's lock refused: %v", o.Refusal)
	}
	if w.left(old) != 6 || w.a.find(old).LockedUntil != w.now+minuteMs { // and what is locked is not charged
		t.Fatalf("%d left, locked for %d", w.left(old), w.a.find(old).LockedUntil-w.now)
	}
	w.now += minuteMs - 1
	w.refused(w.newGuess(old), wire.CodeLocked)
	w.now++
	if o := w.do(w.newGuess(id)); o.Charged == nil || w.left(old) != 5 || w.a.find(old).LockedUntil != w.now+4*minuteMs {
		t.Fatalf("%d left, locked for %d: %v", w.left(old), w.a.find(old).LockedUntil-w.now, o.Refusal)
	}
	w.now += 4 * minuteMs
	if o := w.do(w.newGuess(old)); o.Charged == nil {
		t.Fatalf("still locked: %v", o.Refusal)
	}
}

// A thief with the account's token registers his own, and there guesses and proves at will: the owner's is charged no faster
// than guesses at it would be, and none of his evaluations is of the owner's key.
func TestThiefCannotHurryDestruction(t *testing.T) {
	w := newWorld(t)
	owners := w.live(w.manage())
	own := w.live(w.manage())
	key := w.a.find(owners).OPRFKey
	tenAtOwn := func() {
		for range 10 {
			if c := w.guess(own); c.Registration() != own || c.OPRFKey() == key {
				t.Fatal("a guess at his own is one at the owner's")
			}
			if o := w.prove(); o.Proved == nil || w.left(own) != 10 {
				t.Fatalf("not proved: %v", o.Refusal)
			}
		}
	}
	begun := w.now
	tenAtOwn()
	if w.now != begun || w.left(owners) != 6 {
		t.Fatalf("ten guesses at his own in %d ms leave %d", w.now-begun, w.left(owners))
	}
	for left := uint8(5); w.left(owners) > 0; left-- {
		until := w.a.find(owners).LockedUntil
		w.now = until - 1
		tenAtOwn()
		if w.left(owners) != left+1 {
			t.Fatalf("%d left while it was locked", w.left(owners))
		}
		w.now = until
		tenAtOwn()
		if w.left(owners) != left {
			t.Fatalf("%d left, want %d", w.left(owners), left)
		}
	}
	if waited := w.now - begun; waited != (1+4+16+64+256+1024)*minuteMs {
		t.Fatalf("exhausted after %d ms", waited)
	}
	w.want(map[wire.RegistrationID]wire.State{owners: wire.StateExhausted, own: wire.StateLive})
}

func TestRepeatWhileLocked(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(3, id)
	op := w.newGuess(id)
	w.do(op)
	if o := w.do(op); o.Charged == nil || o.Charged.LockedForMs() != minuteMs {
		t.Fatalf("refused: %v", o.Refusal)
	}
}

func TestLastGuessStaysProvable(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(9, id)
	w.now = w.a.find(id).LockedUntil
	op := w.newGuess(id)
	w.do(op)
	w.want(map[wire.RegistrationID]wire.State{id: wire.StateExhausted})
	w.now += wire.UnixMs(w.p.ProvableMs) - 1
	if o := w.do(op); o.Charged == nil || o.Charged.GuessesLeft() != 0 {
		t.Fatalf("the last guess was not repeated: %v", o.Refusal)
	}
	if o := w.prove(); o.Proved == nil || w.left(id) != 10 {
		t.Fatalf("the last guess was not proved: %v", o.Refusal)
	}
	w.now += 10 * minuteMs
	w.want(map[wire.RegistrationID]wire.State{id: wire.StateLive})
}

func TestExhaustedIsDestroyedInTime(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(10, id)
	if due := NextDeadline(string(w.a.Append(nil))); due != w.now+wire.UnixMs(w.p.ProvableMs) {
		t.Fatalf("due at %d", due)
	}
	w.now += wire.UnixMs(w.p.ProvableMs)
	w.do(&Expire{})
	w.destroyed(id)
	w.refused(&Prove{ID: id, Serial: w.a.Serial}, wire.CodeDestroyed)
}

func TestExhaustedIsDestroyedByTheNextGuess(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(10, id)
	w.refused(&Charge{ID: id, Serial: 3, Element: w.element()}, wire.CodeStaleSerial) // a replay destroys nothing
	w.want(map[wire.RegistrationID]wire.State{id: wire.StateExhausted})
	w.refused(w.newGuess(id), wire.CodeDestroyed)
	w.destroyed(id)
	if w.a.Serial != 10 {
		t.Fatalf("serial %d", w.a.Serial)
	}
}

// destroyed checks that nothing is left of a registration and that every operation is told so.
func (w *world) destroyed(id wire.RegistrationID) {
	w.t.Helper()
	w.want(map[wire.RegistrationID]wire.State{id: wire.StateDestroyed})
	r := w.a.find(id)
	if r.OPRFKey != [32]byte{} || r.Record != [wire.RecordSize]byte{} || r.SealedKey != [wire.SealedKeySize]byte{} {
		w.t.Fatalf("%v has secrets left", id)
	}
	var zero wire.ManageHash
	for _, op := range []Op{
		w.newGuess(id), &Prove{ID: id, Serial: w.a.Serial}, &Confirm{ID: id}, &Delete{ID: id}, &Delete{ID: id, Proof: &zero}, &PutFreshness{ID: id},
	} {
		w.refused(op, wire.CodeDestroyed)
	}
}

func TestTombstonesAreBounded(t *testing.T) {
	w := newWorld(t)
	var ids []wire.RegistrationID
	for range 5 {
		ids = append(ids, w.live(w.manage()))
		w.guesses(10, ids[len(ids)-1])
		w.refused(w.newGuess(ids[len(ids)-1]), wire.CodeDestroyed)
	}
	w.want(map[wire.RegistrationID]wire.State{ids[0]: 0, ids[1]: wire.StateDestroyed, ids[4]: wire.StateDestroyed})
	w.refused(w.newGuess(ids[0]), wire.CodeNoRegistration)
}

func TestTombstonesOfOneMomentAreBounded(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		for range 3 {
			w.live(w.manage())
		}
		w.guesses(10, w.live(w.manage())) // all four
		w.now += wire.UnixMs(w.p.ProvableMs)
		w.do(&Expire{})
	}
	if got := len(w.a.Registrations); got != maxTombstones {
		t.Fatalf("%d tombstones", got)
	}
	for _, r := range w.a.Registrations {
		if r.ExpiresAt != w.now {
			t.Fatal("an older tombstone was kept instead of a newer")
		}
	}
}

func TestLaxerPolicyShortensNoLock(t *testing.T) {
	w := newWorld(t)
	old := w.live(w.manage())
	id := w.live(w.manage())
	w.p.CooldownMs = 100 * minuteMs
	w.guesses(4, old)
	locked := w.a.find(old).LockedUntil
	w.do(&Delete{ID: id})
	w.p.CooldownMs = 0
	w.do(w.newGuess(w.live(w.manage())))
	if got := w.a.find(old).LockedUntil; got != locked {
		t.Fatalf("locked until %d, then %d", locked, got)
	}
}

func TestCooldownFitsItsEncoding(t *testing.T) {
	w := newWorld(t)
	w.p.CooldownMs = 1 << 40 // no policy that checks is so
	if r := w.a.find(w.live(w.manage())); r.CooldownMs != maxCooldownMs {
		t.Fatalf("got %d", r.CooldownMs)
	}
}

func TestLaterPolicyOnlyTightens(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(4, id)
	w.p.Budget, w.p.CooldownMs = 6, 10*minuteMs
	c := w.guess(id)
	if c.GuessesLeft() != 1 || c.LockedForMs() != 40*minuteMs {
		t.Fatalf("%d left, locked for %d", c.GuessesLeft(), c.LockedForMs())
	}
	w.p = wire.DefaultPolicy()
	w.p.Budget, w.p.CooldownMs = 100, 0
	if o := w.prove(); o.Proved == nil || o.Proved.GuessesLeft != 6 {
		t.Fatalf("refilled to %d", o.Proved.GuessesLeft)
	}
	if c := w.guesses(4, id); c.LockedForMs() != minuteMs {
		t.Fatalf("locked for %d", c.LockedForMs())
	}
}

func TestPolicyAloneDestroysNothing(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(8, id)
	w.p.Budget = 3
	w.do(&Expire{})
	w.want(map[wire.RegistrationID]wire.State{id: wire.StateLive})
	if c := w.guess(id); c.GuessesLeft() != 0 {
		t.Fatalf("%d left", c.GuessesLeft())
	}
	if o := w.prove(); o.Proved == nil || o.Proved.GuessesLeft != 3 {
		t.Fatalf("not proved: %v", o.Refusal)
	}
}
