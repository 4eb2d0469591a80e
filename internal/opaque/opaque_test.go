// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// TestDefaultCost runs the exported functions end to end; the other tests use a cheap cost.
func TestDefaultCost(t *testing.T) {
	w := newWorld(t)
	registration, blinded, err := StartRegistration([]byte(password), [64]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	response, err := RegistrationResponse(w.oprfKey, w.public, blinded)
	if err != nil {
		t.Fatal(err)
	}
	record, export, server, err := registration.Finish(response, w.ids, DefaultKSF, [32]byte{4})
	if err != nil || server != w.public {
		t.Fatalf("server %x, %v", server, err)
	}
	w.record = record
	ke2, session, err := w.keys.KE2(w.input())
	if err != nil {
		t.Fatal(err)
	}
	ke3, key, again, err := w.login.Finish(ke2, w.ids, DefaultKSF)
	if err != nil {
		t.Fatal(err)
	}
	if key != session.SessionKey || again != export || session.Finish(ke3[:]) != nil {
		t.Error("the ends disagree")
	}
}

func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	for range 2 { // a lost KE3 is made again from the same state
		ke3, key, export, err := w.finish(w.login, w.ke2, w.ids, cheap)
		if err != nil {
			t.Fatal(err)
		}
		if key != w.session.SessionKey || export != w.export {
			t.Error("the ends disagree")
		}
		if err = w.session.Finish(ke3[:]); err != nil {
			t.Error(err)
		}
	}
}

// TestAnotherKE2 is the fail-over: another core answers the same KE1 with other nonces.
func TestAnotherKE2(t *testing.T) {
	w := newWorld(t)
	in := w.input()
	in.Nonce[0]++
	in.MaskingNonce[0]++
	in.KeyShareSeed[0]++
	other, session, err := w.keys.KE2(in)
	if err != nil || other == w.ke2 || session.SessionKey == w.session.SessionKey {
		t.Fatalf("not a fresh answer: %v", err)
	}
	for _, ke2 := range [][320]byte{w.ke2, other} {
		if _, _, export, err := w.finish(w.login, ke2, w.ids, cheap); err != nil || export != w.export {
			t.Errorf("err %v", err)
		}
	}
}

func TestDeterministic(t *testing.T) {
	a, b := newWorld(t), newWorld(t)
	if a.public != b.public || a.oprfKey != b.oprfKey || a.record != b.record || a.export != b.export {
		t.Error("registration differs")
	}
	if a.ke1 != b.ke1 || a.ke2 != b.ke2 || a.session != b.session {
		t.Error("login differs")
	}
}

func TestWrongPassword(t *testing.T) {
	w := newWorld(t)
	login, ke1, err := w.guess("wrong horse")
	if err != nil {
		t.Fatal(err)
	}
	w.ke1 = ke1
	ke2, _, err := w.keys.KE2(w.input())
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, "password", login, ke2, w.ids, cheap)
}

func TestWrongParameters(t *testing.T) {
	w := newWorld(t)
	other, err := DeriveServerKeys([32]byte{99})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, "client identity", w.login, w.ke2, Identities{[]byte("another"), w.ids.Server}, cheap)
	w.refused(t, "server identity", w.login, w.ke2, Identities{w.ids.Client, []byte("another")}, cheap)
	w.refused(t, "cost", w.login, w.ke2, w.ids, KSF{TimeCost: 2, MemoryKiB: 8, Lanes: 1})

	ke2, _, err := other.KE2(w.input()) // a server with another key that somehow got the record
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, "server", w.login, ke2, w.ids, cheap)
}

// TestRecordOfAnotherAccount: a core that mixed up two accounts' records gives nobody a key.
func TestRecordOfAnotherAccount(t *testing.T) {
	w := newWorld(t)
	in := w.input()
	in.Identities.Client = []byte("another")
	ke2, _, err := w.keys.KE2(in)
	if err != nil {
		t.Fatal(err)
	}
	w.refused(t, "as another account", w.login, ke2, in.Identities, cheap)
	w.refused(t, "as its own account", w.login, ke2, w.ids, cheap)
}

func (w *world) refused(t *testing.T, what string, l *Login, ke2 [320]byte, ids Identities, cost KSF) {
	t.Helper()
	ke3, key, export, err := w.finish(l, ke2, ids, cost)
	if !errors.Is(err, ErrWrongPassword) {
		t.Errorf("%s: %v, want %v", what, err, ErrWrongPassword)
	}
	if ke3 != ([64]byte{}) || key != ([64]byte{}) || export != ([64]byte{}) {
		t.Errorf("%s: refused, and yet there is output", what)
	}
}

