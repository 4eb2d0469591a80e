// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// grow makes n backups.
func grow(w *world, d *device, n int) {
	w.t.Helper()
	for range n {
		w.write("growing", random(byte(len(w.order)), 500))
		d.mustBackup()
		w.clock.advance(time.Hour)
	}
}

// show replaces what the destination holds.
func (w *world) show(store blob.Store) { w.store = cloneStore(w.t, store) }

// heads lists the names of all heads, oldest first.
func (w *world) heads() []string { return w.names(dirHeads) }

// TestRollback shows a device that has seen much other states of the archive than the newest.
func TestRollback(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	grow(w, d, 3)
	early := cloneStore(t, w.store)
	grow(w, d, 1)
	seen := d.seen
	common := cloneStore(t, w.store)

	// The same generation and one more, made by another device that was shown the early state only.
	w.show(early)
	other.store = w.store
	grow(w, other, 1)
	forkOne := cloneStore(t, w.store)
	grow(w, other, 1)
	forkTwo := cloneStore(t, w.store)

	hide := func(store blob.Store, generation int) blob.Store {
		store = cloneStore(t, store)
		for _, name := range names(t, store, w.id.String()+"/"+dirHeads) {
			if strings.Contains(name, fmt.Sprintf("/%016x-", generation)) {
				must(t, store.Delete(t.Context(), name))
			}
		}
		return store
	}
	both := cloneStore(t, common)
	for _, name := range names(t, forkTwo, "") {
		if err := both.Put(t.Context(), name, readObject(t, forkTwo, name)); err != nil && !strings.Contains(name, "/") {
			t.Fatal(err)
		}
	}
	gone := cloneStore(t, common)
	for g := range 9 {
		gone = hide(gone, g)
	}
	for _, c := range []struct {
		name  string
		store blob.Store
		err   error
	}{
		{"as it was", common, nil},
		{"an earlier state", early, ErrRolledBack},
		{"no head at all", gone, ErrRolledBack},
		{"the same generation made by another", forkOne, ErrRolledBack},
		{"a newer generation that does not follow", forkTwo, ErrRolledBack},
		{"a newer generation, its parent hidden", hide(forkTwo, 4), ErrRolledBack},
		{"the head that was seen, beside a newer one that does not follow it", putBack(t, hide(forkTwo, 4), common, w.id, seen), ErrRolledBack},
		{"both sides of the fork", both, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &device{w: w, id: d.id, state: d.state, seen: seen, store: c.store}
			_, err := d.open()
			if c.err == nil {
				must(t, err)
				return
			}
			wantErr(t, "open", err, c.err)
			if d.seen != seen {
				t.Error("the device forgot what it had seen")
			}
			d.options.AllowOlder = true
			a, err := d.open()
			must(t, err)
			if !slices.ContainsFunc(a.Notices(), func(n string) bool { return strings.Contains(n, "all the same") }) {
				t.Errorf("notices: %q", a.Notices())
			}
			fresh := w.device()
			fresh.store = c.store
			if _, err := fresh.open(); err != nil {
				t.Errorf("a fresh device: %v", err)
			}
		})
	}
}

// putBack adds a head of another state.
func putBack(t *testing.T, store, from blob.Store, id ID, h Head) blob.Store {
	t.Helper()
	name := id.String() + "/" + dirHeads + headName{h.Generation, h.Digest}.String()
	must(t, store.Put(t.Context(), name, readObject(t, from, name)))
	return store
}

// TestSeenIsFollowed lets a device come back after others have made backups: few, many, so many that what it saw is gone.
func TestSeenIsFollowed(t *testing.T) {
	for _, n := range []int{1, 3, headsKept - 1, headsKept, 2 * headsKept} {
		w := newWorld(t)
		d, other := w.device(), w.device()
		grow(w, d, 1)
		grow(w, other, n)
		if _, err := d.open(); err != nil {
			t.Errorf("after %d backups by another device: %v", n, err)
		}
		if d.seen.Generation != uint64(n+1) {
			t.Errorf("after %d backups by another device: seen %d", n, d.seen.Generation)
		}
		if have := len(w.heads()); have != min(n+1, headsKept) {
			t.Errorf("%d heads are there after %d backups", have, n+1)
		}
	}
}

