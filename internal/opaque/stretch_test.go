// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha512"
	"testing"

	"golang.org/x/crypto/argon2"
)

// TestStretching makes the masking key of a record a second time, from RFC 9497, section 3.3.1, and RFC 9807, sections 4.1.2 and 7: the
// RFC's vectors do not stretch, so nothing else holds the salt, the length and the order of the costs in place.
func TestStretching(t *testing.T) {
	w := newWorld(t)
	key, err := scalar(w.oprfKey[:])
	if err != nil {
		t.Fatal(err)
	}
	element := group.HashToGroup([]byte(password), []byte("HashToGroup-OPRFV1-\x00-ristretto255-SHA512")).Multiply(key).Encode()
	output := sha512.Sum512([]byte("\x00" + string(rune(len(password))) + password + "\x00\x20" + string(element) + "Finalize"))
	stretched := argon2.IDKey(output[:], make([]byte, 16), cheap.TimeCost, cheap.MemoryKiB, cheap.Lanes, 64)
	randomized, err := hkdf.Extract(sha512.New, append(output[:], stretched...), nil)
	if err != nil {
		t.Fatal(err)
	}
	masking, err := hkdf.Expand(sha512.New, randomized, "MaskingKey", 64)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(masking, w.record[32:96]) {
		t.Errorf("masking key\n got %x\nwant %x", w.record[32:96], masking)
	}
}
