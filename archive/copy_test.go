// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func copyTo(t *testing.T, from, to blob.Store, id ID) *CopyReport {
	t.Helper()
	r, err := Copy(t.Context(), from, to, id, CopyOptions{})
	must(t, err)
	return r
}

// TestCopy copies an archive, then what came since, and continues it at the copy.
func TestCopy(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 2)
	to := blobtest.Memory()
	r := copyTo(t, w.store, to, ID{})
	if !r.Whole || r.Archive != w.id || r.Generation != 2 || len(r.Damage)+len(r.Notices) > 0 || r.Objects != int64(len(w.names(""))) {
		t.Errorf("first: %+v", r)
	}
	checkArchive(t, to, w.id, w.key, w.want)
	grow(w, d, headsKept+1)
	before := len(names(t, to, ""))
	if r = copyTo(t, w.store, to, w.id); !r.Whole || r.Skipped == 0 || len(r.Notices) > 0 || len(names(t, to, "")) != before+int(r.Objects) {
		t.Errorf("the increment: %+v", r)
	}
	checkArchive(t, to, w.id, w.key, w.want)
	if r = copyTo(t, w.store, to, w.id); r.Objects != 0 || !r.Whole {
		t.Errorf("once more: %+v", r)
	}
	w.store, d.store = to, to // a device that has seen the source's newest state goes on here
	grow(w, d, 1)
	w.check()
	_, err := Copy(t.Context(), blobtest.Memory(), to, ID{}, CopyOptions{})
	wantErr(t, "from nothing", err, ErrNoArchive)
	_, err = Copy(t.Context(), to, blobtest.Memory(), format.NewID(), CopyOptions{})
	wantErr(t, "of an unknown id", err, ErrNoArchive)
}

// TestCopyKilled kills copies at every step, the step lost and persisted: the target holds its older state or the whole new one, and
// the next copy completes it.
func TestCopyKilled(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 1)
	older := w.cloneWant()
	target := blobtest.Memory()
	copyTo(t, w.store, target, w.id)
	grow(w, d, 3)
	_, err := d.prune(PruneConfig{KeepLast: 2})
	must(t, err)
	for _, after := range []bool{false, true} {
		for k, alive := 1, false; !alive; k++ {
			to := cloneStore(t, target)
			faulty := dying(to, k, after)
			_, err := Copy(t.Context(), w.store, faulty, w.id, CopyOptions{})
			alive = err == nil
			a, err := Open(t.Context(), to, w.id, w.key, Options{})
			must(t, err)
			want := older
			if a.Head().Generation > 1 {
				want = w.want
			}
			a.Close()
			checkArchive(t, to, w.id, w.key, want)
			if r := copyTo(t, w.store, to, w.id); !r.Whole || len(r.Damage) > 0 {
				t.Fatalf("step %d: %+v", k, r)
			}
			checkArchive(t, to, w.id, w.key, w.want)
			if alive && k < 8 {
				t.Fatalf("only %d steps were found", k)
			}
		}
	}
}

// dying is a destination that is gone from its kth write on; with after, that write happens still.
func dying(store blob.Store, k int, after bool) blob.Store {
	first := blobtest.FromNth(blobtest.OpPut, k, errFault)
	if !after {
		return &blobtest.Faulty{Store: store, Before: first}
	}
	return &blobtest.Faulty{Store: store, After: first}
}

func (w *world) cloneWant() map[ID]tree {
	want := map[ID]tree{}
	for id, tree := range w.want {
		want[id] = tree
	}
	return want
}

// TestCopyDamage damages each object of the source: it is named, not copied, and the target keeps a state that is whole.
func TestCopyDamage(t *testing.T) {
	base := newWorld(t)
	d := base.device()
	grow(base, d, 1)
	older, want := cloneStore(t, base.store), base.cloneWant()
	grow(base, d, 1)
	for _, name := range base.names("") {
		for _, mutate := range []func([]byte) []byte{flipMiddle, cutHalf} {
			from, to := cloneStore(t, base.store), cloneStore(t, older)
			must(t, blobtest.Corrupt(t.Context(), from, name, mutate))
			r := copyTo(t, from, to, base.id)
			switch _, err := to.ReadAt(t.Context(), name, nil, 0); {
			case strings.Contains(name, "/"+dirKeys):
				if !r.Whole {
					t.Errorf("one copy of the keyring: %+v", r)
				}
				continue
			case err == nil: // it was there before, and only a size can tell
			case len(r.Damage) != 1 || r.Damage[0].Object != name || r.Whole:
				t.Errorf("%s: %+v", name, r)
			}
			if !r.Whole {
				checkArchive(t, to, base.id, base.key, want)
			} else {
				checkArchive(t, to, base.id, base.key, base.want)
			}
			// With all that is whole at hand it goes on.
			if r = copyTo(t, base.store, to, base.id); !r.Whole {
				t.Errorf("%s, mended: %+v", name, r)
			}
			checkArchive(t, to, base.id, base.key, base.want)
		}
	}
}

