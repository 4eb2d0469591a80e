// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// A damage is done to a copy of the library. Of the objects it touches, verify must name those in named.
type damage struct {
	name  string
	do    func(t *testing.T, store blob.Store)
	named []string
	quick bool // quick verify must name them, too
}

// TestDamage does each kind of damage to each object of an archive. Whatever it is, the archive cannot be opened, or verify
// names the objects and exactly the files that it reaches; and what a restore brings back is right byte for byte.
func TestDamage(t *testing.T) {
	w, d, _ := library(t)
	other, _, _ := library(t)
	rng := rand.New(rand.NewPCG(seed(t), 0))
	for i, damage := range damages(t, w, other, rng) {
		if testing.Short() && i%5 != 0 {
			continue
		}
		t.Run(damage.name, func(t *testing.T) {
			c := *w
			c.t, c.store = t, cloneStore(t, w.store)
			damage.do(t, c.store)
			dev := *d
			dev.w, dev.store = &c, c.store
			checkDamaged(t, &dev, damage)
		})
	}
}

func damages(t *testing.T, w, other *world, rng *rand.Rand) (all []damage) {
	kinds := []string{dirKeys, dirHeads, dirIndexes, dirSnapshots, dirPacks}
	for _, kind := range kinds {
		objects := w.names(kind)
		foreign := other.names(kind)
		orphans := unreferenced(t, w)
		for i, name := range objects {
			short := kind + fmt.Sprint(i)
			quick := !orphans[name]
			data, err := blobtest.Read(t.Context(), w.store, name)
			must(t, err)
			put := func(label string, quick bool, change func([]byte) []byte) {
				all = append(all, damage{short + " " + label, func(t *testing.T, s blob.Store) {
					must(t, blobtest.Corrupt(t.Context(), s, name, change))
				}, []string{name}, quick})
			}
			positions := []int{0, 6, 7, 25, 40, format.HeaderSize, len(data) - 30, len(data) - 1}
			for range 3 {
				positions = append(positions, rng.IntN(len(data)))
			}
			for _, at := range positions {
				put(fmt.Sprintf("flipped at %d", at), quick && kind != dirPacks, func(b []byte) []byte { b[at] ^= 1 << rng.IntN(8); return b })
			}
			put("halved", quick, cutHalf)
			put("one byte short", quick, func(b []byte) []byte { return b[:len(b)-1] })
			put("empty", quick, func([]byte) []byte { return nil })
			put("longer", quick, func(b []byte) []byte { return append(b, 0) })
			put("zeros", quick && kind != dirPacks, func(b []byte) []byte { clear(b); return b })
			theirs, err := blobtest.Read(t.Context(), other.store, foreign[i%len(foreign)])
			must(t, err)
			put("another archive's", quick && (kind != dirPacks || len(theirs) != len(data)), func([]byte) []byte { return theirs })
			if !orphans[name] && !(kind == dirHeads && i+1 < len(objects)) {
				all = append(all, damage{short + " removed", func(t *testing.T, s blob.Store) {
					must(t, s.Delete(t.Context(), name))
				}, []string{name}, true})
			}
			for j := i + 1; j < len(objects) && kind != dirKeys; j++ {
				same, err := blobtest.Read(t.Context(), w.store, objects[j])
				must(t, err)
				all = append(all, damage{fmt.Sprintf("%s swapped with %d", short, j), func(t *testing.T, s blob.Store) {
					must(t, blobtest.Corrupt(t.Context(), s, name, func([]byte) []byte { return same }))
					must(t, blobtest.Corrupt(t.Context(), s, objects[j], func([]byte) []byte { return data }))
				}, []string{name, objects[j]}, quick && !orphans[objects[j]] && (kind != dirPacks || len(same) != len(data))})
			}
		}
		// An object of another archive, under its own name, which is right for it.
		for _, theirs := range foreign {
			data, err := blobtest.Read(t.Context(), other.store, theirs)
			must(t, err)
			name := w.id.String() + strings.TrimPrefix(theirs, other.id.String())
			if kind != dirKeys {
				all = append(all, damage{kind + " foreign", func(t *testing.T, s blob.Store) {
					must(t, s.Put(t.Context(), name, data))
				}, []string{name}, false})
			}
		}
	}
	// An old head under a newer name.
	heads := w.names(dirHeads)
	old, err := blobtest.Read(t.Context(), w.store, heads[0])
	must(t, err)
	replayed := w.id.String() + "/" + dirHeads + headName{100, format.DigestOf(old)}.String()
	return append(all, damage{"old head replayed", func(t *testing.T, s blob.Store) {
		must(t, s.Put(t.Context(), replayed, old))
	}, []string{replayed}, true})
}

