// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzCheckKE1: what is accepted encodes again to the same bytes.
func FuzzCheckKE1(f *testing.F) {
	w := newWorld(f)
	f.Add(w.ke1[:])
	f.Add(make([]byte, 96))
	f.Add(w.ke1[:95])
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := CheckKE1(b); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if ke1, err := decoder.KE1(b); err != nil || !bytes.Equal(ke1.Serialize(), b) {
			t.Fatalf("%x encodes differently: %v", b, err)
		}
	})
}

// FuzzKE2 gives the server any record and any KE1: it answers exactly what the checks accept.
func FuzzKE2(f *testing.F) {
	w := newWorld(f)
	f.Add(w.record[:], w.ke1[:])
	f.Add(make([]byte, 192), w.ke1[:])
	f.Add(w.record[:], make([]byte, 96))
	f.Fuzz(func(t *testing.T, record, ke1 []byte) {
		in := w.input()
		in.Record, in.KE1 = [192]byte{}, [96]byte{}
		copy(in.Record[:], record)
		copy(in.KE1[:], ke1)
		_, _, err := w.keys.KE2(in)
		if accepted := CheckRecord(in.Record[:]) == nil && CheckKE1(in.KE1[:]) == nil; accepted != (err == nil) {
			t.Fatalf("accepted %v, and then %v", accepted, err)
		}
	})
}

// FuzzLoginFinish gives the client any answer: it accepts the one that the server made, and no other.
func FuzzLoginFinish(f *testing.F) {
	w := newWorld(f)
	f.Add(w.ke2[:])
	f.Add(w.ke2[:319])
	f.Add(make([]byte, 320))
	f.Fuzz(func(t *testing.T, b []byte) {
		var ke2 [320]byte
		copy(ke2[:], b)
		_, _, _, err := w.finish(w.login, ke2, w.ids, cheap)
		switch {
		case (err == nil) != (ke2 == w.ke2):
			t.Fatalf("%x: %v", ke2, err)
		case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrWrongPassword):
			t.Fatal(err)
		}
	})
}
