// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// TestBadInput: each is refused with its code, and none costs a guess or leaves a trace.
func TestBadInput(t *testing.T) {
	h := newHost(t, nil)
	alice, mallory := h.user("alice"), h.user("mallory")
	manage := wire.ManageSecret{1}
	id := alice.register(manage)
	before := h.c.Digest()
	element, ke1 := blinded(t)
	identityElement := ke1
	clear(identityElement[:32])
	noElement := ke1
	for i := range 32 {
		noElement[i] = 0xff
	}
	noKeyShare := ke1
	clear(noKeyShare[64:])
	zeroShare := someRecord(t)
	clear(zeroShare[:32])
	started := want[*wire.RegisterStarted](alice, &wire.RegisterStart{Blinded: element})
	finish := func(change func(*wire.RegisterFinish)) *wire.RegisterFinish {
		f := &wire.RegisterFinish{Ticket: started.Ticket, Record: someRecord(t), Manage: manage.Hash(), KSF: someKSF}
		change(f)
		return f
	}
	claims := func(change func(map[string]any)) string {
		m := map[string]any{"iss": testIssuer, "sub": "alice", "aud": "core", "coffer_role": "primary", "iat": h.now / 1000, "exp": h.now/1000 + 600}
		change(m)
		return h.sign(m)
	}
	guess := &wire.RecoverStart{Registration: id, Serial: 1, KE1: ke1}
	for _, c := range []struct {
		name  string
		user  *user
		token string
		body  wire.Body
		code  wire.Code
	}{
		{"identity element", alice, "", &wire.RecoverStart{Registration: id, Serial: 1, KE1: identityElement}, wire.CodeElement},
		{"no element", alice, "", &wire.RecoverStart{Registration: id, Serial: 1, KE1: noElement}, wire.CodeElement},
		{"identity as key share", alice, "", &wire.RecoverStart{Registration: id, Serial: 1, KE1: noKeyShare}, wire.CodeElement},
		{"identity element at registration", alice, "", &wire.RegisterStart{}, wire.CodeElement},
		{"record with identity key", alice, "", finish(func(f *wire.RegisterFinish) { f.Record = zeroShare }), wire.CodeElement},
		{"weak KSF", alice, "", finish(func(f *wire.RegisterFinish) { f.KSF.MemoryKiB = 8 }), wire.CodeParameters},
		{"endless KSF", alice, "", finish(func(f *wire.RegisterFinish) { f.KSF.MemoryKiB = 1 << 31 }), wire.CodeParameters},
		{"another's ticket", mallory, "", finish(func(f *wire.RegisterFinish) {}), wire.CodeTicket},
		{"changed ticket", alice, "", finish(func(f *wire.RegisterFinish) { f.Ticket = bytes.Clone(f.Ticket); f.Ticket[20] ^= 1 }), wire.CodeTicket},
		{"no ticket", alice, "", finish(func(f *wire.RegisterFinish) { f.Ticket = nil }), wire.CodeTicket},
		{"another's registration", mallory, "", guess, wire.CodeNoRegistration},
		{"serial too high", alice, "", &wire.RecoverStart{Registration: id, Serial: 2, KE1: ke1}, wire.CodeStaleSerial},
		{"serial too low", alice, "", &wire.RecoverStart{Registration: id, Serial: 0, KE1: ke1}, wire.CodeStaleSerial},
		{"proof without a login", alice, "", &wire.RecoverFinish{Registration: id, Serial: 1}, wire.CodeSession},
		{"wrong manage secret", alice, "", &wire.Delete{Registration: id, Proof: &wire.ManageSecret{2}}, wire.CodeProof},
		{"confirmation of nothing", alice, "", &wire.RegisterConfirm{Registration: wire.RegistrationID{1}, Manage: manage}, wire.CodeNoRegistration},
		{"freshness without proof", alice, "", &wire.PutFreshness{Registration: id, Manage: wire.ManageSecret{2}}, wire.CodeProof},
		{"no token", alice, "x", guess, wire.CodeToken},
		{"gateway's token", alice, claims(func(m map[string]any) { m["aud"] = "gateway" }), guess, wire.CodeToken},
		{"another issuer's token", alice, claims(func(m map[string]any) { m["iss"] = "https://other.example" }), guess, wire.CodeToken},
		{"expired token", alice, claims(func(m map[string]any) { m["iat"] = h.now/1000 - 900; m["exp"] = h.now/1000 - 300 }), guess, wire.CodeTokenExpired},
		{"token without a role", alice, claims(func(m map[string]any) { delete(m, "coffer_role") }), guess, wire.CodeToken},
	} {
		token := c.token
		if token == "" {
			token = c.user.token()
		}
		_, err := c.user.askWith(token, c.body)
		var refusal *wire.Error
		if !errors.As(err, &refusal) || refusal.Code != c.code {
			t.Errorf("%s: got %v, want %q", c.name, err, c.code)
		}
	}
	companion := h.user("alice")
	companion.role = "companion"
	for _, body := range []wire.Body{
		&wire.RegisterStart{Blinded: element}, finish(func(*wire.RegisterFinish) {}), &wire.RegisterConfirm{Registration: id, Manage: manage}, guess,
		&wire.RecoverFinish{Registration: id}, &wire.Delete{Registration: id}, &wire.PutFreshness{Registration: id, Manage: manage},
	} {
		companion.wantRefusal(body, wire.CodeNotPrimary)
	}
	companion.status()
	if h.c.Digest() != before {
		// Only alice's own account may differ, by nothing that counts.
		if s := alice.status(); s.Serial != 0 || s.Registrations[0].GuessesLeft != 10 {
			t.Errorf("bad input cost a guess: %+v", s)
		}
	}
	if len(h.c.requests) != 0 {
		t.Errorf("%d requests are left in memory", len(h.c.requests))
	}
}

