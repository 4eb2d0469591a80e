// SPDX-License-Identifier: Apache-2.0

package blobtest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func TestChecksPass(t *testing.T) {
	store := blobtest.Memory()
	for _, c := range blobtest.Checks() {
		if err := c.Run(t.Context(), store, true); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	wantEmpty(t, store)
}

func wantEmpty(t *testing.T, store blob.Store) {
	t.Helper()
	for info, err := range store.List(t.Context(), "") {
		t.Errorf("left behind: %v, %v", info, err)
	}
}

// TestChecksFindFaults: each broken promise is found outside of go test, too, and by the light suite.
func TestChecksFindFaults(t *testing.T) {
	for _, promise := range brokenPromises {
		if promise.subtest == "many objects" {
			continue // which needs more than a provider's page of them
		}
		t.Run(promise.fault, func(t *testing.T) {
			memory := blobtest.Memory()
			b := promise.build(memory)
			b.Store = memory
			if err := check(t, promise.subtest).Run(t.Context(), b, true); err == nil {
				t.Errorf("%q did not find it", promise.subtest)
			}
		})
	}
}

func check(t *testing.T, name string) blobtest.Check {
	t.Helper()
	for _, c := range blobtest.Checks() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q", name)
	return blobtest.Check{}
}

func TestCheckNamesTheCause(t *testing.T) {
	full := &blobtest.Faulty{Store: blobtest.Memory(), Before: func(op, _ string) error {
		if op == blobtest.OpPut {
			return blob.ErrFull
		}
		return nil
	}}
	if err := check(t, "put is read back").Run(t.Context(), full, true); !errors.Is(err, blob.ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
}

// TestCheckInterrupted: who ends a check in the middle finds his destination as it was.
func TestCheckInterrupted(t *testing.T) {
	memory := blobtest.Memory()
	ctx, cancel := context.WithCancel(t.Context())
	store := &blobtest.Faulty{Store: memory, After: func(op, _ string) error {
		if op == blobtest.OpPut {
			cancel()
		}
		return nil
	}}
	if err := check(t, "list by prefix").Run(ctx, store, true); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	wantEmpty(t, memory)
}