func TestKE3(t *testing.T) {
	w := newWorld(t)
	ke3, _, _, err := w.finish(w.login, w.ke2, w.ids, cheap)
	if err != nil {
		t.Fatal(err)
	}
	for i := range ke3 {
		bad := ke3
		bad[i] ^= 1
		if w.session.Finish(bad[:]) != ErrProof {
			t.Errorf("byte %d changed, and accepted", i)
		}
	}
	for _, bad := range [][]byte{nil, {}, ke3[:63], append(ke3[:], 0)} {
		if w.session.Finish(bad) != ErrProof {
			t.Errorf("%d bytes accepted", len(bad))
		}
	}
	var none ServerSession
	if none.Finish(make([]byte, 64)) != ErrProof {
		t.Error("a session that was never made accepts zeros")
	}
}

func TestCost(t *testing.T) {
	for _, k := range []KSF{DefaultKSF, {16, 1 << 20, 16}, {3, 64 << 10, 1}} {
		if err := k.Check(); err != nil {
			t.Errorf("%+v: %v", k, err)
		}
	}
	for _, k := range []KSF{
		{}, {0, 64 << 10, 4}, {2, 64 << 10, 4}, {17, 64 << 10, 4}, {1 << 31, 64 << 10, 4},
		{3, 0, 4}, {3, 64<<10 - 1, 4}, {3, 1<<20 + 1, 4}, {3, 1 << 31, 4}, {3, 64 << 10, 0}, {3, 64 << 10, 17}, {3, 64 << 10, 255},
	} {
		if k.Check() != ErrCost {
			t.Errorf("%+v accepted", k)
		}
	}
}

// TestCostIsChecked uses a cost that is too low: were it not checked, the test would fail at once, and not exhaust the machine.
func TestCostIsChecked(t *testing.T) {
	w := newWorld(t)
	if _, _, _, err := w.login.Finish(w.ke2, w.ids, cheap); !errors.Is(err, ErrCost) {
		t.Errorf("login: %v", err)
	}
	if _, _, _, err := new(Registration).Finish([64]byte{}, w.ids, cheap, [32]byte{}); !errors.Is(err, ErrCost) {
		t.Errorf("registration: %v", err)
	}
}

// TestLengths: the library panics, with the password in the text, where an input is longer than its length field.
func TestLengths(t *testing.T) {
	long := bytes.Repeat([]byte("p"), maxLength+1)
	if _, _, err := StartRegistration(long, [64]byte{1}); !errors.Is(err, ErrMalformed) {
		t.Errorf("registration: %v", err)
	}
	if _, _, err := StartLogin(long, [64]byte{1}, [32]byte{2}, [32]byte{3}); !errors.Is(err, ErrMalformed) {
		t.Errorf("login: %v", err)
	}
	w := newWorld(t)
	registration, blinded, err := StartRegistration([]byte(password), [64]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	response, err := RegistrationResponse(w.oprfKey, w.public, blinded)
	if err != nil {
		t.Fatal(err)
	}
	for _, ids := range []Identities{
		{}, {Client: []byte("c")}, {Server: []byte("s")},
		{Client: long, Server: []byte("s")}, {Client: []byte("c"), Server: long[:maxLength-31]},
	} {
		in := w.input()
		in.Identities = ids
		if _, _, err := w.keys.KE2(in); !errors.Is(err, ErrMalformed) {
			t.Errorf("KE2: %v", err)
		}
		if _, _, _, err := w.login.Finish(w.ke2, ids, DefaultKSF); !errors.Is(err, ErrMalformed) {
			t.Errorf("login: %v", err)
		}
		if _, _, _, err := registration.Finish(response, ids, DefaultKSF, [32]byte{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("registration: %v", err)
		}
	}
}

// TestPanic goes past the checks to a panic of the library itself.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	long := make([]byte, maxLength+1)
	if _, _, _, err := w.login.finish(w.ke2, long, long, cheap.options()); err != ErrMalformed {
		t.Errorf("login: %v", err)
	}
	if _, _, err := w.keys.ke2(w.input(), long); err != ErrMalformed {
		t.Errorf("KE2: %v", err)
	}
}

func TestRedacted(t *testing.T) {
	w := newWorld(t)
	registration, _, err := StartRegistration([]byte(password), [64]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	in := w.input()
	for _, secret := range []any{registration, w.login, w.keys, in, *in, w.session, &w.session} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			if got := fmt.Sprintf(verb, secret); got != "(redacted)" {
				t.Errorf("%T with %s prints %q", secret, verb, got)
			}
		}
		if text, err := json.Marshal(secret); err != nil || string(text) != `"(redacted)"` {
			t.Errorf("%T marshals as %s, %v", secret, text, err)
		}
	}
}

// TestSideBySide is for the race detector: workers share the server's keys and the decoder.
func TestSideBySide(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if ke2, session, err := w.keys.KE2(w.input()); err != nil || ke2 != w.ke2 || session != w.session {
				t.Errorf("differs: %v", err)
			}
			if err := CheckKE1(w.ke1[:]); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