// TestGarbage: what is no request gets an answer in the clear, whatever it is.
func TestGarbage(t *testing.T) {
	h := newHost(t, nil)
	other := newHost(t, func(h *host) { h.config.Seed[2] = 1 })
	u := h.user("alice")
	envelope, opener, err := h.c.Descriptor().Seal(u.account, &wire.Request{Token: u.token(), Body: &wire.Status{}})
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int) []byte {
		b := bytes.Clone(envelope)
		b[at] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		envelope []byte
		code     wire.Code
	}{
		"nothing":           {nil, wire.CodeMalformed},
		"short":             {envelope[:100], wire.CodeMalformed},
		"cut":               {envelope[:len(envelope)-1], wire.CodeMalformed},
		"long":              {append(bytes.Clone(envelope), 0), wire.CodeMalformed},
		"huge":              {make([]byte, wire.MaxEnvelope+1), wire.CodeMalformed},
		"version":           {change(0), wire.CodeVersion},
		"another fleet":     {change(5), wire.CodeUnknownKey},
		"partition":         {change(10), wire.CodeMalformed},
		"encapsulated key":  {change(600), wire.CodeMalformed},
		"ciphertext":        {change(len(envelope) - 40), wire.CodeMalformed},
		"for another fleet": {nil, wire.CodeUnknownKey},
	} {
		target := h
		if name == "for another fleet" {
			target, c.envelope = other, envelope
		}
		raw, err := target.call(c.envelope)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, sealed, err := opener.Open(raw)
		var refusal *wire.Error
		if !errors.As(err, &refusal) || refusal.Code != c.code || sealed {
			t.Errorf("%s: got %v (sealed %v), want %q", name, err, sealed, c.code)
		}
	}
}

