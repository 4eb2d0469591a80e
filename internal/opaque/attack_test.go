// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"encoding/hex"
	"errors"
	"testing"
)

// bad are encodings that RFC 9496 refuses (appendix A.3 and the identity, which OPAQUE refuses).
var bad = map[string]string{
	"identity":       "0000000000000000000000000000000000000000000000000000000000000000",
	"the prime":      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"prime and one":  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"high bit":       "00000000000000000000000000000000000000000000000000000000000000" + "80",
	"all ones":       "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"prime, with 6":  "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"negative":       "0100000000000000000000000000000000000000000000000000000000000000",
	"negative, big":  "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"not a square":   "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
	"minus one":      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"not a square 2": "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
}

func eachBad(t *testing.T, f func(t *testing.T, element [32]byte)) {
	for name, text := range bad {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { f(t, [32]byte(b)) })
	}
}

func malformedOnly(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ErrMalformed) {
		t.Errorf("%s: %v, want %v", what, err, ErrMalformed)
	}
}

func TestBadElements(t *testing.T) {
	w := newWorld(t)
	registration, _, err := StartRegistration([]byte(password), [64]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	finish := func(response [64]byte) error {
		_, _, err := registration.finish(response, w.ids.Client, w.ids.Server, cheap.options(), [32]byte{4})
		return err
	}
	good, err := RegistrationResponse(w.oprfKey, w.public, [32]byte(w.ke1[:32]))
	if err != nil {
		t.Fatal(err)
	}
	if err = finish(good); err != nil {
		t.Fatal(err)
	}
	eachBad(t, func(t *testing.T, element [32]byte) {
		malformedOnly(t, "element", CheckElement(element[:]))
		_, err := RegistrationResponse(w.oprfKey, w.public, element)
		malformedOnly(t, "blinded", err)
		_, err = RegistrationResponse(w.oprfKey, element, [32]byte(w.ke1[:32]))
		malformedOnly(t, "server key to answer with", err)
		malformedOnly(t, "evaluated", finish(put(good, 0, element)))
		malformedOnly(t, "server key in the answer", finish(put(good, 32, element)))
		w.badGuess(t, element)
	})
}

// badGuess puts the element in each place of the three messages that hold one.
func (w *world) badGuess(t *testing.T, element [32]byte) {
	t.Helper()
	for _, at := range []int{0, 64} {
		in := w.input()
		in.KE1 = put(in.KE1, at, element)
		malformedOnly(t, "KE1", CheckKE1(in.KE1[:]))
		_, _, err := w.keys.KE2(in)
		malformedOnly(t, "KE2 for KE1", err)
	}
	in := w.input()
	in.Record = put(in.Record, 0, element)
	malformedOnly(t, "record", CheckRecord(in.Record[:]))
	_, _, err := w.keys.KE2(in)
	malformedOnly(t, "KE2 for record", err)
	for _, at := range []int{0, 224} {
		_, _, _, err = w.finish(w.login, put(w.ke2, at, element), w.ids, cheap)
		malformedOnly(t, "KE2", err)
	}
}

func put[T [64]byte | [96]byte | [192]byte | [320]byte](message T, at int, element [32]byte) T {
	for i, b := range element {
		message[at+i] = b
	}
	return message
}

// TestReflected: a server that hands the blinded element back has an OPRF key that everybody knows.
func TestReflected(t *testing.T) {
	w := newWorld(t)
	one := [32]byte{1}
	registration, blinded, err := StartRegistration([]byte(password), [64]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	response, err := RegistrationResponse(one, w.public, blinded)
	if err != nil || [32]byte(response[:32]) != blinded {
		t.Fatalf("not reflected: %v", err)
	}
	_, _, err = registration.finish(response, w.ids.Client, w.ids.Server, cheap.options(), [32]byte{4})
	malformedOnly(t, "registration", err)

	in := w.input()
	in.OPRFKey = one
	ke2, _, err := w.keys.KE2(in)
	if err != nil || [32]byte(ke2[:32]) != [32]byte(w.ke1[:32]) {
		t.Fatalf("not reflected: %v", err)
	}
	_, _, _, err = w.finish(w.login, ke2, w.ids, cheap)
	malformedOnly(t, "login", err)
}

// order is the group's order, the smallest scalar that is not canonical.
const order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"

func TestBadOPRFKey(t *testing.T) {
	w := newWorld(t)
	b, err := hex.DecodeString(order)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][32]byte{{}, [32]byte(b)} {
		_, err := RegistrationResponse(key, w.public, [32]byte(w.ke1[:32]))
		malformedOnly(t, "registration", err)
		in := w.input()
		in.OPRFKey = key
		_, _, err = w.keys.KE2(in)
		malformedOnly(t, "KE2", err)
	}
}

// TestChangedKE2 changes each byte of an answer on its way.
func TestChangedKE2(t *testing.T) {
	w := newWorld(t)
	for i := range w.ke2 {
		ke2 := w.ke2
		ke2[i] ^= 1
		if _, _, _, err := w.finish(w.login, ke2, w.ids, cheap); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrWrongPassword) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// TestChangedRecord changes each byte of a stored record: the client must not accept what is made of it.
func TestChangedRecord(t *testing.T) {
	w := newWorld(t)
	for i := range w.record {
		in := w.input()
		in.Record[i] ^= 1
		w.mustFail(t, i, in)
	}
}

// TestChangedKE1 changes each byte of a guess on its way: the client must not accept the answer to it.
func TestChangedKE1(t *testing.T) {
	w := newWorld(t)
	for i := range w.ke1 {
		in := w.input()
		in.KE1[i] ^= 1
		w.mustFail(t, i, in)
	}
}

func (w *world) mustFail(t *testing.T, i int, in *KE2Input) {
	t.Helper()
	ke2, session, err := w.keys.KE2(in)
	if errors.Is(err, ErrMalformed) {
		return
	}
	if err != nil {
		t.Fatalf("byte %d: %v", i, err)
	}
	ke3, _, _, err := w.finish(w.login, ke2, w.ids, cheap)
	if !errors.Is(err, ErrWrongPassword) {
		t.Errorf("byte %d: %v", i, err)
	}
	if session.Finish(ke3[:]) == nil {
		t.Errorf("byte %d: a proof without a password", i)
	}
}

// TestZeroMaskingKey: such a record could be stored and never be answered for, so it is refused before.
func TestZeroMaskingKey(t *testing.T) {
	w := newWorld(t)
	clear(w.record[32:96])
	malformedOnly(t, "record", CheckRecord(w.record[:]))
	_, _, err := w.keys.KE2(w.input())
	malformedOnly(t, "KE2", err)
}

func TestTruncated(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		check func([]byte) error
		good  []byte
	}{
		"element": {CheckElement, w.ke1[:32]}, "record": {CheckRecord, w.record[:]}, "KE1": {CheckKE1, w.ke1[:]},
	} {
		if err := c.check(c.good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := range c.good {
			malformedOnly(t, name, c.check(c.good[:n]))
		}
		malformedOnly(t, name, c.check(append(c.good[:len(c.good):len(c.good)], 0)))
		malformedOnly(t, name, c.check(nil))
	}
}