// unreferenced returns the objects that no head needs any more: only a full verify looks at them.
func unreferenced(t *testing.T, w *world) map[string]bool {
	a, err := Open(t.Context(), w.store, w.id, w.key, Options{})
	must(t, err)
	defer a.Close()
	orphans := map[string]bool{}
	for _, name := range w.names(dirIndexes) {
		orphans[name] = true
	}
	for _, d := range a.head.Indexes {
		delete(orphans, a.name(dirIndexes, d.String()))
	}
	return orphans
}

func checkDamaged(t *testing.T, d *device, damage damage) {
	a, err := d.open()
	rolledBack := errors.Is(err, ErrRolledBack) // the error says what is wrong; verify cannot miss what it never saw
	if err != nil {
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrRolledBack) {
			t.Fatalf("open: %v", err)
		}
		if errors.Is(err, ErrDamaged) && !slices.ContainsFunc(damage.named, func(name string) bool { return strings.Contains(err.Error(), path.Base(name)) }) {
			t.Errorf("the error does not name %s: %v", damage.named, err)
		}
		d.options.AllowOlder = true
		if a, err = d.open(); err != nil {
			t.Fatalf("open, although an older state is allowed: %v", err)
		}
	}
	defer a.Close()
	quick, err := a.Verify(t.Context(), VerifyConfig{})
	must(t, err)
	full, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true})
	must(t, err)
	for _, name := range damage.named {
		if damage.quick && !rolledBack && !reports(quick, name) {
			t.Errorf("quick verify does not name %s: %v", name, quick.Damage)
		}
		if !rolledBack && !reports(full, name) {
			t.Errorf("full verify does not name %s: %v", name, full.Damage)
		}
	}
	for _, found := range slices.Concat(quick.Damage, full.Damage) {
		if !slices.Contains(damage.named, found.Object) {
			t.Errorf("verify names %v, which is sound", found)
		}
	}
	for _, f := range quick.Affected {
		if !slices.Contains(full.Affected, f) {
			t.Errorf("quick verify says that %v is affected, full verify does not", f)
		}
	}
	for _, s := range a.Snapshots() {
		checkAffected(t, a, s.ID, d.w.want[s.ID], full)
	}
}

// checkAffected restores a snapshot as far as possible, and compares what is missing with what verify said.
func checkAffected(t *testing.T, a *Archive, id ID, want tree, v *VerifyReport) {
	t.Helper()
	var said []string
	for _, f := range v.Affected {
		if f.Snapshot == id {
			said = append(said, f.Path)
		}
	}
	dir := filepath.Join(t.TempDir(), "target")
	r, err := a.Restore(t.Context(), RestoreConfig{Snapshot: id.String(), Dir: dir, KeepGoing: true})
	if err != nil {
		if !slices.Equal(said, []string{""}) || !lost(err) {
			t.Errorf("snapshot %s: restore fails with %v, verify says %q", id, err, said)
		}
		return
	}
	said = stretches(t, a, id, want, said)
	got := readTree(t, dir)
	for _, p := range slices.Sorted(maps.Keys(want)) {
		is, restored := got[p]
		right := is == want[p]
		if restored && !right && !strings.HasPrefix(is, "d") {
			t.Errorf("snapshot %s: %q is restored wrong: %s instead of %s", id, p, is, want[p])
		}
		if right == slices.Contains(said, p) {
			t.Errorf("snapshot %s: %q restored %t, but verify says %q", id, p, right, said)
		}
		delete(got, p)
	}
	if len(got) > 0 {
		t.Errorf("snapshot %s: restored from nowhere: %v", id, got)
	}
	if (len(r.Problems) > 0) != (len(said) > 0) {
		t.Errorf("snapshot %s: restore reports %v, verify says %q", id, r.Problems, said)
	}
}

// stretches replaces parts of the listing that verify could not read by the paths that were in them.
func stretches(t *testing.T, a *Archive, id ID, want tree, said []string) (paths []string) {
	s, err := a.Snapshot(t.Context(), id.String())
	must(t, err)
	for _, p := range said {
		first, stretch := strings.CutSuffix(p, " … (this stretch of the listing)")
		if !stretch {
			paths = append(paths, p)
			continue
		}
		at := slices.IndexFunc(s.body.Leaves, func(l format.LeafRef) bool { return l.First == first })
		for p := range want {
			from := strings.TrimSuffix(p, ".") // the folder itself
			if format.ComparePaths(from, first) >= 0 && (at+1 == len(s.body.Leaves) || format.ComparePaths(from, s.body.Leaves[at+1].First) < 0) {
				paths = append(paths, p)
			}
		}
	}
	return paths
}

func reports(r *VerifyReport, object string) bool {
	return slices.ContainsFunc(r.Damage, func(d Damage) bool { return d.Object == object })
}
