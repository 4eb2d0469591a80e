// SPDX-License-Identifier: Apache-2.0

package opaque

import "testing"

func BenchmarkRegistrationResponse(b *testing.B) {
	w := newWorld(b)
	blinded := [32]byte(w.ke1[:32])
	for b.Loop() {
		if _, err := RegistrationResponse(w.oprfKey, w.public, blinded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKE2(b *testing.B) {
	w := newWorld(b)
	in := w.input()
	for b.Loop() {
		if _, _, err := w.keys.KE2(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFinish is the server's check of a KE3.
func BenchmarkFinish(b *testing.B) {
	w := newWorld(b)
	ke3, _, _, err := w.finish(w.login, w.ke2, w.ids, cheap)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := w.session.Finish(ke3[:]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoginFinish is the client's work at the default cost, Argon2id included.
func BenchmarkLoginFinish(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		// The record was made at another cost, so the answer does not open; the work is the same up to the last step.
		if _, _, _, err := w.login.Finish(w.ke2, w.ids, DefaultKSF); err != ErrWrongPassword {
			b.Fatal(err)
		}
	}
}
