// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// leaveLock makes a device die while it holds the lock.
func leaveLock(w *world, d *device) {
	w.t.Helper()
	a := d.mustOpen()
	_, err := a.putLock(w.t.Context(), "backup")
	must(w.t, err)
}

func TestLocks(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	tinyFill(w, 1)
	d.mustBackup()
	w.checkNoLock()

	leaveLock(w, other)
	tinyFill(w, 2)
	_, err := d.backup()
	wantErr(t, "backup beside another device", err, ErrLocked)
	if !strings.Contains(err.Error(), "backup on ") || !strings.Contains(err.Error(), "coffer unlock") {
		t.Errorf("the error does not say who, and what to do: %v", err)
	}
	_, err = d.prune(PruneConfig{KeepLast: 1})
	wantErr(t, "prune beside another device", err, ErrLocked)
	_, err = d.mustOpen().Repair(t.Context(), nil, nil)
	wantErr(t, "repair beside another device", err, ErrLocked)
	if _, err := d.mustOpen().Prune(t.Context(), PruneConfig{KeepLast: 1, DryRun: true}); err != nil {
		t.Errorf("a dry run changes nothing and needs no lock: %v", err)
	}
	w.check()

	// Its own device takes it over at once.
	r, err := other.backup()
	must(t, err)
	if !slices.ContainsFunc(r.Notices, func(n string) bool { return strings.Contains(n, "took over") }) {
		t.Errorf("notices: %q", r.Notices)
	}
	w.checkNoLock()

	// Another device when nobody has renewed it for long.
	leaveLock(w, other)
	tinyFill(w, 3)
	w.clock.advance(lockExpiry - time.Minute)
	_, err = d.backup()
	wantErr(t, "backup before the lock is dead", err, ErrLocked)
	w.clock.advance(2 * time.Minute)
	d.mustBackup()
	w.checkNoLock()

	// And what cannot be read.
	must(t, w.store.Put(t.Context(), w.id.String()+"/"+dirLocks+format.DigestOf([]byte("x")).String(), []byte("torn")))
	tinyFill(w, 4)
	d.mustBackup()
	w.checkNoLock()

	leaveLock(w, other)
	leaveLock(w, d)
	a := d.mustOpen()
	if locks, err := a.Locks(t.Context()); err != nil || len(locks) != 2 {
		t.Errorf("locks: %+v, %v", locks, err)
	}
	if n, err := a.Unlock(t.Context()); err != nil || n != 2 {
		t.Errorf("unlock: %d, %v", n, err)
	}
	w.checkNoLock()
}

// TestUnchangedNeedsNoLock: a backup that has nothing to write looks at no lock and leaves none.
func TestUnchangedNeedsNoLock(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	tinyFill(w, 1)
	d.mustBackup()
	leaveLock(w, other)
	if r := d.mustBackup(); !r.Unchanged {
		t.Errorf("%+v", r)
	}
}

// TestLockIsRenewed holds the lock for an hour of a clock that is not the real one.
func TestLockIsRenewed(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	var down atomic.Bool
	d.store = &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
		if down.Load() {
			return errFault
		}
		return nil
	}}
	a := d.mustOpen()
	synctest.Test(t, func(t *testing.T) {
		a.o.Clock = time.Now // of the bubble
		release, err := a.lock(t.Context(), "backup", true)
		must(t, err)
		lockAge := func() time.Duration {
			locks, err := a.Locks(t.Context())
			must(t, err)
			if len(locks) != 1 {
				t.Fatalf("locks: %+v", locks)
			}
			return time.Since(locks[0].Time)
		}
		for range 12 {
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if age := lockAge(); age > lockRenewal {
				t.Errorf("the lock is %v old", age)
			}
		}
		// A destination that fails for a while loses neither the lock nor the renewal.
		down.Store(true)
		time.Sleep(lockRenewal)
		synctest.Wait()
		down.Store(false)
		time.Sleep(lockRenewal)
		synctest.Wait()
		if age := lockAge(); age > lockRenewal {
			t.Errorf("the lock is %v old", age)
		}
		release()
		if locks, err := a.Locks(t.Context()); err != nil || len(locks) > 0 {
			t.Errorf("after release: %+v, %v", locks, err)
		}
	})
}

// TestReleaseAfterCancel: whoever is interrupted takes his lock along.
func TestReleaseAfterCancel(t *testing.T) {
	w := newWorld(t)
	a := w.device().mustOpen()
	ctx, cancel := context.WithCancel(t.Context())
	release, err := a.lock(ctx, "backup", true)
	must(t, err)
	cancel()
	release()
	w.checkNoLock()
}
