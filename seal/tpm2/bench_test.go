// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkCalls times each call. It measures swtpm; COFFER_TPM2_BENCH names another device, such as /dev/tpmrm0, and
// then every Destroy wears that one out a little.
func BenchmarkCalls(b *testing.B) {
	config := Config{Folder: filepath.Join(b.TempDir(), "keys"), Device: os.Getenv("COFFER_TPM2_BENCH")}
	if config.Device == "" {
		config.Device = newTPM(b).socket
	}
	s := must(Create(b.Context(), config))(b)
	b.Cleanup(func() {
		s.Close()
		if err := Remove(context.Background(), config); err != nil {
			b.Error(err)
		}
	})
	id := must(s.NewKey(b.Context()))(b)
	sealed := must(s.Seal(b.Context(), id, secret, aad))(b)
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
