// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// Several destinations of one device. Each test takes one away, puts an older state back, or kills the process, and then looks
// at what each destination holds by itself.

// both is a world whose device has two destinations, the second of which is w.second().
func both(t *testing.T) (world, *coffer.Device, coffer.Key) {
	t.Helper()
	w, key := newWorld(t), coffer.NewKey()
	w.setup.Also = []string{w.second()}
	d := w.device()
	if err := d.Enable(t.Context(), w.setup, key); err != nil {
		t.Fatal(err)
	}
	return w, d, key
}

func (w world) second() string { return filepath.Join(w.dir, "second") }

// next changes the chat store.
func (w world) next(t *testing.T, name string) {
	t.Helper()
	write(t, filepath.Join(w.setup.Source, name), name)
}

// at backs up and returns what came of each destination.
func at(t *testing.T, d *coffer.Device, o coffer.BackupOptions) map[string]coffer.DestinationRun {
	t.Helper()
	runs := map[string]coffer.DestinationRun{}
	o.OnDestination = func(r coffer.DestinationRun) { runs[filepath.Base(r.Destination)] = r }
	backup(t, d, o)
	return runs
}

// holds proves that a destination, by itself, has so many snapshots, all sound, and the newest of them all these files.
func holds(t *testing.T, destination string, key coffer.Key, snapshots int, files ...string) archive.Head {
	t.Helper()
	a, err := coffer.OpenArchive(t.Context(), destination, coffer.ID{}, key)
	if err != nil {
		t.Fatalf("%s: %v", destination, err)
	}
	defer a.Close()
	if n := len(a.Snapshots()); n != snapshots {
		t.Errorf("%s: %d snapshots, want %d", destination, n, snapshots)
	}
	v, err := a.Verify(t.Context(), archive.VerifyConfig{ReadAll: true})
	if err != nil || len(v.Damage) > 0 {
		t.Errorf("%s: %v, %+v", destination, err, v)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := a.Restore(t.Context(), archive.RestoreConfig{Snapshot: "latest", Dir: out}); err != nil {
		t.Errorf("%s: %v", destination, err)
	}
	for _, name := range append(files, "note") {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Errorf("%s: %v", destination, err)
		}
	}
	return a.Head()
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func survey(t *testing.T, d *coffer.Device) map[string]coffer.DestinationState {
	t.Helper()
	s, err := d.Survey(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if s.Archive != nil {
		s.Archive.Close()
	}
	states := map[string]coffer.DestinationState{}
	for _, one := range s.Destinations {
		states[filepath.Base(one.Destination)] = one
	}
	return states
}

// TestSeveralDestinations: both get the same snapshot; one that is away is reported, and caught up when it is back, also when it was
// the one that had been written to.
func TestSeveralDestinations(t *testing.T) {
	w, d, key := both(t)
	runs := at(t, d, coffer.BackupOptions{})
	if !runs["dest"].Wrote || runs["second"].Outcome != coffer.OutcomeOK || runs["second"].Snapshots != 1 {
		t.Errorf("%+v", runs)
	}
	if holds(t, w.setup.Destination, key, 1) != holds(t, w.second(), key, 1) {
		t.Error("the two have different states")
	}
	for i, away := range []string{w.second(), w.setup.Destination} {
		name := filepath.Base(away)
		move(t, away, away+"-away")
		for k := range 2 {
			w.next(t, fmt.Sprint("file-", i, k))
			runs = at(t, d, coffer.BackupOptions{})
			if runs[name].Outcome != coffer.OutcomeFailed || runs[name].Cause != coffer.CauseUnreachable {
				t.Errorf("%s is away: %+v", name, runs)
			}
		}
		h, err := d.History()
		if err != nil || h.Runs[len(h.Runs)-1].Outcome != coffer.OutcomePartial {
			t.Errorf("%+v, %v", h, err)
		}
		if s := survey(t, d); s[name].State != coffer.StateFailed || s[name].LastFailure == nil || s[name].LastGood.IsZero() {
			t.Errorf("%s is away: %+v", name, s)
		}
		move(t, away+"-away", away)
		if s := survey(t, d); s[name].State != coffer.StateBehind || s[name].Behind != 2 {
			t.Errorf("%s is back: %+v", name, s)
		}
		runs = at(t, d, coffer.BackupOptions{}) // nothing has changed in the source
		if runs[name].Outcome != coffer.OutcomeOK || runs[name].Snapshots != 2 {
			t.Errorf("%s is back: %+v", name, runs)
		}
		if s := survey(t, d); s[name].State != coffer.StateNewest || s[name].LastFailure != nil {
			t.Errorf("%s is caught up: %+v", name, s)
		}
		for _, place := range []string{w.setup.Destination, w.second()} {
			holds(t, place, key, 3+2*i, fmt.Sprint("file-", i, 1))
		}
	}
	move(t, w.setup.Destination, w.setup.Destination+"-away")
	move(t, w.second(), w.second()+"-away")
	if _, err := d.Backup(t.Context(), coffer.BackupOptions{}); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("both are away: %v", err)
	}
}

// TestLaggingDestinationGoesOn: the newest destination is away, so a backup goes on at one that lags, which is behind and not attacked; when
// both are back they are joined.
func TestLaggingDestinationGoesOn(t *testing.T) {
	for _, ahead := range []int{1, 10} {
		w, d, key := both(t)
		backup(t, d, coffer.BackupOptions{})
		first := w.setup.Destination
		move(t, w.second(), w.second()+"-away")
		for i := range ahead {
			w.next(t, fmt.Sprint("first-", i))
			backup(t, d, coffer.BackupOptions{})
		}
		newest := holds(t, first, key, 1+ahead)
		move(t, first, first+"-away")
		move(t, w.second()+"-away", w.second())

		a, err := d.Open(t.Context(), false)
		if err != nil {
			t.Fatalf("reading what lags: %v", err)
		}
		if !slices.ContainsFunc(a.Notices(), func(n string) bool { return strings.Contains(n, "is behind") }) {
			t.Errorf("notices: %q", a.Notices())
		}
		a.Close()
		w.next(t, "alone")
		r := backup(t, d, coffer.BackupOptions{})
		if !slices.ContainsFunc(r.Notices, func(n string) bool { return strings.Contains(n, "is behind") }) {
			t.Errorf("notices: %q", r.Notices)
		}
		if h := holds(t, w.second(), key, 2, "alone"); h.Generation <= newest.Generation {
			t.Errorf("generation %d after %d", h.Generation, newest.Generation)
		}

		move(t, first+"-away", first)
		w.next(t, "together")
		runs := at(t, d, coffer.BackupOptions{})
		for name, run := range runs {
			if run.Outcome != coffer.OutcomeOK {
				t.Errorf("%s: %+v", name, run)
			}
		}
		if holds(t, first, key, 3+ahead, "alone", "together") != holds(t, w.second(), key, 3+ahead, "alone", "together") {
			t.Error("the two have different states")
		}
		if s := survey(t, d); s["dest"].State != coffer.StateNewest || s["second"].State != coffer.StateNewest {
			t.Errorf("%+v", s)
		}
	}
}

// TestOneGoesBack: a destination that shows less than it had shown itself is refused by name, and the other one is read and written; with an explicit
// word it is caught up.
func TestOneGoesBack(t *testing.T) {
	for _, place := range []string{"dest", "second"} {
		w, d, key := both(t)
		path := filepath.Join(w.dir, place)
		backup(t, d, coffer.BackupOptions{})
		copyDir(t, path, path+"-old")
		w.next(t, "two")
		backup(t, d, coffer.BackupOptions{})
		copyDir(t, path+"-old", path)
		if s := survey(t, d); !errors.Is(s[place].Err, archive.ErrRolledBack) {
			t.Errorf("%s: %+v", place, s)
		}
		w.next(t, "three")
		if runs := at(t, d, coffer.BackupOptions{}); runs[place].Cause != coffer.CauseRolledBack {
			t.Errorf("%s: %+v", place, runs)
		}
		holds(t, path, key, 1)
		runs := at(t, d, coffer.BackupOptions{AcceptOlder: true})
		if runs[place].Outcome != coffer.OutcomeOK {
			t.Errorf("%s: %+v", place, runs)
		}
		holds(t, path, key, 3, "three")

		// Emptied, it is not filled again without a word.
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if runs := at(t, d, coffer.BackupOptions{}); runs[place].Cause != coffer.CauseNoArchive {
			t.Errorf("%s, emptied: %+v", place, runs)
		}
		if err := d.RemoveDestination(path); err != nil {
			t.Fatal(err)
		}
		if _, err := d.AddDestination(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		backup(t, d, coffer.BackupOptions{})
		holds(t, path, key, 3, "three")
	}
}

// TestHiddenObjectsAreHealed: a destination that hides what it has gets it back from the other one, which loses nothing.
func TestHiddenObjectsAreHealed(t *testing.T) {
	w, d, key := both(t)
	backup(t, d, coffer.BackupOptions{})
	w.next(t, "two")
	backup(t, d, coffer.BackupOptions{})
	config, err := d.Config()
	if err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(w.setup.Destination, config.Archive.String(), "packs", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("%v, %v", packs, err)
	}
	for _, pack := range packs {
		if err := os.Remove(pack); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(w.setup.Source, "two")); err != nil { // so that the source cannot heal it
		t.Fatal(err)
	}
	a, err := d.Open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Restore(t.Context(), archive.RestoreConfig{Snapshot: "latest", Dir: filepath.Join(w.dir, "out")}); err != nil {
		t.Errorf("what one has lost is not read from the other: %v", err)
	}
	if v, err := a.Verify(t.Context(), archive.VerifyConfig{}); err != nil || len(v.Damage) == 0 {
		t.Errorf("verify reads from the other: %v, %+v", err, v)
	}
	a.Close()
	backup(t, d, coffer.BackupOptions{})
	holds(t, w.setup.Destination, key, 3)
	holds(t, w.second(), key, 3)
}

// TestUpgradedConfig: a device that an older program has set up goes on with its one destination, and its memory is of that.
func TestUpgradedConfig(t *testing.T) {
	w, d, key := enabled(t)
	backup(t, d, coffer.BackupOptions{})
	copyDir(t, w.setup.Destination, filepath.Join(w.dir, "old"))
	w.next(t, "two")
	backup(t, d, coffer.BackupOptions{})
	rewrite := func(name string, change func(string) string) {
		path := filepath.Join(w.state, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, change(string(data)))
	}
	rewrite("device.json", func(text string) string {
		begin, end := strings.Index(text, `"destinations": [`), strings.Index(text, "]")
		one := strings.TrimSpace(text[begin+len(`"destinations": [`) : end])
		return strings.Replace(text[:begin]+`"destination": `+one+text[end+1:], `"version": 2`, `"version": 1`, 1)
	})
	rewrite("head.json", func(text string) string {
		return strings.TrimRight(text[:strings.Index(text, `"destinations"`)], ", \n") + "}"
	})
	c, err := d.Config()
	if err != nil || !slices.Equal(c.Destinations, []string{w.setup.Destination}) {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := d.AddDestination(t.Context(), w.second()); err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
	holds(t, w.second(), key, 2, "two")
	copyDir(t, filepath.Join(w.dir, "old"), w.setup.Destination)
	if s := survey(t, d); !errors.Is(s["dest"].Err, archive.ErrRolledBack) || s["second"].State != coffer.StateNewest {
		t.Errorf("%+v", s)
	}
}

func TestAddAndRemove(t *testing.T) {
	w, d, key := enabled(t)
	backup(t, d, coffer.BackupOptions{})
	if err := d.RemoveDestination(w.setup.Destination); !errors.Is(err, coffer.ErrDestination) {
		t.Errorf("the last one: %v", err)
	}
	if _, err := d.AddDestination(t.Context(), w.setup.Destination); !errors.Is(err, coffer.ErrDestination) {
		t.Errorf("twice: %v", err)
	}
	link := filepath.Join(w.dir, "link")
	if err := os.Symlink(w.setup.Destination, link); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddDestination(t.Context(), link); !errors.Is(err, coffer.ErrDestination) {
		t.Errorf("by a link: %v", err)
	}
	twice := newWorld(t)
	twice.setup.Also = []string{filepath.Join(twice.dir, "link")}
	if err := os.Symlink(filepath.Base(twice.setup.Destination), twice.setup.Also[0]); err != nil { // which leads to nothing yet
		t.Fatal(err)
	}
	if err := twice.device().Enable(t.Context(), twice.setup, key); !errors.Is(err, coffer.ErrDestination) {
		t.Errorf("a set-up with a link: %v", err)
	}
	if found, err := d.AddDestination(t.Context(), w.second()); err != nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
	if s := survey(t, d); s["second"].State != coffer.StateBehind || s["second"].Behind != 1 {
		t.Errorf("%+v", s)
	}
	backup(t, d, coffer.BackupOptions{})
	holds(t, w.second(), key, 1)
	if err := d.RemoveDestination(w.setup.Destination); err != nil {
		t.Fatal(err)
	}
	w.next(t, "two")
	backup(t, d, coffer.BackupOptions{})
	holds(t, w.second(), key, 2, "two")
	holds(t, w.setup.Destination, key, 1)

	// Added again, the older copy is continued.
	if found, err := d.AddDestination(t.Context(), w.setup.Destination); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	backup(t, d, coffer.BackupOptions{})
	holds(t, w.setup.Destination, key, 2, "two")
}

// TestPruneSpreads: what is pruned at one destination is deleted at the others, in their own time.
func TestPruneSpreads(t *testing.T) {
	w, d, key := both(t)
	for i := range 3 {
		w.next(t, fmt.Sprint("file-", i))
		backup(t, d, coffer.BackupOptions{})
	}
	prune := func() {
		t.Helper()
		if err := d.Exclusive("prune", func() error {
			a, err := d.Open(t.Context(), false)
			if err != nil {
				return err
			}
			defer a.Close()
			others, err := d.Others(t.Context(), a, nil)
			if err != nil {
				return err
			}
			defer others.Close()
			if _, err := a.Prune(t.Context(), archive.PruneConfig{KeepLast: 1, Others: others.Archives()}); err != nil {
				return err
			}
			for _, run := range others.Spread(t.Context(), true, nil) {
				if run.Outcome != coffer.OutcomeOK {
					return fmt.Errorf("%+v", run)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	prune()
	if holds(t, w.setup.Destination, key, 1) != holds(t, w.second(), key, 1) {
		t.Error("the two have different states")
	}
}

// TestChangeKeyAtBoth: nothing claims to be done before all destinations have the new key; one that goes away meanwhile makes it wait, and
// backups go on.
func TestChangeKeyAtBoth(t *testing.T) {
	for _, away := range []string{"dest", "second"} {
		w, d, old := both(t)
		backup(t, d, coffer.BackupOptions{})
		path, next := filepath.Join(w.dir, away), coffer.NewKey()
		move(t, path, path+"-away")
		if err := d.ChangeKey(t.Context(), next); !errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("%s is away: %v", away, err)
		}
		if _, _, err := d.PendingKey(); !errors.Is(err, coffer.ErrNoKey) {
			t.Errorf("%s is away, and a change is pending: %v", away, err)
		}
		move(t, path+"-away", path)

		// It goes away after the change has begun.
		failing := coffer.OpenDevice(w.state, coffer.Options{OpenDestination: func(ctx context.Context, destination string, create bool) (blob.Store, error) {
			store, err := coffer.OpenDestination(ctx, destination, create)
			if err != nil || destination != path {
				return store, err
			}
			return &blobtest.Faulty{Store: store, Before: func(op, _ string) error {
				if op == blobtest.OpPut || op == blobtest.OpDelete {
					return blob.ErrUnreachable
				}
				return nil
			}}, nil
		}})
		if err := failing.ChangeKey(t.Context(), next); !errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("%s goes away: %v", away, err)
		}
		if pending, _, err := d.PendingKey(); err != nil || pending != next {
			t.Errorf("%s goes away, and no change is pending: %v", away, err)
		}
		w.next(t, "meanwhile")
		move(t, path, path+"-away")
		r := backup(t, d, coffer.BackupOptions{})
		if !slices.ContainsFunc(r.Notices, func(n string) bool { return strings.Contains(n, "change of the key is pending") }) {
			t.Errorf("notices: %q", r.Notices)
		}
		move(t, path+"-away", path)
		backup(t, d, coffer.BackupOptions{})
		if key, _, err := d.Key(t.Context()); err != nil || key != next {
			t.Errorf("the change is not finished: %v", err)
		}
		for _, place := range []string{w.setup.Destination, w.second()} {
			holds(t, place, next, 2, "meanwhile")
			if _, err := coffer.OpenArchive(t.Context(), place, coffer.ID{}, old); !errors.Is(err, archive.ErrWrongKey) {
				t.Errorf("%s: the old key: %v", place, err)
			}
		}
	}
}
