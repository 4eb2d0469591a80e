// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// history makes three snapshots whose files are all still in the source, so that a backup can heal each of them.
func history(t *testing.T) (*world, *device) {
	w := newWorld(t)
	d := w.device()
	for v := range byte(3) {
		w.write(fmt.Sprintf("a/file-%d", v), random(v, 9000+int(v)))
		w.write(fmt.Sprintf("file-%d", v), random(v+10, 3000))
		d.mustBackup()
		w.clock.advance(time.Hour)
	}
	return w, d
}

// TestNextBackupHeals damages one object of a kind after the other. The next backup, though nothing has changed in the source,
// makes the newest snapshot whole again; of older ones all but a part of the listing that only they had.
func TestNextBackupHeals(t *testing.T) {
	for _, c := range []struct {
		name   string
		dir    string
		damage func(w *world, name string)
	}{
		{"missing pack", dirPacks, (*world).delete},
		{"truncated pack", dirPacks, func(w *world, name string) { w.corrupt(name, cutHalf) }},
		{"missing index", dirIndexes, (*world).delete},
		{"truncated index", dirIndexes, func(w *world, name string) { w.corrupt(name, cutHalf) }},
		{"altered index", dirIndexes, func(w *world, name string) { w.corrupt(name, flipMiddle) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			base, baseDevice := history(t)
			checkAftermath(base, baseDevice) // no garbage: nobody needs that
			objects := base.names(c.dir)
			for i := range len(objects) + 1 { // each one, then all
				w, d := clone(t, base, baseDevice)
				for k, name := range objects {
					if k == i || i == len(objects) {
						c.damage(w, name)
					}
				}
				if c.name == "altered index" {
					w.clock.advance(indexTrust + time.Hour) // until then the device's own copy counts
				}
				r := d.mustBackup()
				if r.Unchanged || len(r.Notices) == 0 {
					t.Errorf("object %d: %+v", i, r)
				}
				if r := d.mustBackup(); !r.Unchanged {
					t.Errorf("object %d: a further backup: %+v", i, r)
				}
				a := d.mustOpen()
				checkSnapshot(t, a, r.Snapshot, w.want[r.Snapshot])
				if c.dir == dirIndexes {
					for id, want := range w.want {
						checkSnapshot(t, a, id, want)
					}
				}
				w.dropLost(d)
				checkAftermath(w, d)
			}
		})
	}
}

// dropLost does what a person can do about snapshots that have lost a part for ever: repair, so that it is known, and forget them.
func (w *world) dropLost(d *device) {
	w.t.Helper()
	a := d.mustOpen()
	r, err := a.Repair(w.t.Context(), nil, nil)
	must(w.t, err)
	for range 2 { // a prune goes on beside lost parts
		_, err = d.prune(PruneConfig{KeepLast: 100})
		must(w.t, err)
		w.clock.advance(25 * time.Hour)
	}
	lost := map[ID]bool{}
	for _, l := range r.Lost {
		lost[l.Snapshot] = true
	}
	if len(lost) > 0 {
		_, err = d.mustOpen().Forget(w.t.Context(), slices.Collect(maps.Keys(lost)), nil)
		must(w.t, err)
	}
	for id := range lost {
		delete(w.want, id)
		delete(w.made, id)
	}
	if len(w.want) == 0 {
		w.t.Error("nothing was left")
	}
}

// TestMarkedPackIsNotUsed: what a prune has marked, a backup stores again.
func TestMarkedPackIsNotUsed(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	w.write("stays", random(1, 3000))
	d.mustBackup()
	w.write("comes back", random(2, 50_000))
	d.mustBackup()
	must(t, os.Remove(filepath.Join(w.src, "comes back")))
	d.mustBackup()
	r, err := d.prune(PruneConfig{KeepLast: 1})
	must(t, err)
	if r.MarkedObjects == 0 {
		t.Fatalf("%+v", r)
	}
	w.write("comes back", random(2, 50_000))
	if r := d.mustBackup(); r.AddedBytes < 50_000 {
		t.Errorf("%+v", r)
	}
	checkAftermath(w, d)
}

func TestDamagedNewestSnapshot(t *testing.T) {
	w, d := history(t)
	last := w.order[2]
	for _, name := range w.names(dirSnapshots) {
		if strings.Contains(name, last.String()) {
			w.corrupt(name, flipMiddle)
		}
	}
	r := d.mustBackup()
	if r.Unchanged || len(r.Notices) == 0 {
		t.Errorf("%+v", r)
	}
	a := d.mustOpen()
	checkSnapshot(t, a, r.Snapshot, w.want[r.Snapshot])
	_, err := d.prune(PruneConfig{KeepLast: 100})
	wantErr(t, "prune that does not know what must stay", err, ErrDamaged)
	_, err = a.Forget(t.Context(), []ID{last}, nil)
	must(t, err)
	delete(w.want, last)
	for _, d := range []time.Duration{25 * time.Hour, 0} {
		w.clock.advance(d)
		_, err = w.device().prune(PruneConfig{KeepLast: 100})
		must(t, err)
	}
	w.check()
}

func TestDamagedKeyringCopy(t *testing.T) {
	for copy := 1; copy <= keyCopies; copy++ {
		for _, damage := range []func(w *world, name string){
			func(w *world, name string) { w.delete(name) },
			func(w *world, name string) { w.corrupt(name, flipMiddle) },
			func(w *world, name string) { w.corrupt(name, func([]byte) []byte { return nil }) },
			func(w *world, name string) { w.corrupt(name, func(b []byte) []byte { return make([]byte, 1<<20) }) },
		} {
			w, d := history(t)
			damage(w, keyName(w.id, 1, copy))
			w.write("more", nil)
			d.mustBackup()
			r, err := d.mustOpen().Repair(t.Context(), nil, nil)
			must(t, err)
			if !slices.Equal(r.Rebuilt, []string{keyName(w.id, 1, copy)}) {
				t.Errorf("%+v", r)
			}
			w.check()
		}
	}
}

