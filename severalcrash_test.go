// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// A run over several destinations dies at every write, delete and change of a key, the step lost or persisted. Objects are copied by many goroutines, so
// death is not a panic here: from its step on nothing happens any more at any destination, and this device's state is put back to what it was then.

var errDead = errors.New("the process is dead")

// death is that of one process, at a step; 0: never.
type death struct {
	mu          sync.Mutex
	step, taken int
	after       bool
	state       string // directory
	kept        string // copy of it as it was at the death
}

func (f *death) do(step func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken++
	if f.taken < f.step || f.step == 0 {
		return step()
	}
	if f.taken > f.step {
		return errDead
	}
	if f.after {
		_ = step() // whatever it says, nobody hears it
	}
	if err := os.CopyFS(f.kept, os.DirFS(f.state)); err != nil {
		panic(err)
	}
	return errDead
}

// bury puts the state back, and reports whether the process had lived.
func (f *death) bury(t *testing.T) (alive bool) {
	t.Helper()
	if _, err := os.Stat(f.kept); err != nil {
		return true
	}
	copyDir(t, f.kept, f.state)
	return false
}

type deadlyKeys struct {
	coffer.KeyStore
	f *death
}

func (k deadlyKeys) Save(name string, key coffer.Key) error {
	return k.f.do(func() error { return k.KeyStore.Save(name, key) })
}

func (k deadlyKeys) Delete(name string) error {
	return k.f.do(func() error { return k.KeyStore.Delete(name) })
}

type deadlyStore struct {
	blob.Store
	f *death
}

func (s deadlyStore) Put(ctx context.Context, name string, data []byte) error {
	return s.f.do(func() error { return s.Store.Put(ctx, name, data) })
}

func (s deadlyStore) Delete(ctx context.Context, name string) error {
	return s.f.do(func() error { return s.Store.Delete(ctx, name) })
}

// clouds are destinations in memory, by their texts: hundreds of runs would wait for a disk.
type clouds struct {
	stores map[string]blob.Store
	away   map[string]bool
}

func (c clouds) open(_ context.Context, text string, _ bool) (blob.Store, error) {
	if c.away[text] {
		return nil, fmt.Errorf("%w: %s", blob.ErrUnreachable, text)
	}
	return named{c.stores[text], text}, nil
}

type named struct {
	blob.Store
	name string
}

func (n named) String() string { return n.name }

