// SPDX-License-Identifier: Apache-2.0

package blobtest_test

import (
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func TestMemory(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Store { return blobtest.Memory() })
}

// TestFaultyWithoutFaults also shares one destination between all subtests.
func TestFaultyWithoutFaults(t *testing.T) {
	store := &blobtest.Faulty{Store: blobtest.Memory()}
	blobtest.Run(t, func(*testing.T) blob.Store { return store })
	for info, err := range store.List(t.Context(), "") {
		t.Errorf("the suite left %v, %v", info, err)
	}
	for _, op := range []string{blobtest.OpPut, blobtest.OpReadAt, blobtest.OpList, blobtest.OpDelete} {
		if store.Ops()[op] == 0 {
			t.Errorf("no %s was counted", op)
		}
	}
}
