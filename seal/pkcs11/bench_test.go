// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import "testing"

// BenchmarkCalls times each call, on SoftHSM2.
func BenchmarkCalls(b *testing.B) {
	config := newSoftHSM(b).config(b)
	s, id, sealed := made(b, config)
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			must(s.Seal(b.Context(), id, secret, aad))(b)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			must(s.Open(b.Context(), id, sealed, aad))(b)
		}
	})
	b.Run("rotate", func(b *testing.B) { // what an epoch costs: NewKey, Seal, Destroy
		for b.Loop() {
			next := must(s.NewKey(b.Context()))(b)
			must(s.Seal(b.Context(), next, secret, aad))(b)
			if err := s.Destroy(b.Context(), id); err != nil {
				b.Fatal(err)
			}
			id = next
		}
	})
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			s.Close()
			s = must(Open(b.Context(), config))(b)
		}
	})
}