// TestReplayedRequests: a host that sends everything again, in any order, burns no guess and brings nothing back.
func TestReplayedRequests(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	var sent [][]byte
	record := func(body wire.Body) wire.Body {
		envelope, opener, err := h.c.Descriptor().Seal(u.account, &wire.Request{Token: u.token(), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, envelope)
		raw, err := h.call(envelope)
		if err != nil {
			t.Fatal(err)
		}
		answer, _, err := opener.Open(raw)
		if err != nil {
			t.Fatalf("%T: %v", body, err)
		}
		return answer
	}
	element, ke1 := blinded(t)
	manage := wire.ManageSecret{1}
	started := record(&wire.RegisterStart{Blinded: element}).(*wire.RegisterStarted)
	record(&wire.RegisterFinish{Ticket: started.Ticket, Record: someRecord(t), Manage: manage.Hash(), KSF: someKSF})
	record(&wire.RegisterConfirm{Registration: started.Registration, Manage: manage})
	record(&wire.RecoverStart{Registration: started.Registration, Serial: 1, KE1: ke1})
	_, ke1 = blinded(t)
	record(&wire.RecoverStart{Registration: started.Registration, Serial: 2, KE1: ke1})
	replay := func() {
		for round := range 3 {
			for i := range sent {
				if _, err := h.call(sent[(i*(round+1))%len(sent)]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	replay()
	if s := u.status(); s.Serial != 2 || s.Registrations[0].GuessesLeft != 8 || len(s.Registrations) != 1 {
		t.Fatalf("replay changed the account: %+v", s)
	}
	record(&wire.Delete{Registration: started.Registration, Proof: &manage})
	replay()
	if s := u.status(); len(s.Registrations) != 0 {
		t.Fatalf("replay brought a deleted registration back: %+v", s.Registrations)
	}
}

// TestClock: the host's time of day wins little against a cooldown, and a restart loses little of it.
func TestClock(t *testing.T) {
	h := newHost(t, nil)
	u := h.user("alice")
	id := u.register(wire.ManageSecret{1})
	var g *wire.RecoverStarted
	for range 4 {
		var err error
		if g, err = u.guess(id); err != nil {
			t.Fatal(err)
		}
	}
	if g.LockedForMs != h.policy.CooldownMs {
		t.Fatalf("locked for %d ms", g.LockedForMs)
	}
	_, ke1 := blinded(t)
	next := &wire.RecoverStart{Registration: id, Serial: 5, KE1: ke1}
	h.now += 365 * 24 * 3600_000 // the host sets the time of day forward by a year
	h.step(Tick{h.now, 1000})
	if r := u.wantRefusal(next, wire.CodeLocked); r.RetryAfterMs < h.policy.CooldownMs-clockRate*1000 {
		t.Errorf("a second brought the cooldown down to %d ms", r.RetryAfterMs)
	}
	h.mustBoot()
	u.wantRefusal(next, wire.CodeLocked)
	h.now -= 365 * 24 * 3600_000 // and back
	h.step(Tick{h.now, 1000})
	h.now += 365 * 24 * 3600_000
	for range 60 {
		h.step(Tick{h.now, 1000})
	}
	want[*wire.RecoverStarted](u, next)
}

// TestPartition: an account is served by its own partition alone (INV-ACCOUNT), whatever the envelope says.
func TestPartition(t *testing.T) {
	h := newHost(t, func(h *host) { h.policy.Partitions = 4 })
	at := func(id wire.AccountID) wire.Partition { return wire.PartitionOf(h.c.identity.fleet, id, 4) }
	served := map[wire.Partition]int{}
	for i := range 32 {
		u := h.user(fmt.Sprint("user-", i))
		u.status()
		served[at(u.account)]++
		// A client that seals to another partition than its account's.
		other := *u
		for n := byte(0); at(other.account) == at(u.account); n++ {
			other.account[0] = n
		}
		other.wantRefusal(&wire.Status{}, wire.CodeWrongPartition)
		element, _ := blinded(t)
		other.wantRefusal(&wire.RegisterStart{Blinded: element}, wire.CodeWrongPartition)
	}
	if len(served) != 4 {
		t.Fatalf("served: %v", served)
	}
}

// TestPolicy: a replica does not promise in its descriptor what it cannot keep.
func TestPolicy(t *testing.T) {
	for name, change := range map[string]func(*wire.Policy){
		"restart":    func(p *wire.Policy) { p.Restart = 9 },
		"partitions": func(p *wire.Policy) { p.Partitions = 257 },
		"no guesses": func(p *wire.Policy) { p.Budget = 0 },
	} {
		h := newHost(t, nil)
		change(&h.policy)
		if _, _, err := Create(h.config, &h.policy, nil, h.newEpoch()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
