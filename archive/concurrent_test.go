// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// unlocked hides all locks, as a destination can. Safety must not rest on them.
type unlocked struct{ blob.Store }

func (u unlocked) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	if strings.HasSuffix(prefix, "/"+dirLocks) {
		return func(func(blob.Info, error) bool) {}
	}
	return u.Store.List(ctx, prefix)
}

// between runs a backup or prune of one device once for each of its steps, with what another device does in between, and
// proves each time that nothing was lost.
func between(t *testing.T, prepare func(w *world, d *device), run func(d *device) error, meanwhile func(w *world, other *device)) {
	base := newWorld(t)
	baseDevice := base.device()
	for v := range byte(3) {
		tinyFill(base, v+1)
		baseDevice.mustBackup()
	}
	prepare(base, baseDevice)
	for k := 1; ; k += stride() {
		w, d := clone(t, base, baseDevice)
		w.store = unlocked{w.store}
		other := w.device()
		var calls atomic.Int32
		entered := false
		faulty := &blobtest.Faulty{Store: w.store}
		faulty.Before = func(op, name string) error {
			if int(calls.Add(1)) == k {
				entered = true
				meanwhile(w, other)
			}
			return nil
		}
		d.store = faulty
		err := run(d)
		d.store = w.store
		if err != nil && !errors.Is(err, ErrConcurrent) {
			t.Fatalf("step %d: %v", k, err)
		}
		if !entered {
			return
		}
		checkAftermath(w, d)
		if t.Failed() {
			t.Fatalf("this was step %d", k)
		}
	}
}

// checkAftermath proves that all snapshots are whole, that the next backup joins what forked, and that all garbage goes.
func checkAftermath(w *world, d *device) {
	w.t.Helper()
	w.forget()
	w.check()
	r := d.mustBackup()
	a := d.mustOpen()
	if len(a.tips) != 1 {
		w.t.Errorf("after a backup (%+v) there is still a fork", r)
	}
	for range 2 {
		_, err := d.prune(PruneConfig{KeepLast: 100})
		must(w.t, err)
		w.clock.advance(25 * time.Hour)
	}
	w.check()
	w.checkNoGarbage()
}

// forget takes snapshots that are gone for removed, and those that a fork has brought back for wanted. The newest always stays.
func (w *world) forget() {
	w.t.Helper()
	a, err := Open(w.t.Context(), w.store, w.id, w.key, Options{})
	must(w.t, err)
	defer a.Close()
	want := map[ID]tree{}
	for _, s := range a.Snapshots() {
		if tr, ok := w.made[s.ID]; ok {
			want[s.ID] = tr
		} else {
			w.t.Errorf("a snapshot that nobody made: %s", s.ID)
		}
	}
	if last := w.order[len(w.order)-1]; want[last] == nil {
		w.t.Errorf("the newest snapshot, %s, is gone", last)
	}
	w.want = want
}

func newSource(w *world, d *device) { tinyFill(w, 9) }

func backupOnce(d *device) error { _, err := d.backup(); return err }

func pruneTo(keep int) func(d *device) error {
	return func(d *device) error { _, err := d.prune(PruneConfig{KeepLast: keep}); return err }
}

// pruneTwice marks, and deletes a day later.
func pruneTwice(keep int) func(w *world, other *device) {
	return func(w *world, other *device) {
		for range 2 {
			must(w.t, pruneTo(keep)(other))
			w.clock.advance(25 * time.Hour)
		}
	}
}

func otherBackup(w *world, other *device) { must(w.t, backupOnce(other)) }

func TestPruneBetweenStepsOfBackup(t *testing.T) {
	t.Run("keeping all", func(t *testing.T) { between(t, newSource, backupOnce, pruneTwice(100)) })
	t.Run("keeping one", func(t *testing.T) { between(t, newSource, backupOnce, pruneTwice(1)) })
	t.Run("marking only", func(t *testing.T) {
		between(t, newSource, backupOnce, func(w *world, other *device) { must(w.t, pruneTo(1)(other)) })
	})
	t.Run("after a killed backup", func(t *testing.T) {
		between(t, func(w *world, d *device) {
			newSource(w, d)
			d.dieAt(dirIndexes)
		}, backupOnce, pruneTwice(100))
	})
}

func TestBackupBetweenStepsOfBackup(t *testing.T) { between(t, newSource, backupOnce, otherBackup) }

