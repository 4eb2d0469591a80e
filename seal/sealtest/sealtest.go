// SPDX-License-Identifier: Apache-2.0

// Package sealtest is the conformance suite that every driver of package seal must pass.
//
// The suite guarantees that a driver that passes keeps those promises of the contract that can be seen
// from one process: it cannot see what a loss of power leaves, nor what a thief finds in the hardware.
// It trusts nothing in the driver's place to be its own: keys that others have there
// are neither expected, nor touched. It destroys the keys that it makes.
package sealtest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/coffer-backup/coffer/seal"
)

// Run tests a driver against the contract of [seal.Sealer]. Each subtest calls open once. Reopen closes
// the sealer that is open, if it still is, and opens its place again, as a restart of the process does;
// it ends the test when it cannot. The suite makes about 60 keys.
//
//	func TestDriver(t *testing.T) {
//		sealtest.Run(t, func(t *testing.T) (seal.Sealer, func() seal.Sealer) { ... })
//	}
func Run(t *testing.T, open func(t *testing.T) (s seal.Sealer, reopen func() seal.Sealer)) {
	for _, test := range []struct {
		name string
		run  func(*fixture)
	}{
		{"round trip", testRoundTrip},
		{"slices are the caller's", testSlices},
		{"wrong aad", testWrongAAD},
		{"wrong key", testWrongKey},
		{"altered bytes", testAltered},
		{"sizes", testSizes},
		{"no such key", testNoKey},
		{"keys lists", testKeys},
		{"many keys", testMany},
		{"destroy", testDestroy},
		{"rotation survives reopen", testRotation},
		{"cancelled before", testCancelled},
		{"cancelled meanwhile", testCancelledMeanwhile},
		{"closed", testClosed},
		{"concurrent use", testConcurrent},
		{"destroy beside open", testDestroyBesideOpen},
		{"tier", testTier},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, reopen := open(t)
			f := &fixture{T: t, Sealer: s, restart: reopen}
			defer f.cleanUp()
			test.run(f)
		})
	}
}

// fixture is a sealer with helpers that end the test when the sealer fails.
type fixture struct {
	*testing.T
	seal.Sealer
	restart func() seal.Sealer
	made    []seal.KeyID
}

func (f *fixture) reopen() { f.Helper(); f.Sealer = f.restart() }

func (f *fixture) cleanUp() {
	f.reopen()
	for _, id := range f.made {
		f.check(f.Destroy(context.Background(), id))
	}
	f.check(f.Sealer.Close())
}

func (f *fixture) check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) newKey() seal.KeyID {
	f.Helper()
	id, err := f.NewKey(f.Context())
	f.check(err)
	f.made = append(f.made, id)
	return id
}

// seal hands out copies, so that a sealer that changes them fails one subtest and not all.
func (f *fixture) seal(id seal.KeyID, secret, aad []byte) []byte {
	f.Helper()
	sealed, err := f.Seal(f.Context(), id, slices.Clone(secret), slices.Clone(aad))
	f.check(err)
	return sealed
}

func (f *fixture) opens(id seal.KeyID, sealed, aad, secret []byte) {
	f.Helper()
	got, err := f.Open(f.Context(), id, sealed, aad)
	f.check(err)
	if !bytes.Equal(got, secret) {
		f.Fatal("another secret came back")
	}
}

// refuses checks that Open returns want, and no secret with it.
func (f *fixture) refuses(want error, id seal.KeyID, sealed, aad []byte) {
	f.Helper()
	got, err := f.Open(f.Context(), id, sealed, aad)
	f.is(err, want)
	if len(got) != 0 {
		f.Fatal("bytes came back with an error")
	}
}

func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got %v, want %v", err, want)
	}
}

func (f *fixture) keys() []seal.KeyID {
	f.Helper()
	ids, err := f.Keys(f.Context())
	f.check(err)
	return ids
}

func (f *fixture) lists(id seal.KeyID, want bool) {
	f.Helper()
	if slices.Contains(f.keys(), id) != want {
		f.Fatalf("key %s listed: %v", id, !want)
	}
}
