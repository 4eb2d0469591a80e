// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"errors"
	"testing"

	"github.com/coffer-backup/coffer/blob"
)

// What the pipes cost: a pack through them, and the smallest call.
func BenchmarkPipes(b *testing.B) {
	self := config(b, "memory")
	self.Stderr = nil
	s, err := Open(b.Context(), self)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	pack := make([]byte, 16<<20)
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(pack)))
		for b.Loop() { // all but the first are refused, once they have gone through
			if err := s.Put(b.Context(), "pack", pack); err != nil && !errors.Is(err, blob.ErrExists) {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(pack)))
		for b.Loop() {
			if _, err := s.ReadAt(b.Context(), "pack", pack, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ask", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.ReadAt(b.Context(), "pack", nil, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}
