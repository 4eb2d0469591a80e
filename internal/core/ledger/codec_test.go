// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

func TestAccountIsCompact(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	id := w.live(m)
	w.do(&PutFreshness{ID: id, Manage: m, Freshness: wire.Freshness{Archive: wire.ArchiveID{1}, Generation: 1}})
	w.guesses(4, id) // locked, too
	size := len(w.a.Append(nil))
	t.Logf("one live registration, one freshness, locked: %d bytes", size)
	if size > 500 {
		t.Fatalf("%d bytes", size)
	}
	w.guesses(6, id)
	w.refused(w.newGuess(id), wire.CodeDestroyed)
	size = len(w.a.Append(nil))
	t.Logf("destroyed: %d bytes", size)
	if size > 150 {
		t.Fatalf("a destroyed registration takes %d bytes", size)
	}
}

func TestAccountThatNeverWas(t *testing.T) {
	if got := new(Account).Append([]byte("x")); string(got) != "x" {
		t.Fatalf("encoded as %q", got)
	}
	a, err := Decode("")
	if err != nil || a.Serial != 0 || a.Tickets != 0 || len(a.Registrations) != 0 {
		t.Fatalf("got %v, %v", a, err)
	}
	if NextDeadline("") != never || NextDeadline("short") != never {
		t.Fatal("something is due")
	}
}

func TestNextDeadline(t *testing.T) {
	w := newWorld(t)
	due := func() wire.UnixMs { return NextDeadline(string(w.a.Append(nil))) }
	m := w.manage()
	id := w.pending(m)
	if due() != w.now+wire.UnixMs(w.p.PendingMs) {
		t.Fatalf("pending: %d", due())
	}
	w.do(&Confirm{ID: id, Manage: m})
	if due() != never {
		t.Fatalf("live: %d", due())
	}
	w.do(&Delete{ID: id})
	if due() != w.now+30*dayMs {
		t.Fatalf("retained: %d", due())
	}
	w.guesses(10, id)
	if due() != w.now+10*minuteMs {
		t.Fatalf("exhausted: %d", due())
	}
	w.refused(w.newGuess(id), wire.CodeDestroyed)
	if due() != never {
		t.Fatalf("destroyed: %d", due())
	}
}

