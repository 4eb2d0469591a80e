// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// The algorithms, by their JOSE names (RFC 7518, RFC 8037).
const (
	EdDSA = "EdDSA" // Ed25519 only
	ES256 = "ES256" // ECDSA on P-256 with SHA-256
)

// Key is an issuer's public key.
type Key struct {
	ID        string // the token's kid
	Algorithm string // EdDSA or ES256; a token cannot choose another one for this key
	Public    []byte // EdDSA: 32 bytes; ES256: the point, uncompressed, 65 bytes
}

// Check reports what is wrong with a key.
func (k Key) Check() error {
	_, err := k.parse()
	return err
}

// verifyKey is a key that is ready for use.
type verifyKey struct {
	algorithm string
	verify    func(signed, signature []byte) bool
}

func (k Key) parse() (verifyKey, error) {
	if k.ID == "" {
		return verifyKey{}, errors.New("token: a key has no id")
	}
	switch k.Algorithm {
	case EdDSA:
		if len(k.Public) != ed25519.PublicKeySize {
			return verifyKey{}, fmt.Errorf("token: key %q has %d bytes, not %d", k.ID, len(k.Public), ed25519.PublicKeySize)
		}
		return verifyKey{EdDSA, verifyEdDSA(slices.Clone(k.Public))}, nil
	case ES256:
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Public)
		if err != nil {
			return verifyKey{}, fmt.Errorf("token: key %q: %w", k.ID, err)
		}
		return verifyKey{ES256, verifyES256(public)}, nil
	}
	return verifyKey{}, fmt.Errorf("token: key %q has the unknown algorithm %q", k.ID, k.Algorithm)
}

func verifyEdDSA(public ed25519.PublicKey) func(signed, signature []byte) bool {
	return func(signed, signature []byte) bool { return ed25519.Verify(public, signed, signature) }
}

// verifyES256 takes r and s side by side, 32 bytes each (RFC 7518 section 3.4), and no ASN.1.
func verifyES256(public *ecdsa.PublicKey) func(signed, signature []byte) bool {
	const size = 32
	return func(signed, signature []byte) bool {
		if len(signature) != 2*size {
			return false
		}
		digest := sha256.Sum256(signed)
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(public, digest[:], r, s)
	}
}
