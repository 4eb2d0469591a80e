// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// at opens the world's archive at another destination through a.
func (d *device) at(a *Archive, store blob.Store, seen Head) (*Archive, error) {
	return a.At(d.w.t.Context(), store, Options{Clock: d.w.clock.now, Device: d.id, Seen: seen})
}

func (d *device) catchUp(to blob.Store, seen Head) *CatchUpReport {
	d.w.t.Helper()
	a := d.mustOpen()
	b, err := d.at(a, to, seen)
	must(d.w.t, err)
	r, err := a.CatchUp(d.w.t.Context(), b, CatchUpOptions{Sweep: true})
	must(d.w.t, err)
	return r
}

func relation(t *testing.T, a, b *Archive, lags bool) Relation {
	t.Helper()
	r, err := a.Compare(t.Context(), b, lags)
	must(t, err)
	return r
}

// TestCatchUpKilled kills a catch-up at every write and delete, over new backups, a prune that has marked and deleted, and a change of the key. Before
// and after, the other destination is one whole state; the next catch-up makes it the same as the first.
func TestCatchUpKilled(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 3)
	to := blobtest.Memory()
	d.catchUp(to, Head{})
	keep := PruneConfig{KeepLast: 1}
	_, err := d.prune(keep) // marks
	must(t, err)
	d.catchUp(to, Head{})
	w.clock.advance(2 * grace)
	older, seen := w.cloneWant(), d.seen
	grow(w, d, 2)
	oldKey := w.key
	w.key = format.NewKey()
	must(t, changeKey(t.Context(), w.store, w.id, oldKey, w.key))
	target := to
	for _, after := range []bool{false, true} {
		for k, alive := 1, false; !alive; k++ {
			to := cloneStore(t, target)
			hooked := &blobtest.Faulty{Store: to}
			var writes atomic.Int64 // objects are written by many goroutines
			hook := func(op, _ string) error {
				if (op == blobtest.OpPut || op == blobtest.OpDelete) && writes.Add(1) >= int64(k) {
					return errFault
				}
				return nil
			}
			if after {
				hooked.After = hook
			} else {
				hooked.Before = hook
			}
			a := d.mustOpen()
			b, err := d.at(a, hooked, seen)
			must(t, err)
			_, err = a.CatchUp(t.Context(), b, CatchUpOptions{})
			alive = err == nil && writes.Load() < int64(k)
			key, want := w.key, w.want
			o, err := Open(t.Context(), to, w.id, w.key, Options{Seen: seen, Newest: d.mustOpen().Head()})
			if err != nil {
				key, want = oldKey, older
			} else if o.Head().Generation == seen.Generation {
				want = older
			}
			if err == nil && o.Head().Generation == seen.Generation {
				// The new keyring is there and the old head: only a device that has seen that opens it.
				o.Close()
			} else {
				checkArchive(t, to, w.id, key, want)
			}
			d.catchUp(to, seen)
			checkArchive(t, to, w.id, w.key, w.want)
			if _, err := Open(t.Context(), to, w.id, oldKey, Options{}); err == nil {
				t.Fatalf("step %d: the old key opens what was caught up", k)
			}
			if have, want := names(t, to, ""), w.names(""); !subset(want, have) {
				t.Fatalf("step %d: %q are there, %q wanted", k, have, want)
			}
			if alive && k < 10 {
				t.Fatalf("only %d steps were found", k)
			}
		}
	}
	// What was marked is gone there, and only that.
	d.catchUp(target, seen)
	checkArchive(t, target, w.id, w.key, w.want)
	for _, m := range d.mustOpen().head.Marks {
		if name := w.id.String() + "/" + dirOf(m.Type) + m.Name.String(); slices.Contains(names(t, target, ""), name) {
			t.Errorf("%s was marked and stays", name)
		}
	}
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool {
		return !slices.Contains(b, s) && !strings.Contains(s, dirPacks) && !strings.Contains(s, "/"+dirIndexes) && !strings.Contains(s, "/"+dirSnapshots)
	})
}