// TestCopyForged: a source that shows a newer head and a newer keyring which are none does not get them before those of a good copy.
func TestCopyForged(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 2)
	to := blobtest.Memory()
	copyTo(t, w.store, to, w.id)
	was := names(t, to, "")

	ring, err := readAll(t.Context(), w.store, keyName(w.id, 1, 1), maxKeyring)
	must(t, err)
	index := w.names(dirIndexes)[0] // is sealed for this archive, and no head
	other, err := readAll(t.Context(), w.store, index, format.MaxObjectSize)
	must(t, err)
	for _, junk := range [][]byte{[]byte("no head at all"), other} {
		name := headName{99, format.DigestOf(junk)}
		must(t, w.store.Put(t.Context(), w.id.String()+"/"+dirHeads+name.String(), junk))
	}
	for copy := 1; copy <= keyCopies; copy++ {
		must(t, w.store.Put(t.Context(), keyName(w.id, 9, copy), ring))
	}
	for _, keepGoing := range []bool{false, true} {
		r, err := Copy(t.Context(), w.store, to, w.id, CopyOptions{KeepGoing: keepGoing})
		must(t, err)
		if r.Whole || len(r.Damage) == 0 || !slices.Equal(names(t, to, ""), was) {
			t.Errorf("%+v, %q", r, names(t, to, ""))
		}
	}
	checkArchive(t, to, w.id, w.key, w.want)
}

// TestCopyKeepGoing brings over what there is.
func TestCopyKeepGoing(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 2)
	name := w.names(dirPacks)[0]
	w.corrupt(name, flipMiddle)
	to := blobtest.Memory()
	r, err := Copy(t.Context(), w.store, to, w.id, CopyOptions{KeepGoing: true})
	must(t, err)
	if r.Whole || len(r.Damage) != 1 || r.Generation != 2 {
		t.Errorf("%+v", r)
	}
	a, err := Open(t.Context(), to, w.id, w.key, Options{})
	must(t, err)
	defer a.Close()
	if len(a.Snapshots()) != 2 {
		t.Errorf("%d snapshots", len(a.Snapshots()))
	}
}

// TestCopyFork: the target has been continued by a device that does not see the source. Both states stay, and the next backup joins them.
func TestCopyFork(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	grow(w, d, 1)
	source, to := w.store, blobtest.Memory()
	copyTo(t, source, to, w.id)
	grow(w, d, 3)
	other.store = to
	w.write("elsewhere", nil)
	other.mustBackup()
	r := copyTo(t, source, to, w.id)
	if !r.Whole || len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "both stay") && !strings.Contains(r.Notices[0], "Both stay") {
		t.Errorf("%+v", r)
	}
	w.store = to
	w.check()
	grow(w, other, 1)
	w.check()
	a := other.mustOpen()
	if len(a.tips) != 1 || a.Head().Generation != 5 {
		t.Errorf("%d tips, generation %d", len(a.tips), a.Head().Generation)
	}
}

// TestCopyKeyChange copies over a change of the key: the new key opens the target, and the old keyring never comes back.
func TestCopyKeyChange(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	grow(w, d, 1)
	before := cloneStore(t, w.store)
	to := cloneStore(t, w.store)
	next := format.NewKey()
	must(t, d.mustOpen().ChangeKey(t.Context(), next))
	old := w.key
	w.key = next
	r := copyTo(t, w.store, to, w.id)
	if !r.Whole || len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "old key") {
		t.Errorf("%+v", r)
	}
	checkArchive(t, to, w.id, next, w.want)
	if r = copyTo(t, before, w.store, w.id); !slices.ContainsFunc(r.Notices, func(n string) bool { return strings.Contains(n, "was not copied") }) {
		t.Errorf("backwards: %+v", r)
	}
	_, err := Open(t.Context(), w.store, w.id, old, Options{})
	wantErr(t, "the old key", err, ErrWrongKey)

	// Two changes at two destinations cannot be joined.
	must(t, changeKey(t.Context(), before, w.id, old, format.NewKey()))
	_, err = Copy(t.Context(), before, w.store, w.id, CopyOptions{})
	wantErr(t, "two changes", err, ErrExists)
}

func changeKey(ctx context.Context, store blob.Store, id ID, old, next Key) error {
	a, err := Open(ctx, store, id, old, Options{})
	if err != nil {
		return err
	}
	defer a.Close()
	return a.ChangeKey(ctx, next)
}
