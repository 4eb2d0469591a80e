// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

func TestRegisterCanBeRepeatedButNotReplayed(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	op := w.newRegister(m)
	w.do(op)
	w.now += 1000
	if o := w.do(op); o.Registered == nil || o.Registered.ConfirmWithinMs != w.p.PendingMs-1000 {
		t.Fatalf("repeated: %+v", o.Refusal)
	}
	other := *op
	other.Record[0]++
	w.refused(&other, wire.CodeTicket) // the ticket is used, for another record
	w.do(&Confirm{ID: op.ID, Manage: m})
	if o := w.do(op); o.Registered == nil || w.a.Tickets != 1 {
		t.Fatalf("repeated when live: %+v", o.Refusal)
	}
	w.do(&Delete{ID: op.ID})
	w.refused(op, wire.CodeTicket) // retained
	w.do(&Delete{ID: op.ID, Proof: &m})
	w.refused(op, wire.CodeTicket) // gone
	w.want(map[wire.RegistrationID]wire.State{op.ID: 0})
}

func TestReplayNeverRevivesTheDestroyed(t *testing.T) {
	w := newWorld(t)
	op := w.newRegister(w.manage())
	w.do(op)
	w.do(&Confirm{ID: op.ID, Manage: op.Manage})
	w.guesses(10, op.ID)
	w.now += wire.UnixMs(w.p.ProvableMs)
	w.do(&Expire{})
	w.want(map[wire.RegistrationID]wire.State{op.ID: wire.StateDestroyed})
	w.refused(op, wire.CodeTicket)
	w.refused(&Confirm{ID: op.ID, Manage: op.Manage}, wire.CodeDestroyed)
	fresh := *op
	fresh.Ticket = w.a.Tickets // as a core with a broken source of ids would make it
	w.refused(&fresh, wire.CodeTicket)
}

func TestTicketMustBeTheNext(t *testing.T) {
	w := newWorld(t)
	op := w.newRegister(w.manage())
	for _, ticket := range []uint64{1, 2, 1 << 63} {
		op.Ticket = ticket
		w.refused(op, wire.CodeTicket)
	}
	early := w.newRegister(w.manage()) // two tickets made at the same moment: one of them is used
	w.pending(w.manage())
	w.refused(early, wire.CodeTicket)
}

func TestPendingIsOneAndForAnHour(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	first, second := w.pending(m), w.pending(m)
	w.want(map[wire.RegistrationID]wire.State{first: 0, second: wire.StatePending})
	w.refused(&Confirm{ID: first, Manage: m}, wire.CodeNoRegistration)
	w.now += wire.UnixMs(w.p.PendingMs) - 1
	w.want(map[wire.RegistrationID]wire.State{second: wire.StatePending})
	w.now++
	w.want(map[wire.RegistrationID]wire.State{second: 0})
	if o := w.do(&Confirm{ID: second, Manage: m}); o.Refusal == nil || o.Refusal.Code != wire.CodeNoRegistration {
		t.Fatalf("confirmed too late: %+v", o)
	}
}

func TestConfirmNeverRefills(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	id := w.live(m)
	w.guesses(5, id)
	if o := w.do(&Confirm{ID: id, Manage: m}); o.Confirmed == nil {
		t.Fatalf("repeated: %v", o.Refusal)
	}
	if w.left(id) != 5 {
		t.Fatalf("%d guesses left after a repeated confirmation, want 5", w.left(id))
	}
}

func TestConfirmNeedsItsManageSecret(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	old := w.live(w.manage())
	id := w.pending(m)
	for bit := range 256 {
		wrong := m
		wrong[bit/8] ^= 1 << (bit % 8)
		w.refused(&Confirm{ID: id, Manage: wrong}, wire.CodeProof)
	}
	w.want(map[wire.RegistrationID]wire.State{old: wire.StateLive, id: wire.StatePending})
}

func TestConfirmReplacesByProofOnly(t *testing.T) {
	for _, test := range []struct {
		name     string
		same     bool // the new registration is of the same K
		replaces bool // or shows the old K's secret
		wrong    bool // or a wrong one
		old      wire.State
		answer   wire.RegisterConfirmed
	}{
		{name: "same key", same: true, answer: wire.RegisterConfirmed{Replaced: 1}},
		{name: "old key shown", replaces: true, answer: wire.RegisterConfirmed{Replaced: 1}},
		{name: "no proof", old: wire.StateRetained, answer: wire.RegisterConfirmed{RetainedMs: 30 * dayMs}},
		{name: "wrong proof", replaces: true, wrong: true, old: wire.StateRetained, answer: wire.RegisterConfirmed{RetainedMs: 30 * dayMs}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.manage()
			old := w.live(m)
			next := w.manage()
			if test.same {
				next = m
			}
			op := &Confirm{ID: w.pending(next), Manage: next}
			if test.replaces {
				op.Replaces = &m
			}
			if test.wrong {
				op.Replaces[0] ^= 1
			}
			o := w.do(op)
			if o.Confirmed == nil || *o.Confirmed != test.answer {
				t.Fatalf("got %+v, want %+v", o.Confirmed, test.answer)
			}
			w.want(map[wire.RegistrationID]wire.State{old: test.old, op.ID: wire.StateLive})
			if again := w.do(op); again.Confirmed == nil || again.Confirmed.RetainedMs != test.answer.RetainedMs {
				t.Fatalf("repeated: %+v", again)
			}
		})
	}
}