// TestCatchUpHeals: the first destination hides half of what it has. The other one loses nothing, and gives it back.
func TestCatchUpHeals(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 2)
	to := blobtest.Memory()
	d.catchUp(to, Head{})
	grow(w, d, 1)
	whole := cloneStore(t, w.store)
	for i, name := range w.names(dirPacks) {
		switch i % 3 {
		case 0:
			w.delete(name)
		case 1:
			w.corrupt(name, flipMiddle)
		}
	}
	w.delete(w.names(dirSnapshots)[0])
	before := names(t, to, "")
	a := d.mustOpen()
	b, err := d.at(a, to, Head{})
	must(t, err)
	r, err := a.CatchUp(t.Context(), b, CatchUpOptions{Others: []blob.Store{whole}})
	must(t, err)
	if len(r.Missing) > 0 || r.Deleted > 0 {
		t.Errorf("%+v", r)
	}
	for _, name := range before {
		if _, err := to.ReadAt(t.Context(), name, nil, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkArchive(t, to, w.id, w.key, w.want)

	// A backup fetches what is missing here instead of reading the source again.
	a = d.mustOpen()
	a.Fallback(to)
	rep, err := d.backupOn(a)
	must(t, err)
	if !rep.Unchanged || !slices.Equal(w.names(dirPacks), names(t, whole, w.id.String()+"/"+dirPacks)) {
		t.Errorf("%+v", rep)
	}
}

// TestCatchUpMissing: what no destination has is named.
func TestCatchUpMissing(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 2)
	name := w.names(dirPacks)[0]
	w.delete(name)
	to := blobtest.Memory()
	r := d.catchUp(to, Head{})
	if !slices.Equal(r.Missing, []string{name}) {
		t.Errorf("%+v", r)
	}
	if a, err := Open(t.Context(), to, w.id, w.key, Options{}); err != nil || len(a.Snapshots()) != 2 {
		t.Errorf("%v", err)
	}
}

// TestLaggingDestination: while the newest destination is away, a backup goes on at one that lags, few or many backups behind. When both are back,
// they are joined: nothing is lost, whoever joins them, and the generation never goes back.
func TestLaggingDestination(t *testing.T) {
	for _, ahead := range []int{1, 3, headsKept - 1, headsKept, 3 * headsKept} {
		for _, alone := range []int{1, 2, 3, headsKept + 2} {
			w := newWorld(t)
			d := w.device()
			grow(w, d, 2)
			lagging := blobtest.Memory()
			d.catchUp(lagging, Head{})
			there := d.seen
			grow(w, d, ahead)
			newest, known := w.store, d.seen

			d.store, d.seen, d.options.Newest = lagging, there, known
			grow(w, d, alone)
			if d.seen.Generation <= known.Generation {
				t.Fatalf("%d ahead, %d alone: generation %d after %d", ahead, alone, d.seen.Generation, known.Generation)
			}
			fresh := w.device()
			fresh.store, fresh.seen = lagging, there
			fresh.mustOpen()

			// By a copy without the key, and the next backup there: what is still among the newest heads shows as a fork.
			if alone < headsKept {
				mixed := cloneStore(t, lagging)
				copyTo(t, newest, mixed, w.id)
				a, err := Open(t.Context(), mixed, w.id, w.key, Options{})
				must(t, err)
				if len(a.Snapshots()) != len(w.want) {
					t.Errorf("%d ahead, %d alone: a copy shows %d snapshots of %d", ahead, alone, len(a.Snapshots()), len(w.want))
				}
			}

			// By the device, which has both.
			d.store = newest
			a, err := Open(t.Context(), newest, w.id, w.key, Options{Clock: w.clock.now, Device: d.id, Seen: known, Newest: d.seen})
			must(t, err)
			b, err := d.at(a, lagging, d.seen)
			must(t, err)
			if r := relation(t, a, b, false); r != Apart {
				t.Fatalf("%d ahead, %d alone: relation %v", ahead, alone, r)
			}
			must(t, a.Join(t.Context(), b, nil))
			if r := relation(t, a, b, false); r != Follows {
				t.Fatalf("%d ahead, %d alone: relation %v after the join", ahead, alone, r)
			}
			_, err = a.CatchUp(t.Context(), b, CatchUpOptions{})
			must(t, err)
			if a.Head().Generation != d.seen.Generation+1 || relation(t, a, b, false) != Same {
				t.Errorf("%d ahead, %d alone: generation %d after %d", ahead, alone, a.Head().Generation, d.seen.Generation)
			}
			checkArchive(t, newest, w.id, w.key, w.want)
			checkArchive(t, lagging, w.id, w.key, w.want)
			a.Close()
			if testing.Short() && ahead > 1 {
				return
			}
		}
	}
}

