// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// entropy gives the random bytes of one incarnation: AES-256 in counter mode
// under a seed that the runner drew for it. Given the seed, it is deterministic, which makes
// a recorded run repeatable.
type entropy struct{ stream cipher.Stream }

func newEntropy(seed [32]byte) entropy {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		panic("core: " + err.Error()) // 32 bytes are a key
	}
	return entropy{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

// fill overwrites b with random bytes.
func (e entropy) fill(b []byte) {
	clear(b)
	e.stream.XORKeyStream(b, b)
}

func (e entropy) bytes32() (b [32]byte) { e.fill(b[:]); return b }
func (e entropy) bytes64() (b [64]byte) { e.fill(b[:]); return b }

func (e entropy) uint64() uint64 {
	var b [8]byte
	e.fill(b[:])
	return binary.BigEndian.Uint64(b[:])
}
