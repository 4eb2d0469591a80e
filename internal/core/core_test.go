// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// blinded returns some valid blinded element, and a KE1 with it.
func blinded(t testing.TB) (element [32]byte, ke1 [96]byte) {
	var seed [64]byte
	var nonce, share [32]byte
	for _, b := range [][]byte{seed[:], nonce[:], share[:]} {
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	_, ke1, err := opaque.StartLogin([]byte("some password"), seed, nonce, share)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(ke1[:32]), ke1
}

// someRecord returns a record that the core takes for one; nobody can log in with it.
func someRecord(t testing.TB) (record [wire.RecordSize]byte) {
	element, _ := blinded(t)
	copy(record[:], element[:])
	if _, err := rand.Read(record[len(element):]); err != nil {
		t.Fatal(err)
	}
	return record
}

var someKSF = wire.KSF{TimeCost: 3, MemoryKiB: 64 << 10, Lanes: 4}

// registration goes through a registration with a made-up record and leaves it pending.
func (u *user) registration(manage wire.ManageSecret) wire.RegistrationID {
	u.h.t.Helper()
	element, _ := blinded(u.h.t)
	started := want[*wire.RegisterStarted](u, &wire.RegisterStart{Blinded: element})
	want[*wire.RegisterFinished](u, &wire.RegisterFinish{Ticket: started.Ticket, Record: someRecord(u.h.t), Manage: manage.Hash(), KSF: someKSF})
	return started.Registration
}

// register makes a live registration.
func (u *user) register(manage wire.ManageSecret) wire.RegistrationID {
	u.h.t.Helper()
	id := u.registration(manage)
	want[*wire.RegisterConfirmed](u, &wire.RegisterConfirm{Registration: id, Manage: manage})
	return id
}

func (u *user) status() *wire.StatusAnswer {
	u.h.t.Helper()
	return want[*wire.StatusAnswer](u, &wire.Status{})
}

// guess makes a wrong guess.
func (u *user) guess(id wire.RegistrationID) (*wire.RecoverStarted, error) {
	u.h.t.Helper()
	_, ke1 := blinded(u.h.t)
	answer, err := u.ask(&wire.RecoverStart{Registration: id, Serial: u.status().Serial + 1, KE1: ke1})
	started, _ := answer.(*wire.RecoverStarted)
	return started, err
}

// TestRegisterRecover is the whole protocol with real OPAQUE on the client's side.
func TestRegisterRecover(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	manage := wire.ManageSecret{1}
	ids := opaque.Identities{Client: u.account[:], Server: h.c.identity.fleet[:]}
	registration, request, err := opaque.StartRegistration([]byte("correct horse"), [64]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	started := want[*wire.RegisterStarted](u, &wire.RegisterStart{Blinded: request})
	record, export, server, err := registration.Finish(started.Response, ids, opaque.DefaultKSF, [32]byte{2})
	if err != nil || server != h.c.Descriptor().OPAQUE {
		t.Fatalf("finish: %v, server key matches %v", err, server == h.c.Descriptor().OPAQUE)
	}
	finish := &wire.RegisterFinish{Ticket: started.Ticket, Record: record, SealedKey: [48]byte(export[:48]), Manage: manage.Hash(), KSF: someKSF}
	want[*wire.RegisterFinished](u, finish)
	_, ke1 := blinded(t)
	u.wantRefusal(&wire.RecoverStart{Registration: started.Registration, Serial: 1, KE1: ke1}, wire.CodePending) // INV-PENDING
	want[*wire.RegisterConfirmed](u, &wire.RegisterConfirm{Registration: started.Registration, Manage: manage})
	h.mustBoot()

	login, first, err := opaque.StartLogin([]byte("correct horse"), [64]byte{3}, [32]byte{4}, [32]byte{5})
	if err != nil {
		t.Fatal(err)
	}
	start := &wire.RecoverStart{Registration: started.Registration, Serial: 1, KE1: first}
	lost := want[*wire.RecoverStarted](u, start)
	h.mustBoot() // the leader's session dies with it; the same guess again is free
	guess := want[*wire.RecoverStarted](u, start)
	if replayed := want[*wire.RecoverStarted](u, start); *replayed != *guess {
		t.Error("a replayed guess disturbs the login")
	}
	if lost.Repeated || !guess.Repeated || guess.GuessesLeft != 9 || lost.KE2 == guess.KE2 {
		t.Errorf("the repeated guess: %v then %v, %d left", lost.Repeated, guess.Repeated, guess.GuessesLeft)
	}
	ke3, session, again, err := login.Finish(guess.KE2, ids, opaque.DefaultKSF)
	if err != nil || again != export {
		t.Fatalf("login: %v, same export key %v", err, again == export)
	}
	u.wantRefusal(&wire.RecoverFinish{Registration: started.Registration, Serial: 1, KE3: [64]byte{1}}, wire.CodeProof)
	recovered := want[*wire.RecoverFinished](u, &wire.RecoverFinish{Registration: started.Registration, Serial: 1, KE3: ke3})
	plain, err := newGCM(wire.DeriveKey(session[:], wire.DomainDelivery, started.Registration[:])).Open(nil, make([]byte, 12), recovered.Key[:], nil)
	if err != nil || !bytes.Equal(plain, export[:48]) || recovered.GuessesLeft != 10 {
		t.Fatalf("the sealed key: %v, %d guesses left", err, recovered.GuessesLeft)
	}
}

// TestCommitBeforeEvaluation: no evaluation and no answer comes before the charge is durable (INV-COMMIT), nor K before the refill is.
func TestCommitBeforeEvaluation(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	id := u.register(wire.ManageSecret{1})
	_, ke1 := blinded(t)
	envelope, _, err := h.c.Descriptor().Seal(u.account, &wire.Request{Token: u.token(), Body: &wire.RecoverStart{Registration: id, Serial: 1, KE1: ke1}})
	if err != nil {
		t.Fatal(err)
	}
	effects := h.only(Request{99, envelope})
	open := effects[0].(Run)
	effects = h.only(Done{open.ID, open.Job.Run()})
	charge := h.nothingBut(effects)
	effects = h.only(Durable{charge.Seq})
	if _, ok := effects[len(effects)-1].(Run); !ok {
		t.Fatalf("the charge is durable, and what follows is %T", effects[len(effects)-1])
	}
	h.c.effects = nil
	h.mustBoot() // nothing of it was stored
	if left := u.status().Registrations[0].GuessesLeft; left != 10 {
		t.Fatalf("%d guesses left after a charge that was lost", left)
	}
}

// only takes inputs and does nothing of what the core asks for.
func (h *host) only(inputs ...Input) []Effect {
	effects, err := h.c.Step(inputs...)
	if err != nil || len(effects) == 0 {
		h.t.Fatalf("%d effects, %v", len(effects), err)
	}
	return effects
}

// nothingBut returns the one write among effects, and fails if there is anything else.
func (h *host) nothingBut(effects []Effect) Persist {
	h.t.Helper()
	p, ok := effects[0].(Persist)
	if !ok || len(effects) > 1 {
		h.t.Fatalf("INV-COMMIT: before anything is durable there is %T", effects[len(effects)-1])
	}
	return p
}

// TestCountdown drives a registration to its destruction.
func TestCountdown(t *testing.T) {
	h := newHost(t, func(h *host) { h.policy.CooldownMs = 0 })
	u := h.user("alice")
	id := u.register(wire.ManageSecret{1})
	for left := 9; left >= 0; left-- {
		g, err := u.guess(id)
		if err != nil || int(g.GuessesLeft) != left {
			t.Fatalf("guess: %v, %+v, want %d left", err, g, left)
		}
		h.mustBoot()
	}
	if s := u.status().Registrations[0].State; s != wire.StateExhausted {
		t.Fatalf("the state is %v", s)
	}
	h.pass(h.policy.ProvableMs + 5*60_000) // nobody asks: the sweep finds it
	if s := u.status().Registrations[0].State; s != wire.StateDestroyed {
		t.Fatalf("the state is %v", s)
	}
	_, err := u.guess(id)
	if refusal := (*wire.Error)(nil); !errors.As(err, &refusal) || refusal.Code != wire.CodeDestroyed {
		t.Fatalf("a guess at what is destroyed: %v", err)
	}
}

// TestKilledAtEveryWrite kills the core at each of its writes, before and after it is stored. What was acknowledged is
// there after the next start, and what was not is there whole or not at all.
func TestKilledAtEveryWrite(t *testing.T) {
	for _, f := range []fate{lostAndDead, storedAndDead} {
		for k, died := 1, true; died; k++ {
			died = killedAt(t, f, k)
		}
	}
}

func killedAt(t *testing.T, f fate, k int) (died bool) {
	h := newHost(t, func(h *host) { h.config.RotateEntries = 5 })
	writes := 0
	h.onPersist = func(Persist) fate {
		if writes++; writes == k {
			return f
		}
		return stored
	}
	acknowledged := map[string]wire.RegistrationID{}
	for i := range 6 {
		u := h.user(fmt.Sprint("user-", i))
		manage := wire.ManageSecret{byte(i)}
		element, _ := blinded(t)
		answer, err := u.ask(&wire.RegisterStart{Blinded: element})
		if err != nil {
			break
		}
		started := answer.(*wire.RegisterStarted)
		if _, err := u.ask(&wire.RegisterFinish{Ticket: started.Ticket, Record: someRecord(t), Manage: manage.Hash(), KSF: someKSF}); err != nil {
			break
		}
		if _, err := u.ask(&wire.RegisterConfirm{Registration: started.Registration, Manage: manage}); err != nil {
			break
		}
		acknowledged[u.name] = started.Registration
		h.pass(1000)
	}
	died = h.dead
	h.mustBoot()
	for name, id := range acknowledged {
		s := h.user(name).status()
		if len(s.Registrations) != 1 || s.Registrations[0].ID != id || s.Registrations[0].State != wire.StateLive {
			t.Fatalf("killed at write %d (%d): %s has %+v", k, f, name, s.Registrations)
		}
	}
	digest := h.c.Digest()
	h.pass(11 * 60_000) // a rotation, whether one was interrupted or not
	h.mustBoot()
	if h.c.Digest() != digest {
		t.Fatalf("killed at write %d (%d): another state after a rotation and a start", k, f)
	}
	if n := countPrefix(h.disk, prefixState); n != 1 {
		t.Fatalf("killed at write %d (%d): %d epochs' states are left", k, f, n)
	}
	return died
}

func countPrefix(disk map[string][]byte, prefix string) (n int) {
	for k := range disk {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	return n
}

// TestOldImage: a copy of the disk from before a rotation cannot be started, because the sealer has destroyed its key.
func TestOldImage(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	id := u.register(wire.ManageSecret{1})
	old := h.image()
	if _, err := u.guess(id); err != nil {
		t.Fatal(err)
	}
	h.pass(11 * 60_000)
	h.disk = old
	if err := h.boot(); !errors.Is(err, errNoKey) {
		t.Fatalf("an old disk: %v", err)
	}
}

// TestDamage: each record changed, cut, missing or in another's place is found at the start, or makes no difference.
func TestDamage(t *testing.T) {
	h := newHost(t, func(h *host) { h.config.RotateEntries = 8 })
	for i := range 6 {
		h.user(fmt.Sprint(i)).register(wire.ManageSecret{byte(i)})
	}
	h.pass(1000)
	h.user("last").register(wire.ManageSecret{9})
	h.mustBoot()
	digest, good := h.c.Digest(), h.image()
	keys := slices.Sorted(maps.Keys(good))
	if countPrefix(good, prefixBucket) == 0 || countPrefix(good, prefixLog) == 0 {
		t.Fatal("the image has no buckets or no log")
	}
	check := func(what string, mustFail bool) {
		t.Helper()
		err := h.boot()
		if err == nil && (mustFail || h.c.Digest() != digest) {
			t.Errorf("%s: not found", what)
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, errNoKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i, k := range keys {
		name := fmt.Sprintf("%.9s... (%d)", k, i)
		for _, at := range []int{0, len(good[k]) / 2, len(good[k]) - 1} {
			h.disk = maps.Clone(good)
			h.disk[k] = bytes.Clone(good[k])
			h.disk[k][at] ^= 1
			check(fmt.Sprintf("%s changed at %d", name, at), true)
		}
		h.disk = maps.Clone(good)
		h.disk[k] = good[k][:len(good[k])/2]
		check(name+" cut", true)
		h.disk = maps.Clone(good)
		delete(h.disk, k)
		check(name+" missing", true)
		other := keys[(i+1)%len(keys)]
		h.disk = maps.Clone(good)
		h.disk[k], h.disk[other] = good[other], good[k]
		check(name+" swapped with the next", true)
	}
	h.disk = maps.Clone(good)
	h.disk["5/foreign"] = []byte("x")
	check("a foreign record", true)
}

// TestReplay: the same seed and the same inputs give the same effects, byte for byte.
func TestReplay(t *testing.T) {
	h := newHost(t, func(h *host) { h.config.RotateEntries = 4; h.record = true })
	first := h.keys["key-1"]
	a, b := h.user("a"), h.user("b")
	id := a.register(wire.ManageSecret{1})
	b.register(wire.ManageSecret{2})
	for range 3 {
		if _, err := a.guess(id); err != nil {
			t.Fatal(err)
		}
		h.pass(1000)
	}
	c, effects, err := Create(h.config, &h.policy, nil, NewEpoch{Key: first, KeyID: "key-1", Sealed: []byte("sealed")})
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range h.inputs {
		more, err := c.Step(in)
		if err != nil {
			t.Fatal(err)
		}
		effects = append(effects, more...)
	}
	if len(effects) != len(h.effects) {
		t.Fatalf("%d effects, then %d", len(h.effects), len(effects))
	}
	for i := range effects {
		if was, is := describe(h.effects[i]), describe(effects[i]); was != is {
			t.Fatalf("effect %d was\n%s\nand is\n%s", i, was, is)
		}
	}
	if c.Digest() != h.c.Digest() {
		t.Fatal("another state")
	}
}

// describe turns an effect into text; of a job, its result, which depends on nothing else.
func describe(e Effect) string {
	if r, ok := e.(Run); ok {
		switch result := r.Job.Run().(type) {
		case *opened:
			return fmt.Sprintf("opened %d %+v %+v", r.ID, result.body, result.claims)
		case *evaluated:
			return fmt.Sprintf("evaluated %d %+v", r.ID, *result)
		case *ke2:
			return fmt.Sprintf("ke2 %d %+v", r.ID, *result)
		}
	}
	return fmt.Sprintf("%T %+v", e, e)
}
