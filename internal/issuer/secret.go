// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
)

// newSecret returns 32 random bytes as text.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// secretHash is what is kept of a secret. The secret has 256 random bits, so a plain hash is
// enough, and looking it up in a map tells nothing of use by its time.
type secretHash [sha256.Size]byte

func hashOf(secret string) secretHash { return sha256.Sum256([]byte(secret)) }

// newUserCode returns a code to compare, of letters that spell no words (RFC 8628 section 6.1).
func newUserCode() string {
	const letters = "BCDFGHJKLMNPQRSTVWXZ"
	var b [8]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)] // a little uneven; here it protects nothing
	}
	return string(b[:4]) + "-" + string(b[4:])
}

const keyName = "signing.key"

// openKey reads the signing key's seed, or makes it at the first start.
func openKey(f folder) (ed25519.PrivateKey, error) {
	seed, err := f.read(keyName, ed25519.SeedSize)
	if errors.Is(err, fs.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		err = f.replace(keyName, seed)
	}
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is damaged: it has %d bytes, not %d", keyName, len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// keyID names a key by its hash, so that another key has another name.
func keyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}
