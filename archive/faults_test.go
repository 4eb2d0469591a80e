// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// The fault table: each operation is run once for each of its steps at the destination and each thing that can go wrong
// there. Whatever that was, all snapshots that were there before are there and whole; the operation succeeds when it is
// repeated; and what the failed try left behind is gone after two prunes.

var errFault = errors.New("the fault of this test")

var faults = []struct {
	name  string
	hooks func(k int) (before, after blobtest.Hook)
}{
	{"lost", func(k int) (b, a blobtest.Hook) { return blobtest.Nth("", k, errFault), nil }},
	{"unacknowledged", func(k int) (b, a blobtest.Hook) { return nil, blobtest.Nth("", k, errFault) }},
	{"killed before", func(k int) (b, a blobtest.Hook) { return blobtest.FromNth("", k, errFault), nil }},
	{"killed after", func(k int) (b, a blobtest.Hook) { return down(blobtest.Nth("", k, errFault)) }},
	{"torn", func(k int) (b, a blobtest.Hook) { return blobtest.FromNth(blobtest.OpPut, k, blobtest.Torn(100)), nil }},
}

// down makes hooks of a destination that is gone from the moment on that after fails.
func down(after blobtest.Hook) (blobtest.Hook, blobtest.Hook) {
	var gone atomic.Bool
	return func(op, name string) error {
			if gone.Load() {
				return errFault
			}
			return nil
		}, func(op, name string) error {
			err := after(op, name)
			if err != nil {
				gone.Store(true)
			}
			return err
		}
}

// An operation of the table. run reports whether it did what it is in the table for; the second time it may find that done.
type operation struct {
	name    string
	prepare func(w *world, d *device)
	run     func(w *world, a *Archive, d *device) (did bool, err error)
	removes bool // all snapshots but the newest
}

var operations = []operation{
	{
		name:    "backup",
		prepare: func(w *world, d *device) { tinyFill(w, 3) },
		run:     runBackup,
	}, {
		name: "backup with many indexes and heads",
		prepare: func(w *world, d *device) {
			for v := range byte(9) {
				tinyFill(w, 3+v)
				d.mustBackup()
			}
			tinyFill(w, 20)
		},
		run: runBackup,
	}, {
		name: "prune that marks and moves",
		prepare: func(w *world, d *device) {
			for n := range byte(50) { // until both files have come into one pack: two packs are filled at a time
				w.write(fmt.Sprintf("small-%d", n), random(n+50, 40))
				w.write("large", random(n+9, 100_000))
				d.mustBackup()
				w.write("large", nil)
				d.mustBackup()
				a := d.mustOpen()
				r, err := a.Prune(w.t.Context(), PruneConfig{KeepLast: 1, DryRun: true})
				must(w.t, err)
				a.Close()
				if r.RepackedBytes > 0 {
					return
				}
			}
		},
		run: func(w *world, a *Archive, d *device) (bool, error) {
			r, err := a.Prune(w.t.Context(), PruneConfig{KeepLast: 1})
			return err == nil && r.MarkedObjects > 0 && r.RepackedBytes > 0, err
		},
		removes: true,
	}, {
		name: "prune that deletes",
		prepare: func(w *world, d *device) {
			_, err := d.prune(PruneConfig{KeepLast: 1})
			must(w.t, err)
			w.clock.advance(25 * time.Hour)
		},
		run: func(w *world, a *Archive, d *device) (bool, error) {
			r, err := a.Prune(w.t.Context(), PruneConfig{KeepLast: 1})
			return err == nil && r.DeletedObjects > 0, err
		},
		removes: true,
	}, {
		name:    "forget",
		prepare: func(w *world, d *device) {},
		run: func(w *world, a *Archive, d *device) (bool, error) {
			if len(a.Snapshots()) == 1 {
				return false, nil // an earlier try came so far
			}
			_, err := a.Forget(w.t.Context(), []ID{a.Snapshots()[0].ID}, nil)
			return true, err
		},
		removes: true,
	}, {
		name: "repair",
		prepare: func(w *world, d *device) {
			for _, name := range w.names(dirIndexes) {
				w.corrupt(name, flipMiddle)
			}
			w.delete(keyName(w.id, 1, 2))
		},
		run: func(w *world, a *Archive, d *device) (bool, error) {
			r, err := a.Repair(w.t.Context(), nil, nil)
			return err == nil && len(r.Rebuilt) > 1, err
		},
	}, {
		name: "repair from another destination",
		prepare: func(w *world, d *device) {
			w.other = cloneStore(w.t, w.store)
			w.corrupt(w.names(dirPacks)[0], flipMiddle)
			w.delete(w.names(dirPacks)[1])
			w.corrupt(w.names(dirSnapshots)[0], cutHalf)
		},
		run: func(w *world, a *Archive, d *device) (bool, error) {
			r, err := a.Repair(w.t.Context(), w.other, nil)
			return err == nil && len(r.Fetched) == 3, err
		},
	},
}

func runBackup(w *world, a *Archive, d *device) (bool, error) {
	r, err := d.backupOn(a)
	return err == nil && !r.Unchanged, err
}

// tinyFill is fill with less to read.
func tinyFill(w *world, version byte) {
	w.write("a/same", random(1, 3000))
	w.write("a/changes", random(version, 2000))
	w.write(fmt.Sprintf("b/new-%d", version), random(version+100, 1000))
}

