// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// TestVerifySound: a sound archive is called so, every object is looked at, and nothing is changed.
func TestVerifySound(t *testing.T) {
	w, d, ids := library(t)
	before := w.names("")
	store := d.counted()
	for _, all := range []bool{false, true} {
		v, err := d.mustOpen().Verify(t.Context(), VerifyConfig{ReadAll: all, Progress: &Progress{}})
		must(t, err)
		if len(v.Damage) > 0 || len(v.Affected) > 0 || v.Snapshots != len(ids) || v.Generation != 3 {
			t.Errorf("report: %+v", v)
		}
		if all && int(v.Objects) != len(before) {
			t.Errorf("%d of %d objects were looked at", v.Objects, len(before))
		}
	}
	if ops := store.Ops(); ops[blobtest.OpPut]+ops[blobtest.OpDelete] > 0 {
		t.Errorf("operations: %v", ops)
	}
}

// TestVerifyOrphans: what a killed backup leaves is counted, and with ReadAll looked at.
func TestVerifyOrphans(t *testing.T) {
	w, d, _ := library(t)
	f := w.forger()
	f.content([]byte("unfinished"))
	packs, err := f.p.finish()
	must(t, err)
	_, err = f.a.putIndexes(t.Context(), packs)
	must(t, err)
	snapshot, err := f.a.putObject(t.Context(), format.TypeSnapshot, (&format.Snapshot{}).Encode())
	must(t, err)
	orphan := f.a.name(dirPacks, packs[0].Name.String())
	for _, all := range []bool{false, true} {
		v, err := d.mustOpen().Verify(t.Context(), VerifyConfig{ReadAll: all})
		must(t, err)
		if len(v.Damage) > 0 || v.Orphans < 3 || v.OrphanBytes < int64(packs[0].Size) {
			t.Errorf("report: %+v", v)
		}
	}
	w.corrupt(orphan, flipMiddle)
	w.corrupt(f.a.name(dirSnapshots, snapshot.String()), flipMiddle)
	v, err := d.mustOpen().Verify(t.Context(), VerifyConfig{ReadAll: true})
	must(t, err)
	if len(v.Damage) != 2 || !reports(v, orphan) || len(v.Affected) > 0 {
		t.Errorf("report: %+v", v)
	}
}

// TestVerifyForgedPack: records that are sealed right, and are not the contents that the index says.
func TestVerifyForgedPack(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	e := f.file("a", "right")
	other := f.file("b", "other")
	pack := f.a.keyring.NewPack(nil)
	pack.Append(format.Record{ID: e.Segments[0], Size: 5, Stored: 5}, []byte("wrong"))
	f.snapshot([]format.Entry{forgedDir(""), e, other})
	f.pack(pack)
	v, err := f.a.Verify(t.Context(), VerifyConfig{ReadAll: true})
	must(t, err)
	if len(v.Damage) != 1 || !strings.Contains(v.Damage[0].Object, dirPacks) || len(v.Affected) != 1 || v.Affected[0].Path != "a" {
		t.Errorf("report: %+v", v)
	}
}

// TestBadSector: a disk that fails at one place keeps nothing else from being verified and restored.
func TestBadSector(t *testing.T) {
	w, d, ids := library(t)
	for _, name := range slices.Concat(w.names(dirKeys), w.names(dirPacks), w.names(dirSnapshots), w.names(dirIndexes)) {
		data, err := blobtest.Read(t.Context(), w.store, name)
		must(t, err)
		for _, at := range []int64{0, int64(len(data)) / 2, int64(len(data)) - 1} {
			d.store = &sectors{w.store, name, at, at + 1}
			a := d.mustOpen()
			v, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true})
			must(t, err)
			if !reports(v, name) && !unreferenced(t, w)[name] || len(v.Damage) > 1 {
				t.Errorf("%s, byte %d: %+v", name, at, v.Damage)
			}
			for _, id := range ids {
				checkAffected(t, a, id, w.want[id], v)
			}
		}
	}
}

// TestVerifyStops where it cannot look at all.
func TestVerifyStops(t *testing.T) {
	w, d, _ := library(t)
	for n := 1; ; n++ {
		a := d.mustOpen()
		a.store = &blobtest.Faulty{Store: w.store, Before: blobtest.FromNth("", n, blob.ErrUnreachable)}
		if _, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true}); err == nil {
			break
		} else {
			wantErr(t, "verify", err, blob.ErrUnreachable)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.mustOpen().Verify(ctx, VerifyConfig{ReadAll: true})
	wantErr(t, "verify", err, context.Canceled)
}

// TestDamagedIndex costs nothing: the packs say themselves what is in them. Only the packs themselves must be there.
func TestDamagedIndex(t *testing.T) {
	w, d, ids := library(t)
	for _, name := range w.names(dirIndexes) {
		w.corrupt(name, flipMiddle)
	}
	pack := w.names(dirPacks)[1]
	for _, damage := range []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { b[6] = 2; return b }, // a newer version, it seems
		func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		cutHalf,
	} {
		c := *w
		c.store = cloneStore(t, w.store)
		c.corrupt(pack, damage)
		dev := *d
		dev.w, dev.store = &c, c.store
		a := dev.mustOpen()
		v, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true})
		must(t, err)
		if reports(v, pack) != (len(v.Affected) > 0) {
			t.Errorf("report: %+v", v)
		}
		for _, id := range ids {
			checkAffected(t, a, id, w.want[id], v)
		}
	}
	a := d.mustOpen()
	dir, _ := restoreTo(t, a, RestoreConfig{})
	wantTree(t, dir, w.want[ids[2]])
	if !slices.ContainsFunc(a.Notices(), func(n string) bool { return strings.Contains(n, "index") }) {
		t.Errorf("nobody says that an index is damaged: %q", a.Notices())
	}
	dir = filepath.Join(t.TempDir(), "target")
	dev := *d
	dev.store = &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
		if strings.Contains(name, dirIndexes) {
			return blob.ErrUnreachable
		}
		return nil
	}}
	_, err := dev.mustOpen().Restore(t.Context(), RestoreConfig{Dir: dir})
	wantErr(t, "an index that cannot be reached", err, blob.ErrUnreachable)
	if _, err := os.Lstat(dir); err == nil {
		t.Error("the target was made")
	}
}