func TestRetainedIsNeverDisplaced(t *testing.T) {
	w := newWorld(t)
	var ids []wire.RegistrationID
	for range 4 {
		ids = append(ids, w.live(w.manage()))
		w.now += dayMs
	}
	m := w.manage()
	fifth := w.pending(m)
	refusal := w.refused(&Confirm{ID: fifth, Manage: m}, wire.CodeTooMany)
	if want := uint64(27 * dayMs); refusal.RetryAfterMs != want { // four days on; the first is retained since the first day's end
		t.Fatalf("retry after %d, want %d", refusal.RetryAfterMs, want)
	}
	w.want(map[wire.RegistrationID]wire.State{
		ids[0]: wire.StateRetained, ids[2]: wire.StateRetained, ids[3]: wire.StateLive, fifth: wire.StatePending,
	})
	w.do(&Delete{ID: ids[3]}) // four are retained now, none live
	w.refused(&Confirm{ID: fifth, Manage: m}, wire.CodeTooMany)
	w.now += wire.UnixMs(refusal.RetryAfterMs)
	w.want(map[wire.RegistrationID]wire.State{ids[0]: 0})
	last := w.live(m)
	w.want(map[wire.RegistrationID]wire.State{ids[1]: wire.StateRetained, last: wire.StateLive})
}

func TestProofMakesRoomAmongRetained(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	first := w.live(m)
	for range 3 {
		w.live(w.manage())
	}
	next := w.manage()
	id := w.pending(next)
	w.refused(&Confirm{ID: id, Manage: next}, wire.CodeTooMany)
	if o := w.do(&Confirm{ID: id, Manage: next, Replaces: &m}); o.Confirmed == nil || o.Confirmed.Replaced != 1 {
		t.Fatalf("with proof: %+v", o)
	}
	w.want(map[wire.RegistrationID]wire.State{first: 0, id: wire.StateLive})
}

func TestConfirmDoesNotReviveTheRetained(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	old := w.live(m)
	w.live(w.manage())
	w.refused(&Confirm{ID: old, Manage: m}, wire.CodeReplaced)
	w.refused(&Confirm{ID: old, Manage: w.manage()}, wire.CodeProof)
	w.want(map[wire.RegistrationID]wire.State{old: wire.StateRetained})
}

func TestReplacementInheritsFreshness(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	put := func(id wire.RegistrationID, manage wire.ManageHash, archive byte, generation uint64) {
		f := wire.Freshness{Archive: wire.ArchiveID{archive}, Generation: generation, Digest: [32]byte{byte(generation)}}
		if o := w.do(&PutFreshness{ID: id, Manage: manage, Freshness: f}); o.FreshnessPut == nil {
			t.Fatalf("archive %d: %v", archive, o.Refusal)
		}
	}
	old := w.live(m)
	put(old, m, 1, 7)
	put(old, m, 2, 7)
	n := w.manage()
	middle := w.live(n)
	put(middle, n, 2, 9)
	put(middle, n, 3, 1)
	id := w.pending(m)
	w.do(&Confirm{ID: id, Manage: m, Replaces: &n})
	got := make(map[byte]uint64)
	for _, f := range w.a.find(id).Freshness {
		got[f.Archive[0]] = f.Generation
	}
	if len(got) != 3 || got[1] != 7 || got[2] != 9 || got[3] != 1 {
		t.Fatalf("inherited %v", got)
	}
	stranger := w.live(w.manage())
	if f := w.a.find(stranger).Freshness; len(f) != 0 {
		t.Fatalf("inherited without proof: %v", f)
	}
}

// What a later registration was told counts as told later, and of each archive the newest generation.
func TestMerge(t *testing.T) {
	list := func(archives string, generation uint64) (l []wire.Freshness) {
		for _, a := range []byte(archives) {
			l = append(l, wire.Freshness{Archive: wire.ArchiveID{a}, Generation: generation})
		}
		return l
	}
	for _, test := range []struct {
		earlier, later, want []wire.Freshness
	}{
		{nil, list("ab", 1), list("ab", 1)},
		{list("ab", 1), nil, list("ab", 1)},
		{list("abcd", 1), list("e", 1), list("bcde", 1)},
		{list("ab", 1), list("ca", 2), append(list("b", 1), list("ca", 2)...)},
		{list("abcd", 9), list("a", 1), list("bcda", 9)},
	} {
		earlier := slices.Clone(test.earlier)
		if got := merge(test.earlier, test.later); !slices.Equal(got, test.want) || !slices.Equal(test.earlier, earlier) {
			t.Errorf("%v and %v: %v", earlier, test.later, got)
		}
	}
}
