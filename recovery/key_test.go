// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// A sealed K opens with its own export key, and for its own fleet, account and registration only.
func TestSealedKey(t *testing.T) {
	v := newVault(t)
	c, export, k, id := v.device("alice", v), bytes64(), bytes32(), wire.RegistrationID{1}
	sealed := sealKey(&export, &k, c.context(id))
	if got, err := openKey(&export, sealed[:], c.context(id)); err != nil || got != k {
		t.Fatalf("its own: %v", err)
	}
	fails := func(name string, export [64]byte, sealed, context []byte) {
		if _, err := openKey(&export, sealed, context); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fails("another export key", bytes64(), sealed[:], c.context(id))
	fails("another registration", export, sealed[:], c.context(wire.RegistrationID{2}))
	fails("another account", export, sealed[:], v.device("bob", v).context(id))
	v.descriptor.Fleet[0] ^= 1
	fails("another fleet", export, sealed[:], c.context(id))
	v.descriptor.Fleet[0] ^= 1
	for i := range sealed {
		changed := sealed
		changed[i] ^= 1
		fails("changed", export, changed[:], c.context(id))
		fails("truncated", export, sealed[:i], c.context(id))
	}
}

// What the core delivers opens in its own session and for its own registration only.
func TestDelivery(t *testing.T) {
	session, id, sealed := bytes64(), wire.RegistrationID{1}, [wire.SealedKeySize]byte{7}
	key := wire.DeriveKey(session[:], wire.DomainDelivery, id[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	delivered := [wire.DeliveredKeySize]byte(gcm.Seal(nil, make([]byte, 12), sealed[:], nil))
	if got, err := openDelivery(&session, &delivered, id); err != nil || [wire.SealedKeySize]byte(got) != sealed {
		t.Fatalf("its own: %v", err)
	}
	other, changed := bytes64(), delivered
	changed[0] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another session":      func() ([]byte, error) { return openDelivery(&other, &delivered, id) },
		"another registration": func() ([]byte, error) { return openDelivery(&session, &delivered, wire.RegistrationID{2}) },
		"changed":              func() ([]byte, error) { return openDelivery(&session, &changed, id) },
	} {
		if _, err := open(); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