func TestOnHead(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	a := d.mustOpen()
	if d.seen != (Head{}) {
		t.Errorf("seen of an empty archive: %+v", d.seen)
	}
	_, err := d.backupOn(a)
	must(t, err)
	if d.seen.Generation != 1 || d.seen != a.Head() {
		t.Errorf("after a backup: seen %+v, head %+v", d.seen, a.Head())
	}
	d.options.Seen = Head{}
	full := fmt.Errorf("nothing can be remembered")
	_, err = Open(t.Context(), w.store, w.id, w.key, Options{OnHead: func(Head) error { return full }})
	wantErr(t, "open without a memory", err, full)
}

// TestDamagedNewestHead: reading an older head needs an explicit word; so does going on from it, and then the damaged one is
// not taken for a fork when it turns out to be readable.
func TestDamagedNewestHead(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 3)
	good := cloneStore(t, w.store)
	name := w.heads()[2]
	w.corrupt(name, flipMiddle)
	_, err := d.open()
	wantErr(t, "open", err, ErrDamaged)

	d.options.AllowOlder = true
	a := d.mustOpen()
	if len(a.Snapshots()) != 2 {
		t.Errorf("%d snapshots", len(a.Snapshots()))
	}
	delete(w.want, w.order[2])
	w.write("more", nil)
	_, err = d.backupOn(a)
	must(t, err)
	if g := a.Head().Generation; g != 4 {
		t.Errorf("the new head is of generation %d", g)
	}
	d.options.AllowOlder = false
	d.mustOpen()
	w.delete(name)
	must(t, w.store.Put(t.Context(), name, readObject(t, good, name)))
	if a := d.mustOpen(); len(a.Snapshots()) != 3 || len(a.Notices()) > 0 {
		t.Errorf("%d snapshots, notices %q", len(a.Snapshots()), a.Notices())
	}
	w.check()
}

// TestRepairDamagedHeads: what only the damaged heads named is found again, if there are other heads or none.
func TestRepairDamagedHeads(t *testing.T) {
	for _, damaged := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(damaged, " of 3"), func(t *testing.T) {
			w := newWorld(t)
			d, other := w.device(), w.device()
			grow(w, d, 3)
			_, err := other.open() // sees generation 3
			must(t, err)
			for _, name := range w.heads()[3-damaged:] {
				w.corrupt(name, cutHalf)
			}
			d.options.AllowOlder = true
			a := d.mustOpen()
			if damaged == 3 {
				_, err := d.backupOn(a)
				wantErr(t, "backup without a head", err, ErrDamaged)
				_, err = a.Prune(t.Context(), PruneConfig{KeepLast: 1})
				wantErr(t, "prune without a head", err, ErrDamaged)
				wantErr(t, "key change without a head", a.ChangeKey(t.Context(), format.NewKey()), ErrDamaged)
			}
			r, err := a.Repair(t.Context(), nil, nil)
			must(t, err)
			if len(r.Dropped) != damaged || len(r.Lost) > 0 {
				t.Errorf("report %+v", r)
			}
			w.check()
			// Who has seen the lost head need not take this for a rollback.
			for _, d := range []*device{d, other} {
				d.options.AllowOlder = false
				a := d.mustOpen()
				if g := a.Head().Generation; g != 4 {
					t.Errorf("generation %d", g)
				}
			}
			other.mustBackup()
			w.check()
		})
	}
}

// TestJunkHead puts an object with the name of a head of the last possible generation. Nothing may be committed behind it,
// where no head can be seen.
func TestJunkHead(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 2)
	junk := w.id.String() + "/" + dirHeads + headName{maxGeneration, format.DigestOf([]byte("junk"))}.String()
	must(t, w.store.Put(t.Context(), junk, []byte("junk")))
	_, err := d.open()
	wantErr(t, "open", err, ErrDamaged)
	d.options.AllowOlder = true
	w.write("more", nil)
	_, err = d.backup()
	wantErr(t, "backup", err, ErrDamaged)
	_, err = d.mustOpen().Repair(t.Context(), nil, nil)
	must(t, err)
	d.options.AllowOlder = false
	d.mustBackup()
	w.check()
}
