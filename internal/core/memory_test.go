// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// freeze lets the core's time pass while the host holds the time of day.
func (h *host) freeze(minutes int) {
	for range minutes {
		h.step(Tick{h.now, 60_000})
	}
	h.now = max(h.now, h.c.parts[0].now) // tokens are made by this
}

// TestTickets: a ticket is good for its account, for ten minutes, and for the core that made it.
func TestTickets(t *testing.T) {
	h := newHost(t, nil)
	start := func(u *user) *wire.RegisterFinish {
		element, _ := blinded(t)
		started := want[*wire.RegisterStarted](u, &wire.RegisterStart{Blinded: element})
		return &wire.RegisterFinish{Ticket: started.Ticket, Record: someRecord(t), KSF: someKSF}
	}
	bob, carol := h.user("bob"), h.user("carol")
	finish := start(bob)
	carol.wantRefusal(finish, wire.CodeTicket) // their numbers are the same
	for _, minutes := range []int{11, 21} {
		finish = start(bob)
		h.freeze(minutes)
		bob.wantRefusal(finish, wire.CodeTicket)
	}
	finish = start(bob)
	h.freeze(9)
	want[*wire.RegisterFinished](bob, finish)
	finish = start(carol)
	h.mustBoot()
	carol.wantRefusal(finish, wire.CodeTicket)
	if first, again := start(carol), start(carol); string(first.Ticket) == string(again.Ticket) {
		t.Error("two tickets are the same")
	}
}

// TestSessions: a login is good for its guess, for ten minutes, and for the core that answered it.
func TestSessions(t *testing.T) {
	h := newHost(t, func(h *host) { h.policy.CooldownMs = 0 })
	u := h.user("alice")
	id := u.register(wire.ManageSecret{1})
	guess := func() wire.Serial {
		if _, err := u.guess(id); err != nil {
			t.Fatal(err)
		}
		return u.status().Serial
	}
	old := guess()
	now := guess()
	finish := func(id wire.RegistrationID, serial wire.Serial) *wire.RecoverFinish {
		return &wire.RecoverFinish{Registration: id, Serial: serial, KE3: [64]byte{1}}
	}
	u.wantRefusal(finish(id, old), wire.CodeSession)
	u.wantRefusal(finish(wire.RegistrationID{1}, now), wire.CodeSession)
	u.wantRefusal(finish(id, now), wire.CodeProof)
	h.freeze(11)
	u.wantRefusal(finish(id, now), wire.CodeSession)
	now = guess()
	h.mustBoot()
	u.wantRefusal(finish(id, now), wire.CodeSession)
}

// TestSessionsAreBounded: what is begun and never proved takes no more than so much memory.
func TestSessionsAreBounded(t *testing.T) {
	s := sessions{byAccount: map[wire.AccountID]*session{}}
	for n := range maxSessions + 1000 {
		s.put(wire.AccountID{byte(n), byte(n >> 8), byte(n >> 16)}, &session{expires: 2}, 1)
	}
	if len(s.byAccount) > maxSessions || len(s.order) > maxSessions {
		t.Errorf("%d sessions in an order of %d", len(s.byAccount), len(s.order))
	}
	s.put(wire.AccountID{}, &session{expires: 9}, 3)
	if len(s.byAccount) != 1 {
		t.Errorf("%d sessions, when all but one have expired", len(s.byAccount))
	}
}

// TestFreshKeys: a bucket is never sealed twice under one key, whose nonce is fixed, and no two lives share any entropy.
func TestFreshKeys(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	id := u.register(wire.ManageSecret{1})
	seen := map[[32]byte]bool{}
	for range 3 {
		if _, err := u.guess(id); err != nil {
			t.Fatal(err)
		}
		h.pass(11 * 60_000)
		key := h.c.parts[0].ledger.list[h.c.identity.bucketOf(u.account)].key
		if key == ([32]byte{}) || seen[key] {
			t.Fatal("a bucket's key was used before")
		}
		seen[key] = true
		secret := h.c.loginSecret
		if h.mustBoot(); h.c.loginSecret == secret {
			t.Fatal("two lives share their entropy")
		}
	}
	if n := countPrefix(h.disk, prefixBucket); n != 1 {
		t.Errorf("%d versions of one bucket are left", n)
	}
}

// TestFrozenClock: a host that holds the time of day holds no cooldown for ever.
func TestFrozenClock(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	id := u.register(wire.ManageSecret{1})
	for range 4 {
		if _, err := u.guess(id); err != nil {
			t.Fatal(err)
		}
	}
	h.freeze(int(clockRate*h.policy.CooldownMs/60_000) + 1)
	if _, err := u.guess(id); err != nil {
		t.Fatal(err)
	}
}

// TestLimits: requests over the limit are refused as overload, those that take too long are given up, and none stays in memory.
func TestLimits(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	envelope, opener, err := h.c.Descriptor().Seal(u.account, &wire.Request{Token: u.token(), Body: &wire.Status{}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxRequests {
		h.only(Request{uint64(n), envelope})
	}
	answer := h.only(Request{maxRequests, envelope})[0].(Answer)
	_, _, err = opener.Open(answer.Envelope)
	if refusal, ok := err.(*wire.Error); !ok || refusal.Code != wire.CodeOverloaded || refusal.RetryAfterMs == 0 {
		t.Errorf("one too many: %v", err)
	}
	h.only(Tick{h.now, requestMs})
	if len(h.c.requests) != 0 || len(h.c.deadlines) != 0 {
		t.Errorf("%d requests are left", len(h.c.requests))
	}
	h.step(Stop{})
	raw, err := h.call(envelope)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = opener.Open(raw); err == nil || !h.c.Idle() {
		t.Errorf("a request after the stop: %v", err)
	}
}