// TestCompare: a destination that is many backups behind is behind if the caller knows that it only lags, and else may be apart.
func TestCompare(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 1)
	old := cloneStore(t, w.store)
	grow(w, d, 2)
	a := d.mustOpen()
	b, err := d.at(a, old, Head{})
	must(t, err)
	if relation(t, a, b, false) != Follows || relation(t, b, a, false) != Behind || relation(t, a, a, false) != Same {
		t.Error("two backups behind")
	}
	if n := a.SnapshotsMissing(b); n != 2 {
		t.Errorf("%d snapshots behind", n)
	}
	grow(w, d, headsKept)
	a = d.mustOpen()
	if relation(t, a, b, true) != Follows || relation(t, a, b, false) != Apart {
		t.Error("many backups behind")
	}
	_, err = d.at(a, old, d.seen)
	wantErr(t, "a destination that has gone back", err, ErrRolledBack)
}

// TestPruneMarksElsewhere: what only another destination has left, because it missed two prunes, is marked and deleted there.
func TestPruneMarksElsewhere(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 4)
	to := blobtest.Memory()
	d.catchUp(to, Head{})
	for range 3 {
		_, err := d.prune(PruneConfig{KeepLast: 1})
		must(t, err)
		w.clock.advance(grace + time.Hour)
	}
	d.catchUp(to, Head{})
	extra := len(names(t, to, w.id.String()+"/"+dirSnapshots))
	for range 3 {
		a := d.mustOpen()
		b, err := d.at(a, to, Head{})
		must(t, err)
		_, err = a.Prune(t.Context(), PruneConfig{KeepLast: 1, Others: []*Archive{b}})
		must(t, err)
		d.catchUp(to, Head{})
		checkArchive(t, to, w.id, w.key, w.want)
		w.clock.advance(grace + time.Hour)
	}
	if left := len(names(t, to, w.id.String()+"/"+dirSnapshots)); extra != 4 || left != 1 {
		t.Errorf("%d snapshots were there, %d are left", extra, left)
	}
}

// TestPruneBesideALyingList: a destination that lists what it does not have makes no head of this archive's large, nor keeps a prune at the
// others from freeing what they have.
func TestPruneBesideALyingList(t *testing.T) {
	mine, beside := maxMarks, maxMarksBeside
	defer func() { maxMarks, maxMarksBeside = mine, beside }()
	maxMarks, maxMarksBeside = 50, 7
	w := newWorld(t)
	d := w.device()
	grow(w, d, 4)
	to := blobtest.Memory()
	d.catchUp(to, Head{})
	for i := range 200 {
		name := format.DigestOf([]byte{byte(i)})
		must(t, to.Put(t.Context(), w.id.String()+"/"+dirPacks+name.String(), []byte("not a pack")))
	}
	for _, keep := range []int{4, 1, 1} {
		a := d.mustOpen()
		b, err := d.at(a, to, Head{})
		must(t, err)
		here := names(t, w.store, w.id.String()+"/")
		r, err := a.Prune(t.Context(), PruneConfig{KeepLast: keep, Others: []*Archive{b}})
		must(t, err)
		for _, s := range r.Removed {
			delete(w.want, s.ID)
		}
		elsewhere := slices.DeleteFunc(slices.Clone(a.head.Marks), func(m format.Mark) bool {
			return slices.Contains(here, a.name(dirOf(m.Type), m.Name.String()))
		})
		if len(elsewhere) != maxMarksBeside {
			t.Errorf("%d of %d marks are of what only the other destination lists", len(elsewhere), len(a.head.Marks))
		}
		d.catchUp(to, Head{})
		w.clock.advance(grace + time.Hour)
	}
	if left := len(names(t, w.store, w.id.String()+"/"+dirSnapshots)); left != 1 {
		t.Errorf("%d snapshots are left here", left)
	}
	checkArchive(t, w.store, w.id, w.key, w.want)
}