func TestFaultTable(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			w := newWorld(t)
			d := w.device()
			for v := range byte(2) {
				tinyFill(w, v+1)
				d.mustBackup()
			}
			op.prepare(w, d)
			for _, fault := range faults {
				tried := 0
				for k := 1; faultAt(t, w, d, op, fault.name, fault.hooks, k); k += stride() {
					tried++
				}
				if tried == 0 {
					t.Errorf("%s: nothing could go wrong", fault.name)
				}
				t.Logf("%s: %d steps", fault.name, tried)
			}
		})
	}
}

// faultAt lets the kth step of the operation fail, and reports whether there was one.
func faultAt(t *testing.T, base *world, baseDevice *device, op operation, fault string, hooks func(int) (b, a blobtest.Hook), k int) bool {
	defer func() {
		if t.Failed() {
			t.Fatalf("this was %q at step %d of %q", fault, k, op.name)
		}
	}()
	w, d := clone(t, base, baseDevice)
	faulty := &blobtest.Faulty{Store: w.store}
	d.store = faulty
	a, err := d.open()
	must(t, err)
	var fired atomic.Bool
	faulty.Before, faulty.After = hooks(k)
	for _, hook := range []*blobtest.Hook{&faulty.Before, &faulty.After} {
		if inner := *hook; inner != nil {
			*hook = func(op, name string) error {
				err := inner(op, name)
				if err != nil {
					fired.Store(true)
				}
				return err
			}
		}
	}
	did, err := op.run(w, a, d)
	a.Close()
	if !fired.Load() {
		must(t, err)
		if !did {
			t.Error("without a fault it did not do what it is in the table for")
		}
		return false
	}
	if _, torn := errors.AsType[blobtest.Torn](err); err != nil && !errors.Is(err, errFault) && !torn {
		t.Fatalf("it failed for another reason: %v", err)
	}
	d.store = w.store
	aftermath(w, base, d, op)
	return true
}

// clone copies a world, so that a try does not change the next one's beginning. The source is shared.
func clone(t *testing.T, base *world, baseDevice *device) (*world, *device) {
	t.Helper()
	w := *base
	w.t, w.store, w.want, w.made = t, cloneStore(t, base.store), maps.Clone(base.want), maps.Clone(base.made)
	w.clock = &testClock{t: base.clock.now()}
	d := *baseDevice
	d.w, d.store, d.state = &w, w.store, t.TempDir()
	must(t, os.CopyFS(d.state, os.DirFS(baseDevice.state)))
	return &w, &d
}

// aftermath proves what must hold after a failure.
func aftermath(w, base *world, d *device, op operation) {
	t := w.t
	t.Helper()
	a, err := d.open()
	if errors.Is(err, ErrDamaged) { // a torn head
		d.options.AllowOlder = true
		a, err = d.open()
		must(t, err)
		_, err = a.Repair(t.Context(), nil, nil)
		d.options.AllowOlder = false
	}
	must(t, err)
	w.expect(a, base, op)
	_, err = op.run(w, a, d)
	must(t, err)
	a.Close()
	d.mustBackup()
	for range 2 {
		_, err := d.prune(PruneConfig{KeepLast: 100})
		must(t, err)
		w.clock.advance(25 * time.Hour)
	}
	a, err = d.open()
	must(t, err)
	w.expect(a, base, op)
	a.Close()
	w.check()
	w.checkNoGarbage()
}

// expect takes what the archive shows for what it must have, if it is possible: snapshots that were not there before hold the
// source as it is now, and those that were there may be gone only if the operation removes snapshots.
func (w *world) expect(a *Archive, base *world, op operation) {
	w.t.Helper()
	now := readTree(w.t, w.src)
	w.want = map[ID]tree{}
	for _, s := range a.Snapshots() {
		if was, ok := base.want[s.ID]; ok {
			w.want[s.ID] = was
		} else {
			w.want[s.ID] = now
		}
	}
	for _, s := range base.order {
		if _, there := w.want[s]; !there && (!op.removes || s == base.order[len(base.order)-1]) {
			w.t.Fatalf("snapshot %s is gone", s)
		}
	}
}

// TestCreateFaults: what a failed Create leaves is no archive, or a whole one.
func TestCreateFaults(t *testing.T) {
	for _, fault := range faults {
		for k := 1; ; k++ {
			w := newWorld(t)
			w.id, w.key = format.NewID(), format.NewKey()
			faulty := &blobtest.Faulty{Store: w.store}
			faulty.Before, faulty.After = fault.hooks(k)
			if _, err := Create(t.Context(), faulty, w.id, w.key, Options{}); err == nil {
				_, err := Create(t.Context(), w.store, w.id, format.NewKey(), Options{})
				wantErr(t, "create over an archive", err, ErrExists)
				break
			}
			d := w.device()
			a, err := d.open()
			if errors.Is(err, ErrNoArchive) || errors.Is(err, ErrDamaged) { // a torn keyring is damaged: there was nothing yet
				continue
			}
			must(t, err)
			_, err = a.Repair(t.Context(), nil, nil)
			must(t, err)
			a.Close()
			tinyFill(w, 1)
			d.mustBackup()
			w.check()
		}
	}
}