func TestFetchKeyring(t *testing.T) {
	w, d := history(t)
	good := cloneStore(t, w.store)
	w.delete(keyName(w.id, 1, 1))
	w.corrupt(keyName(w.id, 1, 2), func([]byte) []byte { return make([]byte, 1<<20) })
	_, err := d.open()
	wantErr(t, "open", err, ErrDamaged)
	must(t, blobtest.Corrupt(t.Context(), good, keyName(w.id, 1, 1), flipMiddle)) // damaged there, too
	mended, err := FetchKeyring(t.Context(), w.store, good, w.id)
	must(t, err)
	if !slices.Equal(mended, []string{keyName(w.id, 1, 2)}) {
		t.Errorf("mended %v", mended)
	}
	_, err = d.mustOpen().Repair(t.Context(), good, nil)
	must(t, err)
	w.check()
}

// TestRepairFromOther damages each object in each way, and mends the archive from a copy that has it whole.
func TestRepairFromOther(t *testing.T) {
	base, baseDevice := history(t)
	checkAftermath(base, baseDevice) // no garbage: nobody mends that
	other := cloneStore(t, base.store)
	for _, name := range base.names("") {
		for i, mutate := range []func([]byte) []byte{flipMiddle, cutHalf, nil} {
			w, d := clone(t, base, baseDevice)
			if mutate == nil {
				w.delete(name)
			} else {
				w.corrupt(name, mutate)
			}
			d.options.AllowOlder = true
			a, err := d.open()
			must(t, err)
			r, err := a.Repair(t.Context(), other, nil)
			if err != nil {
				t.Fatalf("%s, way %d: %v", name, i, err)
			}
			a.Close()
			headGone := mutate == nil && strings.Contains(name, dirHeads) // nothing names it then
			if got := slices.Concat(r.Fetched, r.Rebuilt); !headGone && !slices.Equal(got, []string{name}) || len(r.Dropped)+len(r.Lost) > 0 {
				t.Errorf("%s, way %d: %+v", name, i, r)
			}
			if heads := base.heads(); !headGone || name != heads[len(heads)-1] {
				w.check()
			}
		}
	}
}

// TestRepairAlone flips a byte in each record, and repairs without another copy: what can be saved is, the rest is named, and
// the next backup heals it.
func TestRepairAlone(t *testing.T) {
	base, baseDevice := history(t)
	for _, name := range base.names(dirPacks) {
		size := len(readObject(t, base.store, name))
		for at := 70; at < size; at += 1500 {
			w, d := clone(t, base, baseDevice)
			w.corrupt(name, func(b []byte) []byte { b[at] ^= 0x40; return b })
			a, err := d.open()
			must(t, err)
			r, err := a.Repair(t.Context(), nil, nil)
			must(t, err)
			a.Close()
			if !slices.Contains(r.Dropped, name) {
				t.Errorf("%s at %d: %+v", name, at, r)
			}
			for _, lost := range r.Lost {
				if lost.Snapshot.IsZero() {
					t.Errorf("%+v", lost)
				}
			}
			if b := d.mustBackup(); len(r.Lost) > 0 && b.Unchanged {
				checkLostOnlyBefore(t, w, d, r.Lost, b.Snapshot)
				continue
			}
			w.check()
			checkAftermath(w, d)
		}
	}
}

// checkLostOnlyBefore checks that the newest snapshot is whole: what was lost is a listing that only earlier snapshots need, and the
// source does not have it any more.
func checkLostOnlyBefore(t *testing.T, w *world, d *device, lost []Affected, newest ID) {
	t.Helper()
	for _, l := range lost {
		if l.Snapshot == newest {
			t.Errorf("the backup did not heal %+v", l)
		}
	}
	a, err := d.open()
	must(t, err)
	defer a.Close()
	checkSnapshot(t, a, newest, w.want[newest])
}

// TestRepairOfSound changes nothing.
func TestRepairOfSound(t *testing.T) {
	w, d := history(t)
	before := w.names("")
	for _, other := range []blob.Store{nil, cloneStore(t, w.store)} {
		r, err := d.mustOpen().Repair(t.Context(), other, nil)
		must(t, err)
		if len(r.Fetched)+len(r.Rebuilt)+len(r.Dropped)+len(r.Lost) > 0 {
			t.Errorf("%+v", r)
		}
	}
	if after := w.names(""); !slices.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
}

// TestPruneKeepsTheCopyThatIsThere: of two packs with the same content the one that is missing must not make a prune delete the
// other one.
func TestPruneKeepsTheCopyThatIsThere(t *testing.T) {
	w, d := history(t)
	hidden := map[string][]byte{}
	for _, name := range w.names(dirPacks) { // not there for a while, as on a half-synchronised drive
		hidden[name] = readObject(t, w.store, name)
		w.delete(name)
	}
	again := d.mustBackup()
	if again.Unchanged {
		t.Fatalf("%+v", again)
	}
	for _, name := range w.names(dirPacks) {
		w.delete(name)
	}
	for name, data := range hidden { // the first are back, the second are lost
		must(t, w.store.Put(t.Context(), name, data))
	}
	_, err := d.prune(PruneConfig{KeepLast: 100})
	must(t, err)
	w.clock.advance(25 * time.Hour)
	_, err = d.prune(PruneConfig{KeepLast: 100})
	must(t, err)
	d.mustBackup()
	checkAftermath(w, d)
}
