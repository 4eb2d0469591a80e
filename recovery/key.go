// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/coffer-backup/coffer/wire"
)

// oneUse returns AES-256-GCM under a key that is derived for one plaintext, which is why its nonce may be zero.
func oneUse(secret []byte, domain string, context []byte) (gcm cipher.AEAD, nonce []byte) {
	key := wire.DeriveKey(secret, domain, context)
	defer clear(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("recovery: " + err.Error()) // 32 bytes are always a key
	}
	gcm, err = cipher.NewGCM(block)
	if err != nil {
		panic("recovery: " + err.Error()) // AES always fits
	}
	return gcm, make([]byte, gcm.NonceSize())
}

// sealKey seals K under OPAQUE's export key, which only the password can produce again. Each registration has
// an OPRF key and an envelope nonce of its own, and so another export key.
func sealKey(export *[64]byte, k *[32]byte, context []byte) [wire.SealedKeySize]byte {
	gcm, nonce := oneUse(export[:], wire.DomainSealedKey, nil)
	return [wire.SealedKeySize]byte(gcm.Seal(nil, nonce, k[:], context))
}

// openKey undoes sealKey.
func openKey(export *[64]byte, sealed, context []byte) (k [32]byte, err error) {
	gcm, nonce := oneUse(export[:], wire.DomainSealedKey, nil)
	plain, err := gcm.Open(nil, nonce, sealed, context)
	if err != nil || len(plain) != len(k) {
		return k, fmt.Errorf("%w: the key in the vault was not sealed with this password", ErrProtocol)
	}
	defer clear(plain)
	return [32]byte(plain), nil
}

// openDelivery undoes the core's seal under the session key.
func openDelivery(session *[64]byte, delivered *[wire.DeliveredKeySize]byte, id wire.RegistrationID) ([]byte, error) {
	gcm, nonce := oneUse(session[:], wire.DomainDelivery, id[:])
	sealed, err := gcm.Open(nil, nonce, delivered[:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the delivered key does not open", ErrProtocol)
	}
	return sealed, nil
}

// random fills each with fresh random bytes. crypto/rand does not fail: it ends the program instead.
func random(each ...[]byte) {
	for _, b := range each {
		rand.Read(b)
	}
}