// One fault each, in an account that decodes without it.
func TestDecodeRefuses(t *testing.T) {
	w := newWorld(t)
	retained, live := w.live(w.manage()), w.live(w.manage())
	w.guess(live)
	pending := w.pending(w.manage())
	for _, test := range []struct {
		name  string
		fault func(a *Account)
	}{
		{"two of one id", func(a *Account) { a.find(retained).ID = live }},
		{"two live", func(a *Account) { r := a.find(retained); r.State, r.ExpiresAt = wire.StateLive, 0 }},
		{"two pending", func(a *Account) {
			*a.find(retained) = Registration{State: wire.StatePending, Budget: 1, GuessesLeft: 1}
		}},
		{"a stored state that is derived", func(a *Account) { a.find(live).State = wire.StateExhausted }},
		{"an unknown state", func(a *Account) { a.find(live).State = 6 }},
		{"no state", func(a *Account) { a.find(live).State = 0 }},
		{"more guesses than its budget", func(a *Account) { a.find(live).GuessesLeft = 11 }},
		{"a budget of none", func(a *Account) { r := a.find(live); r.Budget, r.GuessesLeft = 0, 0 }},
		{"a pending one without guesses", func(a *Account) { a.find(pending).GuessesLeft = 0 }},
		{"a locked pending one", func(a *Account) { a.find(pending).LockedUntil = 1 }},
		{"a live one that expires", func(a *Account) { a.find(live).ExpiresAt = 1 }},
		{"a destruction of one with guesses", func(a *Account) { a.find(live).ProvableUntil = 1 }},
		{"too long a cooldown", func(a *Account) { a.find(live).CooldownMs = maxCooldownMs + 1 }},
		{"too many freshness", func(a *Account) { a.find(live).Freshness = make([]wire.Freshness, wire.MaxFreshness+1) }},
		{"too many registrations", func(a *Account) { a.Registrations = append(a.Registrations, make([]Registration, 7)...) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.a.clone()
			if _, err := Decode(string(a.Append(nil))); err != nil {
				t.Fatal(err)
			}
			test.fault(a)
			if _, err := Decode(string(a.Append(nil))); !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v", err)
			}
		})
	}
	encoded := string(w.a.Append(nil))
	zeroTime := []byte(encoded) // the first registration's expiry is announced, and 0
	const first = 8 + 8 + 8 + 16 + 32 + 8 + 1
	clear(zeroTime[first+1+16+8:][:8])
	clear(zeroTime[:8]) // so that the deadline fits
	if _, err := Decode(string(zeroTime)); !errors.Is(err, ErrMalformed) {
		t.Fatalf("a time of 0: %v", err)
	}
	for n := 1; n < len(encoded); n++ {
		if _, err := Decode(encoded[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%d bytes of %d: %v", n, len(encoded), err)
		}
	}
	for name, wrong := range map[string]string{
		"bytes left over":  encoded + "\x00",
		"another deadline": "\x00" + encoded[:7] + encoded[8:],
		"an empty account": strings.Repeat("\xff", 8) + strings.Repeat("\x00", 17),
	} {
		if _, err := Decode(wrong); !errors.Is(err, ErrMalformed) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestParseOpRefuses(t *testing.T) {
	for name, encoded := range map[string][]byte{
		"nothing":         nil,
		"no kind":         {0},
		"an unknown kind": {8},
		"bytes left over": {7, 0},
		"cut short":       {4, 1, 2, 3},
		"a strange bool":  append(append([]byte{5}, make([]byte, 16)...), 2),
	} {
		if _, err := ParseOp(encoded); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sampleOps returns one of each kind, with and without what may be missing.
func sampleOps() []Op {
	w := newWorld(nil)
	m, id := w.manage(), wire.RegistrationID{1}
	return []Op{
		w.newRegister(m), &Confirm{ID: id, Manage: m}, &Confirm{ID: id, Manage: m, Replaces: &m},
		&Charge{ID: id, Serial: 1, Element: w.element()}, &Prove{ID: id, Serial: 1}, &Delete{ID: id}, &Delete{ID: id, Proof: &m},
		&PutFreshness{ID: id, Manage: m, Freshness: wire.Freshness{Generation: 1}}, &Expire{},
	}
}

func FuzzParseOp(f *testing.F) {
	for _, op := range sampleOps() {
		f.Add(AppendOp(nil, op))
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		op, err := ParseOp(encoded)
		if err == nil && !bytes.Equal(AppendOp(nil, op), encoded) {
			t.Fatal("decoded to something else")
		}
	})
}

// FuzzDecode lets one operation loose on every account that decodes, too: no account within bounds may
// make Apply panic, break an invariant, or leave the bounds.
func FuzzDecode(f *testing.F) {
	addAccounts(f)
	f.Fuzz(func(t *testing.T, encoded string, encodedOp []byte, now uint64) {
		a, err := Decode(encoded)
		if err != nil {
			return
		}
		if string(a.Append(nil)) != encoded {
			t.Fatal("decoded to something else")
		}
		op, err := ParseOp(encodedOp)
		if err != nil {
			return
		}
		p, before := wire.DefaultPolicy(), a.clone()
		if err := CheckStep(&p, wire.UnixMs(now), before, a, op, Apply(&p, wire.UnixMs(now), a, op)); err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(string(a.Append(nil))); err != nil {
			t.Fatal(err)
		}
	})
}

func addAccounts(f *testing.F) {
	w := newWorld(nil)
	w.t = f
	add := func(op Op) { f.Add(string(w.a.Append(nil)), AppendOp(nil, op), uint64(w.now)) }
	m := w.manage()
	add(w.newRegister(m))
	id := w.pending(m)
	add(&Confirm{ID: id, Manage: m})
	w.do(&Confirm{ID: id, Manage: m})
	add(w.newGuess(id))
	w.guesses(4, id)
	add(&Charge{ID: id, Serial: w.a.Serial, Element: w.a.LastGuess.Element})
	add(&Prove{ID: id, Serial: w.a.Serial})
	add(&Delete{ID: id, Proof: &m})
	add(&PutFreshness{ID: id, Manage: m})
	next := w.manage()
	replacing := &Confirm{ID: w.pending(next), Manage: next, Replaces: &m}
	add(replacing)
	w.do(&Confirm{ID: replacing.ID, Manage: next})
	w.guesses(6, id)
	add(w.newGuess(id))
	w.now += 20 * minuteMs
	add(&Expire{})
}
