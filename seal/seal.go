// SPDX-License-Identifier: Apache-2.0

// Package seal is the contract of what keeps the one small secret of a vault
// node, so that the older ones are gone for ever.
//
// A core keeps its state on the host's disk, sealed under an epoch key, and
// replaces that key with every snapshot. Whoever kept a copy of the disk gains
// nothing from it if the old epoch key is gone. So a [Sealer] makes keys that
// never leave it, seals the epoch key under the newest, and destroys the one before.
//
// The contract guarantees that what was sealed opens only at the sealer that
// sealed it, under the same key id and the same aad, and never again once
// [Sealer.Destroy] has returned. How far that holds against somebody with the
// machine in his hands is the driver's [Tier] and stands in the driver's doc.
//
// A sealer trusts its caller with the secrets. It trusts nobody with sealed bytes:
// the host stores them, and may alter, replace, hide or replay them. It refuses
// sizes beyond the bounds below before it takes memory for them.
//
// Each driver must pass the suite of package sealtest.
package seal

import (
	"context"
	"encoding/hex"
	"errors"
)

// Bounds that hold for every driver, in bytes.
const (
	MaxSecret = 4096 // a secret has at least one byte
	MaxAAD    = 4096
	MaxSealed = MaxSecret + 1024 // what a driver may make of a secret
)

// A driver's error wraps one of these wherever one fits, or is the context's own. After any
// other error nothing is known about the effect of the call; see [Sealer] on trying again.
var (
	// ErrNoKey means that there is no key of this id: it was destroyed, or it
	// never was. Trying again does not help.
	ErrNoKey = errors.New("the sealer has no such key")

	// ErrTampered means that these bytes are not what this key sealed with this aad. One altered
	// byte, another aad, another key's bytes and a cut look the same.
	ErrTampered = errors.New("sealed bytes are not what this key sealed")

	// ErrSize means that a secret is empty or over MaxSecret, or an aad over MaxAAD.
	ErrSize = errors.New("wrong size for the sealer")

	// ErrKeyID means that a text is not the id of a key.
	ErrKeyID = errors.New("not a key id: 32 digits of 0-9 and a-f")

	// ErrInUse means that another process has the sealer's keys open. Two cores
	// on the same keys would be two votes of one node.
	ErrInUse = errors.New("the sealer is in use by another process")

	// ErrClosed means that the sealer was closed.
	ErrClosed = errors.New("the sealer is closed")
)

// KeyID names a key: 32 digits of [0-9a-f], chosen at random by the sealer, so that none returns.
// It is no secret. A text that is not of this form names no key, at any method.
type KeyID string

// keyIDSize is that of the random bytes in an id. With 128 bits no two collide.
const keyIDSize = 16

// NewKeyID makes the id of random bytes.
func NewKeyID(random [keyIDSize]byte) KeyID { return KeyID(hex.EncodeToString(random[:])) }

// ParseKeyID checks a text from outside.
func ParseKeyID(text string) (KeyID, error) {
	if len(text) != 2*keyIDSize {
		return "", ErrKeyID
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", ErrKeyID
		}
	}
	return KeyID(text), nil
}

// Tier says what a sealer's promises rest on, weakest first. It stands in the
// fleet descriptor, where clients see it.
type Tier string

const (
	Software Tier = "software" // files: nothing against a copy of the disk
	PKCS11   Tier = "pkcs11"   // a key in a token: a copy of the disk is worth nothing without the token
	TPM2     Tier = "tpm2"     // a key in this machine's TPM 2.0
)

// CheckSize refuses what is out of bounds. Every driver calls it in Seal.
func CheckSize(secret, aad []byte) error {
	if len(secret) == 0 || len(secret) > MaxSecret || len(aad) > MaxAAD {
		return ErrSize
	}
	return nil
}

// Sealer keeps keys and seals small secrets under them.
//
// Concurrency: all methods may be called at any time from any goroutine. Calls
// behave as if they came one after the other: an Open that returns after a
// Destroy of its key has returned fails. One process at a time has the keys; a
// second one gets ErrInUse when it opens the driver.
//
// Context: a context that is over before the call makes it fail with nothing
// done. Later it may or may not end the call, with an unknown effect.
//
// Trying again: Seal, Open, Keys and Destroy may be repeated after any error. NewKey too, but a
// failed one may have left a key that nobody knows. It sealed nothing, so it is no danger; Keys lists it.
//
// Crashes: the caller changes its secret in four steps, each durable before the next:
//
//	id := NewKey()            // a crash after it: a key that nothing refers to
//	sealed := Seal(id, ...)   // changes nothing that lasts
//	(store id and sealed)     // a crash after it: both keys live, the new state counts
//	Destroy(old)              // a crash in it: the old key lives or is gone, never half
//
// So after a start the caller destroys each of Keys that its stored state does
// not name, and is where it would have been without the crash.
//
// Copies: the same keys may be open twice where no lock helps, as from copies of a driver's folder on two machines that reach one token. Then one sealer
// at most is told that a key which both have seen is gone: at the other, Destroy and Keys fail, with an error that wraps ErrInUse or ErrTampered, because
// another opening of the same keys came later, or destroyed first. Software's keys are in the folder itself, so each copy is a sealer of its own; that is why its
// tier promises nothing.
type Sealer interface {
	// NewKey makes a key. When it returns nil the key is durable. A crash before
	// that leaves the whole key, or none.
	NewKey(ctx context.Context) (KeyID, error)

	// Seal encrypts and authenticates a secret, and authenticates aad, under the
	// key. The result is at most MaxSealed bytes, differs each time, and is stored by the caller.
	// Neither slice is kept or changed.
	Seal(ctx context.Context, id KeyID, secret, aad []byte) ([]byte, error)

	// Open returns the secret, or ErrNoKey, or ErrTampered. The slice is the caller's, to be wiped.
	Open(ctx context.Context, id KeyID, sealed, aad []byte) ([]byte, error)

	// Destroy makes the key unusable, for ever. When it returns nil nothing can
	// open what was sealed under it, not after a crash either, within the promises of the tier.
	// A key that is gone already is no error; that too is durable then.
	Destroy(ctx context.Context, id KeyID) error

	// Keys lists the keys that can be used, in no order.
	Keys(ctx context.Context) ([]KeyID, error)

	// Tier says what the promises rest on. It never changes.
	Tier() Tier

	// Close lets go of the keys, so that another process may open them; they stay. It waits
	// for calls that run. Later calls return ErrClosed, another Close nil.
	Close() error
}