func (c clouds) clone(t *testing.T) clouds {
	t.Helper()
	clone := newClouds()
	for text, store := range c.stores {
		for info, err := range store.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			data, err := blobtest.Read(t.Context(), store, info.Name)
			if err != nil {
				t.Fatal(err)
			}
			if err := clone.stores[text].Put(t.Context(), info.Name, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	return clone
}

func newClouds() clouds {
	return clouds{map[string]blob.Store{"one": blobtest.Memory(), "two": blobtest.Memory()}, map[string]bool{}}
}

func (c clouds) device(state string, wrap func(blob.Store) blob.Store, keys coffer.KeyStore) *coffer.Device {
	return coffer.OpenDevice(state, coffer.Options{
		Keys:                 keys,
		CanonicalDestination: func(text string) (string, error) { return text, nil },
		OpenDestination: func(ctx context.Context, text string, create bool) (blob.Store, error) {
			store, err := c.open(ctx, text, create)
			if err != nil || wrap == nil {
				return store, err
			}
			return wrap(store), nil
		},
	})
}

// A story is a device with two clouds, in a state from which a run is killed at each step.
type story struct {
	t     *testing.T
	world world
	clouds
	key coffer.Key
}

func (s story) plain() *coffer.Device { return s.device(s.world.state, nil, nil) }

func newStory(t *testing.T) story {
	t.Helper()
	s := story{t, newWorld(t), newClouds(), coffer.NewKey()}
	s.world.setup.Destination, s.world.setup.Also = "one", []string{"two"}
	if err := s.plain().Enable(t.Context(), s.world.setup, s.key); err != nil {
		t.Fatal(err)
	}
	backup(t, s.plain(), coffer.BackupOptions{})
	return s
}

// everyStep lets run die at each step, from the same state, and calls check then.
func (s story) everyStep(run func(*coffer.Device) error, check func(story)) {
	t := s.t
	t.Helper()
	stride := 1
	if testing.Short() {
		stride = 5
	}
	whole := filepath.Join(t.TempDir(), "whole")
	copyDir(t, s.world.dir, whole)
	for _, after := range []bool{false, true} {
		if after {
			stride++ // what is lost and what is persisted show the same next step, but for its one object
		}
		for step, alive := 1, false; !alive; step += stride {
			copyDir(t, whole, s.world.dir)
			now := s
			now.clouds = s.clone(t)
			f := &death{step: step, after: after, state: s.world.state, kept: filepath.Join(t.TempDir(), "kept")}
			err := run(now.device(s.world.state, func(store blob.Store) blob.Store { return deadlyStore{store, f} }, deadlyKeys{coffer.FileKeys(s.world.state), f}))
			if alive = f.bury(t); alive && err != nil {
				t.Fatalf("step %d, after=%v: %v", step, after, err)
			}
			check(now)
			if t.Failed() {
				t.Fatalf("step %d, after=%v, after the run said %v", step, after, err)
			}
			if alive && step < 8 {
				t.Fatalf("only %d steps were found", step-1)
			}
		}
	}
}

// sound proves that each cloud by itself opens with one of the keys and is whole, and returns their states.
func (s story) sound(keys ...coffer.Key) (heads []archive.Head, snapshots []int) {
	t := s.t
	t.Helper()
	for _, text := range []string{"one", "two"} {
		var a *archive.Archive
		var err error
		for _, key := range keys {
			if a, err = archive.Open(t.Context(), s.stores[text], coffer.ID{}, key, archive.Options{}); err == nil || errors.Is(err, archive.ErrRolledBack) {
				break
			}
		}
		if errors.Is(err, archive.ErrRolledBack) { // between the new keyring and the first head under it
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		v, err := a.Verify(t.Context(), archive.VerifyConfig{ReadAll: true})
		if err != nil || len(v.Damage) > 0 {
			t.Errorf("%s: %v, %+v", text, err, v)
		}
		heads, snapshots = append(heads, a.Head()), append(snapshots, len(a.Snapshots()))
		a.Close()
	}
	return heads, snapshots
}

// ends lets the next backup go through, and proves that both clouds hold the same so many snapshots then.
func (s story) ends(key coffer.Key, want int) {
	t := s.t
	t.Helper()
	for name, run := range at(t, s.plain(), coffer.BackupOptions{}) {
		if run.Outcome != coffer.OutcomeOK {
			t.Errorf("%s: %+v", name, run)
		}
	}
	heads, snapshots := s.sound(key)
	// A copy of the chat store has new times, so that the run which was killed may have made a snapshot more.
	if len(heads) != 2 || heads[0] != heads[1] || snapshots[0] < want || snapshots[0] > want+1 {
		t.Errorf("%+v, %d snapshots, want %d", heads, snapshots, want)
	}
}

// TestBackupToBothKilled: both destinations are whole after each death, and the next backup makes them one.
func TestBackupToBothKilled(t *testing.T) {
	s := newStory(t)
	s.world.next(t, "two")
	s.everyStep(func(d *coffer.Device) error {
		_, err := d.Backup(t.Context(), coffer.BackupOptions{})
		return err
	}, func(s story) {
		s.sound(s.key)
		s.ends(s.key, 2)
	})
}

// TestJoinKilled: each destination has a snapshot that the other has not; whenever the run that joins them dies, both are there in the end.
func TestJoinKilled(t *testing.T) {
	s := newStory(t)
	for _, away := range []string{"two", "one"} {
		s.away[away] = true
		s.world.next(t, "without-"+away)
		backup(t, s.plain(), coffer.BackupOptions{})
		s.away["one"], s.away["two"] = true, false
	}
	s.away["one"] = false
	s.everyStep(func(d *coffer.Device) error {
		_, err := d.Backup(t.Context(), coffer.BackupOptions{})
		return err
	}, func(s story) {
		s.sound(s.key)
		s.world.next(t, "end")
		s.ends(s.key, 4)
	})
}

// TestChangeKeyAtBothKilled: whenever it dies, each destination opens with one of the two keys, and the next backup finishes the change at both, or it was
// never promised.
func TestChangeKeyAtBothKilled(t *testing.T) {
	next := parse("2")
	s := newStory(t)
	s.everyStep(func(d *coffer.Device) error { return d.ChangeKey(t.Context(), next) }, func(s story) {
		s.sound(next, s.key)
		s.world.next(t, "two")
		backup(t, s.plain(), coffer.BackupOptions{})
		key, _, err := s.plain().Key(t.Context())
		if err != nil || key != next && key != s.key {
			t.Fatalf("the device has neither key: %v", err)
		}
		s.ends(key, 2)
		for text, store := range s.stores {
			if _, err := archive.Open(t.Context(), store, coffer.ID{}, s.key, archive.Options{}); key == next && !errors.Is(err, archive.ErrWrongKey) {
				t.Errorf("%s: the old key: %v", text, err)
			}
		}
		if _, _, err := s.plain().PendingKey(); !errors.Is(err, coffer.ErrNoKey) {
			t.Errorf("a change is left over: %v", err)
		}
	})
}

// TestFailingDestinationStopsNobody: one of two fails at each of its writes; the snapshot is written, and the next run catches it up.
func TestFailingDestinationStopsNobody(t *testing.T) {
	base := newStory(t)
	whole := filepath.Join(t.TempDir(), "whole")
	base.world.next(t, "two")
	copyDir(t, base.world.dir, whole)
	for _, failing := range []string{"one", "two"} {
		for k, done := 1, false; !done; k++ {
			copyDir(t, whole, base.world.dir)
			s := base
			s.clouds = base.clone(t)
			full := blobtest.FromNth(blobtest.OpPut, k, fmt.Errorf("put: %w", blob.ErrFull))
			runs := at(t, s.device(s.world.state, func(store blob.Store) blob.Store {
				if store.String() != failing {
					return store
				}
				return &blobtest.Faulty{Store: store, Before: full}
			}, nil), coffer.BackupOptions{})
			if done = runs[failing].Outcome == coffer.OutcomeOK; !done && runs[failing].Cause != coffer.CauseFull {
				t.Errorf("put %d at %s: %+v", k, failing, runs)
			}
			s.sound(s.key)
			s.ends(s.key, 2)
			if t.Failed() || k > 50 {
				t.Fatalf("put %d at %s", k, failing)
			}
		}
	}
}
