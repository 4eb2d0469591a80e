// SPDX-License-Identifier: Apache-2.0

package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

const maxKeySet = 64 << 10 // bytes

// ParseKeySet reads an issuer's public keys from a JSON Web Key Set (RFC 7517). A key of a kind that no verifier takes is
// refused, not left out: whoever pins keys should know which.
func ParseKeySet(set []byte) ([]Key, error) {
	if len(set) > maxKeySet {
		return nil, fmt.Errorf("token: a key set has at most %d bytes", maxKeySet)
	}
	var parsed struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(set, &parsed); err != nil {
		return nil, fmt.Errorf("token: this is no JSON Web Key Set: %w", err)
	}
	if len(parsed.Keys) == 0 {
		return nil, errors.New("token: the key set is empty")
	}
	keys := make([]Key, len(parsed.Keys))
	for i, j := range parsed.Keys {
		var err error
		if keys[i], err = j.key(); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// jwk is one key (RFC 7517, RFC 7518 section 6.2, RFC 8037).
type jwk struct {
	Kid, Kty, Crv, Alg string
	X, Y, D            string
}

func (j *jwk) key() (k Key, err error) {
	if j.D != "" {
		return k, fmt.Errorf("token: key %q is a private one: it belongs to the issuer alone", j.Kid)
	}
	k.ID = j.Kid
	switch {
	case j.Kty == "OKP" && j.Crv == "Ed25519":
		k.Algorithm = EdDSA
		k.Public, err = base64.RawURLEncoding.DecodeString(j.X)
	case j.Kty == "EC" && j.Crv == "P-256":
		k.Algorithm = ES256
		k.Public, err = j.point()
	default:
		return k, fmt.Errorf("token: key %q is of kind %s %s: only Ed25519 and P-256 are taken", j.Kid, j.Kty, j.Crv)
	}
	if err == nil && j.Alg != "" && j.Alg != k.Algorithm && j.Alg != "Ed25519" { // RFC 9864's name for EdDSA with Ed25519
		err = fmt.Errorf("token: key %q is for %s", j.Kid, j.Alg)
	}
	if err != nil {
		return k, err
	}
	return k, k.Check()
}

// point is an uncompressed point (SEC 1 section 2.3.3).
func (j *jwk) point() ([]byte, error) {
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	if err := errors.Join(errX, errY); err != nil {
		return nil, err
	}
	if len(x) != 32 || len(y) != 32 {
		return nil, fmt.Errorf("token: the coordinates of key %q must have 32 bytes each", j.Kid)
	}
	return append(append([]byte{4}, x...), y...), nil
}
