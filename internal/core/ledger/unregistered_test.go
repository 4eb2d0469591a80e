// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// TestTokenWithoutKey: who can speak for the account, and has not the key, neither lowers nor replaces what was told under it.
func TestTokenWithoutKey(t *testing.T) {
	w := newWorld(t)
	mine, theirs := w.manage(), w.manage()
	put := func(m wire.ManageHash, archive byte, generation uint64) *PutFreshness {
		return &PutFreshness{Manage: m, Freshness: wire.Freshness{Archive: wire.ArchiveID{archive}, Generation: generation, Digest: [32]byte{byte(generation)}}}
	}
	if o := w.do(put(mine, 1, 5)); o.FreshnessPut == nil {
		t.Fatal(o.Refusal)
	}
	for archive := range byte(wire.MaxFreshness - 1) { // all the places that are left
		if o := w.do(put(theirs, archive, 9)); o.FreshnessPut == nil {
			t.Fatal(o.Refusal)
		}
	}
	w.refused(put(theirs, 7, 9), wire.CodeTooMany)
	id := w.live(theirs)
	if o := w.do(&Delete{ID: id, Proof: &theirs}); o.Deleted == nil {
		t.Fatal(o.Refusal)
	}
	w.refused(put(mine, 1, 4), wire.CodeOldFreshness)
	if o := w.do(put(mine, 1, 6)); o.FreshnessPut == nil {
		t.Fatal(o.Refusal)
	}
	if n := len(w.a.Unregistered); n != 1 { // theirs went with their registration
		t.Fatalf("%d are remembered", n)
	}
}

// TestUnregisteredListsAreShared: a clone is applied to while the account that it is of is read.
func TestUnregisteredListsAreShared(t *testing.T) {
	w := newWorld(t)
	m := w.manage()
	w.do(&PutFreshness{Manage: m, Freshness: wire.Freshness{Generation: 1}})
	clone := w.a.clone()
	for _, op := range []Op{
		&PutFreshness{Manage: m, Freshness: wire.Freshness{Generation: 2}},
		&PutFreshness{Manage: m, Freshness: wire.Freshness{Archive: wire.ArchiveID{1}}},
	} {
		Apply(&w.p, w.now, clone, op)
	}
	if len(w.a.Unregistered) != 1 || w.a.Unregistered[0].Freshness.Generation != 1 {
		t.Fatalf("the account changed with its clone: %+v", w.a.Unregistered)
	}
}
