// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

func repairWith(t *testing.T, d *device, other blob.Store) *RepairReport {
	t.Helper()
	d.options.AllowOlder = true
	a, err := d.open()
	must(t, err)
	defer a.Close()
	r, err := a.Repair(t.Context(), other, nil)
	must(t, err)
	return r
}

// TestRepairAloneThenFromOther loses each object, repairs without another copy, as people do first, and then with one: the first
// repair must not have given up what the second could bring back.
func TestRepairAloneThenFromOther(t *testing.T) {
	base, baseDevice := history(t)
	other := cloneStore(t, base.store)
	for _, name := range base.names("") {
		if strings.Contains(name, "/"+dirLocks) {
			continue
		}
		for _, mutate := range []func([]byte) []byte{flipMiddle, nil} {
			w, d := clone(t, base, baseDevice)
			if mutate == nil {
				w.delete(name)
			} else {
				w.corrupt(name, mutate)
			}
			repairWith(t, d, nil)
			r := repairWith(t, d, other)
			if len(r.Lost) > 0 {
				t.Errorf("%s: %+v", name, r)
			}
			w.check()
		}
	}
}

// TestRepairFetchesNewerHead loses the newest head: the other destination's one follows what is left here.
func TestRepairFetchesNewerHead(t *testing.T) {
	w, d := history(t)
	other := cloneStore(t, w.store)
	heads := w.heads()
	w.delete(heads[len(heads)-1])
	fresh := w.device() // that has seen nothing
	if r := repairWith(t, fresh, other); !slices.Contains(r.Fetched, heads[len(heads)-1]) {
		t.Errorf("%+v", r)
	}
	w.check()
	d.mustBackup()
}

// TestHeadOfReplacedKey plays somebody who has the old key, a copy of the old keyring and the destination: a head made with them is
// refused, unless this device made it.
func TestHeadOfReplacedKey(t *testing.T) {
	w, d := history(t)
	thief := d.mustOpen()
	old := thief.keyring
	next := format.NewKey()
	a := d.mustOpen()
	must(t, a.ChangeKey(t.Context(), next))
	forged := &format.Head{Generation: a.head.Generation + 1, Parents: []format.Digest{a.tips[0].digest}, Time: a.now()}
	data := old.Seal(format.TypeHead, forged.Encode())
	name := headName{forged.Generation, format.DigestOf(data)}
	must(t, w.store.Put(t.Context(), a.name(dirHeads, name.String()), data))

	_, err := Open(t.Context(), w.store, w.id, next, Options{})
	wantErr(t, "a forged head", err, ErrRolledBack)
	b, err := Open(t.Context(), w.store, w.id, next, Options{Seen: Head{Generation: name.generation, Digest: name.digest}})
	must(t, err)
	b.Close()
}

// TestContentOfReplacedKey lets the same thief plant a pack that claims to hold contents of the archive, and holds others. No backup
// takes it for one of its own, and where an index describes it the contents are found out.
func TestContentOfReplacedKey(t *testing.T) {
	w, d := history(t)
	thief := d.mustOpen()
	must(t, thief.useCatalog(t.Context()))
	next := format.NewKey()
	a := d.mustOpen()
	must(t, a.ChangeKey(t.Context(), next))

	forged := thief.keyring.NewPack(make([]byte, 0, format.MaxPackSize))
	for id := range thief.catalog.contents {
		forged.Append(format.Record{ID: id, Size: 5, Stored: 5}, []byte("false"))
	}
	pack, data := forged.Finish()
	must(t, w.store.Put(t.Context(), a.name(dirPacks, pack.Name.String()), data))

	present, err := a.listPacks(t.Context())
	must(t, err)
	c, err := a.backupCatalog(t.Context(), present)
	must(t, err)
	if _, adopted := c.numbers[pack.Name]; adopted {
		t.Error("a backup adopts the pack")
	}
	must(t, a.useCatalog(t.Context()))
	a.catalog.add(&pack, true)
	for id := range thief.catalog.contents {
		_, err := a.content(t.Context(), id)
		wantErr(t, "a planted content", err, ErrDamaged)
	}
	r, err := a.Restore(t.Context(), RestoreConfig{Dir: filepath.Join(t.TempDir(), "out"), KeepGoing: true})
	must(t, err)
	if len(r.Problems) == 0 {
		t.Error("the restore noticed nothing")
	}
}

// TestRollbackOfKeyChange puts back what was there before the key was changed. The device's key does not open that; it is told why.
func TestRollbackOfKeyChange(t *testing.T) {
	w, d := history(t)
	old := cloneStore(t, w.store)
	a := d.mustOpen()
	next := format.NewKey()
	must(t, a.ChangeKey(t.Context(), next))
	_, err := Open(t.Context(), old, w.id, next, Options{Seen: a.Head()})
	wantErr(t, "what was there before", err, ErrRolledBack)
	_, err = Open(t.Context(), old, w.id, next, Options{})
	wantErr(t, "on a device that has seen nothing", err, ErrWrongKey)
}
