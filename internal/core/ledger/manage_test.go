// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

func TestDelete(t *testing.T) {
	for _, test := range []struct {
		name  string
		state wire.State // of the registration before
		proof bool
		kept  uint64 // the answer
		after wire.State
	}{
		{"pending without proof", wire.StatePending, false, 0, 0},
		{"pending with proof", wire.StatePending, true, 0, 0},
		{"live with proof", wire.StateLive, true, 0, 0},
		{"live without proof", wire.StateLive, false, 30 * dayMs, wire.StateRetained},
		{"retained with proof", wire.StateRetained, true, 0, 0},
		{"retained without proof", wire.StateRetained, false, 29 * dayMs, wire.StateRetained},
		{"exhausted with proof", wire.StateExhausted, true, 0, 0},
		{"exhausted without proof", wire.StateExhausted, false, 10 * minuteMs, wire.StateExhausted},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.manage()
			id := w.pending(m)
			if test.state != wire.StatePending {
				w.do(&Confirm{ID: id, Manage: m})
			}
			switch test.state {
			case wire.StateRetained:
				w.do(&Delete{ID: id})
				w.now += dayMs
			case wire.StateExhausted:
				w.guesses(10, id)
			}
			w.want(map[wire.RegistrationID]wire.State{id: test.state})
			wrong := m
			wrong[31] ^= 1
			w.refused(&Delete{ID: id, Proof: &wrong}, wire.CodeProof)
			op := &Delete{ID: id}
			if test.proof {
				op.Proof = &m
			}
			o := w.do(op)
			if o.Deleted == nil || o.Deleted.RetainedMs != test.kept {
				t.Fatalf("got %+v, want %d", o.Deleted, test.kept)
			}
			w.want(map[wire.RegistrationID]wire.State{id: test.after})
		})
	}
}

func TestRetainedIsForgottenAfterItsGrace(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.p.GraceMs = 1 // terms are fixed at registration
	w.do(&Delete{ID: id})
	w.now += 30*dayMs - 1
	if c := w.guess(id); c.Registration() != id { // recoverable to the end
		t.Fatal("another registration")
	}
	w.now++
	w.do(&Expire{})
	w.want(map[wire.RegistrationID]wire.State{id: 0})
	w.refused(&Delete{ID: id}, wire.CodeNoRegistration)
}

func TestFreshnessNeverGoesBack(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	id := w.pending(m)
	op := func(archive byte, generation uint64, digest byte) *PutFreshness {
		return &PutFreshness{ID: id, Manage: m, Freshness: wire.Freshness{
			Archive: wire.ArchiveID{archive}, Generation: generation, Digest: [32]byte{digest},
		}}
	}
	w.refused(op(1, 5, 1), wire.CodePending)
	w.do(&Confirm{ID: id, Manage: m})
	for _, step := range []struct {
		op   *PutFreshness
		code wire.Code
	}{
		{op(1, 5, 1), 0},
		{op(1, 5, 1), 0},
		{op(1, 5, 2), wire.CodeOldFreshness}, // a fork
		{op(1, 4, 1), wire.CodeOldFreshness},
		{op(1, 0, 1), wire.CodeOldFreshness},
		{op(1, 6, 2), 0},
		{op(2, 0, 0), 0},
		{op(3, 1, 0), 0},
		{op(4, 1, 0), 0},
	} {
		f := step.op.Freshness
		if step.code != 0 {
			w.refused(step.op, step.code)
		} else if o := w.do(step.op); o.FreshnessPut == nil {
			t.Fatalf("archive %d, generation %d: %v", f.Archive[0], f.Generation, o.Refusal)
		}
	}
	stolen := op(1, 100, 0)
	stolen.Manage[0] ^= 1
	w.refused(stolen, wire.CodeProof)
	w.guess(id)
	if got := w.prove().Proved.Freshness; len(got) != 4 || got[0] != op(1, 6, 2).Freshness {
		t.Fatalf("got %v", got)
	}
}

