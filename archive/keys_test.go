// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// changed makes a world whose key was changed after two snapshots.
func changed(t *testing.T) (w *world, d *device, oldKey Key, oldKeyring []byte) {
	w = newWorld(t)
	d = w.device()
	for v := range byte(2) {
		tinyFill(w, v+1)
		d.mustBackup()
	}
	packs := w.names(dirPacks)
	oldKey, oldKeyring = w.key, readObject(t, w.store, keyName(w.id, 1, 1))
	next := format.NewKey()
	must(t, d.mustOpen().ChangeKey(t.Context(), next))
	w.key = next
	if !slices.Equal(w.names(dirPacks), packs) {
		t.Error("packs were uploaded again")
	}
	return w, d, oldKey, oldKeyring
}

func TestChangeKey(t *testing.T) {
	w, d, oldKey, _ := changed(t)
	w.check()
	_, err := Open(t.Context(), w.store, w.id, oldKey, Options{})
	wantErr(t, "open with the old key", err, ErrWrongKey)
	tinyFill(w, 9)
	d.mustBackup()
	w.check()
	if names := w.names(dirKeys); len(names) != keyCopies || names[0] != keyName(w.id, 2, 1) {
		t.Errorf("keyrings: %v", names)
	}
}

// TestNewMasterAfterChange proves that who has the old key and a copy of the old keyring reads nothing that was written after the
// change.
func TestNewMasterAfterChange(t *testing.T) {
	w, d, oldKey, oldKeyring := changed(t)
	tinyFill(w, 3)
	d.mustBackup()

	must(t, w.store.Put(t.Context(), keyName(w.id, 1, 1), oldKeyring))
	for _, name := range w.names(dirKeys)[1:] {
		w.delete(name)
	}
	_, err := Open(t.Context(), w.store, w.id, oldKey, Options{})
	wantErr(t, "open the newest state with the old key", err, ErrDamaged)
}

func readObject(t *testing.T, store blob.Store, name string) []byte {
	t.Helper()
	data, err := blobtest.Read(t.Context(), store, name)
	must(t, err)
	return data
}

func TestOldKeyDuringChange(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	tinyFill(w, 1)
	d.mustBackup()
	// The change dies right before the old keyring is removed.
	faulty := &blobtest.Faulty{Store: w.store, Before: blobtest.FromNth(blobtest.OpDelete, 1, errFault)}
	d.store = faulty
	next := format.NewKey()
	wantErr(t, "interrupted change", d.mustOpen().ChangeKey(t.Context(), next), errFault)
	d.store = w.store

	// The newest head is of the new master already, so the old key says what it can: that it was replaced.
	_, err := d.open()
	wantErr(t, "open with the old key", err, ErrKeyReplaced)

	// One step earlier the old key still reads everything, and writes nothing.
	for _, name := range w.names(dirHeads)[1:] {
		w.delete(name)
	}
	d.seen = Head{}
	a := d.mustOpen()
	if len(a.Snapshots()) != 1 {
		t.Errorf("the old key sees %d snapshots", len(a.Snapshots()))
	}
	_, err = d.backupOn(a)
	wantErr(t, "backup", err, ErrKeyReplaced)
	_, err = a.Prune(t.Context(), PruneConfig{KeepLast: 1})
	wantErr(t, "prune", err, ErrKeyReplaced)
	_, err = a.Repair(t.Context(), nil, nil)
	wantErr(t, "repair", err, ErrKeyReplaced)
	wantErr(t, "change to a third key", a.ChangeKey(t.Context(), format.NewKey()), ErrConcurrent)
	w.checkNoLock()

	// The same next key finishes.
	must(t, a.ChangeKey(t.Context(), next))
	w.key = next
	w.check()
}

// TestKeyChangedMeanwhile proves that a device that opened the archive before another one changed the key does not go on
// writing under the old master key.
func TestKeyChangedMeanwhile(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	tinyFill(w, 1)
	d.mustBackup()
	late := d.mustOpen()
	next := format.NewKey()
	must(t, other.mustOpen().ChangeKey(t.Context(), next))
	tinyFill(w, 2)
	want := maps.Clone(w.want)
	_, err := d.backupOn(late)
	wantErr(t, "backup", err, ErrKeyReplaced)
	_, err = late.Prune(t.Context(), PruneConfig{KeepLast: 1})
	wantErr(t, "prune", err, ErrKeyReplaced)
	wantErr(t, "change", late.ChangeKey(t.Context(), format.NewKey()), ErrConcurrent)
	w.want, w.key = want, next
	w.check()
}

