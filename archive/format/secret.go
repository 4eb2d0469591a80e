// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/rand"
	"crypto/subtle"
)

// A masked secret is 32 bytes under a mask that each process draws anew. A Format method alone does not keep a secret out of
// a log: fmt does not ask it where the secret is an unexported field of what it prints, nor for a misplaced %p or %w.
type masked [32]byte

var mask = func() (m masked) {
	rand.Read(m[:])
	return m
}()

// newMasked returns a secret of random bytes, which under a mask are random bytes still.
func newMasked() (m masked) {
	rand.Read(m[:]) // never fails: crypto/rand aborts the process instead
	return m
}

// conceal returns the secret of 32 bytes.
func conceal(b []byte) (m masked) {
	subtle.XORBytes(m[:], b, mask[:])
	return m
}

// reveal returns the bytes. The caller wipes them.
func (m *masked) reveal() []byte {
	b := make([]byte, len(m))
	subtle.XORBytes(b, m[:], mask[:])
	return b
}