// A fifth archive is refused: it would make one of the others forgotten, and then an old state of that one would be news.
func TestFifthArchiveIsRefused(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	id := w.live(m)
	put := func(archive byte, generation uint64) *PutFreshness {
		return &PutFreshness{ID: id, Manage: m, Freshness: wire.Freshness{Archive: wire.ArchiveID{archive}, Generation: generation}}
	}
	for archive := range byte(wire.MaxFreshness) {
		w.do(put(archive, 5))
	}
	w.refused(put(wire.MaxFreshness, 1), wire.CodeTooMany)
	w.refused(put(0, 4), wire.CodeOldFreshness)
	if o := w.do(put(0, 6)); o.FreshnessPut == nil {
		t.Fatal(o.Refusal)
	}
}

// An answer may be waiting to be sent while the next operation is applied.
func TestAnswersDoNotChangeLater(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	id := w.live(m)
	put := func(generation uint64) Op {
		return &PutFreshness{ID: id, Manage: m, Freshness: wire.Freshness{Generation: generation}}
	}
	Apply(&w.p, w.now, w.a, put(1))
	s := Status(w.now, w.a)
	Apply(&w.p, w.now, w.a, put(2))
	if got := s.Registrations[0].Freshness[0].Generation; got != 1 {
		t.Fatalf("the answer changed to generation %d", got)
	}
}

func TestStatusShowsWhatIsDue(t *testing.T) {
	w := newWorld(t)
	old := w.live(w.manage())
	id := w.live(w.manage())
	w.guesses(10, id) // both have none left
	encoded := string(w.a.Append(nil))
	s := Status(w.now, w.a)
	if s.Now != w.now || s.Serial != 10 || s.LastGuessAt != w.now || len(s.Registrations) != 2 {
		t.Fatalf("got %+v", s)
	}
	for _, r := range s.Registrations {
		if r.State != wire.StateExhausted || r.ExpiresAt != w.now+10*minuteMs || r.Budget != 10 || r.GuessesLeft != 0 {
			t.Fatalf("got %+v", r)
		}
	}
	w.now += 10 * minuteMs
	at := w.now
	w.want(map[wire.RegistrationID]wire.State{old: wire.StateDestroyed, id: wire.StateDestroyed})
	if string(w.a.Append(nil)) != encoded {
		t.Fatal("a status changed the account")
	}
	w.do(&Expire{})
	w.now += dayMs
	for _, r := range Status(w.now, w.a).Registrations {
		if r.ExpiresAt != at {
			t.Fatalf("destroyed at %d, want %d", r.ExpiresAt, at)
		}
	}
}

func TestStatusShowsTheLockOnlyWhileItHolds(t *testing.T) {
	w := newWorld(t)
	id := w.live(w.manage())
	w.guesses(4, id)
	if s := Status(w.now, w.a); s.Registrations[0].LockedUntil != w.now+minuteMs {
		t.Fatalf("got %+v", s)
	}
	if s := Status(w.now+minuteMs, w.a); s.Registrations[0].LockedUntil != 0 {
		t.Fatalf("got %+v", s)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	w := newWorld(t)
	op := w.newRegister(w.manage())
	w.do(op)
	w.do(&Confirm{ID: op.ID, Manage: op.Manage})
	c := w.guess(op.ID)
	b := op.OPRFKey[0]
	secrets := []string{fmt.Sprintf("%d %d", b, b), fmt.Sprintf("%#x, %#x", b, b), fmt.Sprintf("%x%x", b, b), fmt.Sprintf("%c%c", b, b)}
	for _, v := range []any{op, *op, w.a, *w.a, w.a.Registrations, c, *c, Outcome{Charged: c}, w.prove().Proved} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s"} {
			got := fmt.Sprintf(verb, v)
			for _, secret := range secrets {
				if strings.Contains(got, secret) {
					t.Fatalf("%s of %T prints %q", verb, v, got)
				}
			}
		}
	}
}