func TestBackupBetweenStepsOfPrune(t *testing.T) {
	t.Run("that marks", func(t *testing.T) { between(t, newSource, pruneTo(1), otherBackup) })
	t.Run("that deletes", func(t *testing.T) {
		between(t, func(w *world, d *device) {
			must(t, pruneTo(1)(d))
			w.clock.advance(25 * time.Hour)
			newSource(w, d)
		}, pruneTo(1), otherBackup)
	})
}

func TestPruneBetweenStepsOfPrune(t *testing.T) { between(t, newSource, pruneTo(2), pruneTwice(1)) }

// TestFork lets several devices commit behind the same head, as if they could not see each other.
func TestFork(t *testing.T) {
	for _, n := range []int{2, 5} {
		w := newWorld(t)
		first := w.device()
		tinyFill(w, 1)
		first.mustBackup()
		before := cloneStore(t, w.store)
		sides := []blob.Store{}
		var devices []*device
		for i := range n {
			d := w.device()
			d.store = cloneStore(t, before)
			for range i + 1 { // of different lengths
				w.write(fmt.Sprint("of device ", i), random(byte(i+len(w.order)), 700))
				w.clock.advance(time.Hour)
				d.mustBackup()
			}
			sides, devices = append(sides, d.store), append(devices, d)
		}
		for _, side := range sides {
			for _, name := range names(t, side, "") {
				err := w.store.Put(t.Context(), name, readObject(t, side, name))
				if err != nil && !errors.Is(err, blob.ErrExists) {
					t.Fatal(err)
				}
			}
		}
		for i, d := range devices {
			d.store = w.store
			a, err := d.open()
			if err != nil {
				t.Fatalf("device %d: %v", i, err)
			}
			if len(a.Notices()) != 1 || !strings.Contains(a.Notices()[0], "fork") {
				t.Errorf("device %d: notices %q", i, a.Notices())
			}
			a.Close()
		}
		w.check()
		r := devices[0].mustBackup() // also if nothing has changed
		if len(r.Notices) == 0 {
			t.Error("the fork is not in the report")
		}
		for _, d := range append(devices, first) {
			a, err := d.open()
			must(t, err)
			if len(a.tips) != 1 {
				t.Errorf("still %d heads", len(a.tips))
			}
			a.Close()
		}
		checkAftermath(w, first)
		if len(w.want) != len(w.order) {
			t.Errorf("%d snapshots of %d", len(w.want), len(w.order))
		}
	}
}

// TestDevicesAtOnce lets devices back up and prune at the same time, without locks.
func TestDevicesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.store = unlocked{w.store}
	var mu sync.Mutex
	merged := map[ID]tree{}
	var all sync.WaitGroup
	for i := range 3 {
		// Each device has a source of its own.
		own := *w
		own.src, own.want, own.made = t.TempDir(), map[ID]tree{}, map[ID]tree{}
		d := own.device()
		all.Go(func() {
			for round := range byte(6) {
				tinyFill(&own, 10*byte(i)+round)
				if _, err := d.backup(); err != nil && !errors.Is(err, ErrConcurrent) {
					t.Errorf("device %d: %v", i, err)
				}
				if _, err := d.prune(PruneConfig{KeepLast: 100}); err != nil && !errors.Is(err, ErrConcurrent) {
					t.Errorf("device %d: %v", i, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for id, tr := range own.want {
				merged[id] = tr
			}
		})
	}
	all.Wait()
	w.want = merged
	a, err := Open(t.Context(), w.store, w.id, w.key, Options{})
	must(t, err)
	if len(a.Snapshots()) < 3 {
		t.Errorf("only %d snapshots", len(a.Snapshots()))
	}
	a.Close()
	w.check()
}

// TestBackupGivesUp: a backup that is overtaken each time says so after some tries, and has changed nothing.
func TestBackupGivesUp(t *testing.T) {
	w := newWorld(t)
	w.store = unlocked{w.store}
	d, other := w.device(), w.device()
	tinyFill(w, 1)
	d.mustBackup()
	tries := 0
	d.store = &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
		if op == blobtest.OpPut && strings.Contains(name, "/"+dirSnapshots) {
			tries++
			must(t, pruneTo(100)(other)) // marks what was stored so far
		}
		return nil
	}}
	tinyFill(w, 2)
	_, err := d.backup()
	wantErr(t, "backup", err, ErrConcurrent)
	if tries != maxRetries {
		t.Errorf("%d tries", tries)
	}
	d.store = w.store
	w.checkNoLock()
	checkAftermath(w, d)
}