// TestTwoKeyChanges lets two devices change the key at the same moment: one wins whole.
func TestTwoKeyChanges(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	tinyFill(w, 1)
	d.mustBackup()
	winner, loser := format.NewKey(), format.NewKey()
	a := other.mustOpen()
	faulty := &blobtest.Faulty{Store: w.store}
	entered := false
	faulty.Before = func(op, name string) error {
		if op == blobtest.OpPut && !entered {
			entered = true
			return a.ChangeKey(t.Context(), winner)
		}
		return nil
	}
	d.store = faulty
	wantErr(t, "change that comes second", d.mustOpen().ChangeKey(t.Context(), loser), ErrConcurrent)
	_, err := Open(t.Context(), w.store, w.id, loser, Options{})
	wantErr(t, "open with the key that lost", err, ErrWrongKey)
	w.key = winner
	w.check()
}

// TestKeyChangeFaults runs a change of the key once for each step that can go wrong, and finishes it with an archive opened with
// either key.
func TestKeyChangeFaults(t *testing.T) {
	base := newWorld(t)
	baseDevice := base.device()
	for v := range byte(2) {
		tinyFill(base, v+1)
		baseDevice.mustBackup()
	}
	for _, fault := range faults {
		for k := 1; ; k += stride() {
			w, d := clone(t, base, baseDevice)
			faulty := &blobtest.Faulty{Store: w.store}
			d.store = faulty
			a, err := d.open()
			must(t, err)
			faulty.Before, faulty.After = fault.hooks(k)
			next := format.NewKey()
			err = a.ChangeKey(t.Context(), next)
			d.store = w.store
			if err == nil && faulty.Ops()[blobtest.OpDelete] >= keyCopies {
				break
			}
			finishKeyChange(t, w, d, next)
			w.key = next
			w.check()
			tinyFill(w, 3)
			d.mustBackup()
			w.check()
			for _, name := range w.names(dirKeys) {
				if epoch, _ := parseKeyName(w.id, name); epoch != 2 {
					t.Fatalf("%s at step %d: keyring %s is there", fault.name, k, name)
				}
			}
			must(t, os.RemoveAll(base.src))
			tinyFill(base, 2)
		}
	}
}

// finishKeyChange does what a device does that knows both keys.
func finishKeyChange(t *testing.T, w *world, d *device, next Key) {
	t.Helper()
	old := w.key
	defer func() { w.key = old }()
	w.key = next
	a, err := d.open()
	if errors.Is(err, ErrWrongKey) {
		w.key = old
		a, err = d.open()
	}
	if errors.Is(err, ErrDamaged) { // a torn head
		d.options.AllowOlder = true
		a, err = d.open()
		d.options.AllowOlder = false
	}
	must(t, err)
	defer a.Close()
	if _, err = a.Repair(t.Context(), nil, nil); !errors.Is(err, ErrKeyReplaced) { // what is torn
		must(t, err)
	}
	must(t, a.ChangeKey(t.Context(), next))
}

func TestTornKeyringIsDropped(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	tinyFill(w, 1)
	d.mustBackup()
	for copy := 1; copy <= keyCopies; copy++ {
		must(t, w.store.Put(t.Context(), keyName(w.id, 2, copy), []byte("torn")))
	}
	a := d.mustOpen()
	_, err := d.backupOn(a)
	wantErr(t, "backup under an epoch that may not be the newest", err, ErrDamaged)
	_, err = a.Repair(t.Context(), nil, nil)
	must(t, err)
	w.check()
	if names := w.names(dirKeys); len(names) != keyCopies {
		t.Errorf("keyrings: %v", names)
	}
}

// TestLostNewestKeyring proves that a repair with the old key does not take what only the newest keyring opens for garbage.
func TestLostNewestKeyring(t *testing.T) {
	w, d, oldKey, oldKeyring := changed(t)
	tinyFill(w, 3)
	d.mustBackup()
	good := cloneStore(t, w.store)
	for copy := 1; copy <= keyCopies; copy++ {
		w.corrupt(keyName(w.id, 2, copy), flipMiddle)
	}
	must(t, w.store.Put(t.Context(), keyName(w.id, 1, 1), oldKeyring)) // a copy of it is put back
	_, err := d.open()
	wantErr(t, "open with both copies damaged", err, ErrDamaged)
	before := w.names("")

	d.options.AllowOlder = true
	w2 := *w
	w2.key = oldKey
	d.w = &w2
	a, err := d.open()
	must(t, err)
	_, err = a.Repair(t.Context(), nil, nil)
	wantErr(t, "repair with the old key", err, ErrDamaged)
	d.w = w
	d.options.AllowOlder = false
	if after := w.names(""); len(after) != len(before) {
		t.Errorf("objects are gone: before %v, after %v", before, after)
	}
	mended, err := FetchKeyring(t.Context(), w.store, good, w.id)
	must(t, err)
	if len(mended) != keyCopies {
		t.Errorf("mended: %v", mended)
	}
	w.check()
	if mended, err = FetchKeyring(t.Context(), w.store, good, w.id); err != nil || len(mended) > 0 {
		t.Errorf("fetch without need: %v, %v", mended, err)
	}
}
