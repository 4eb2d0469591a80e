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
)

// Setting up and changing the key touch three places: the key store, the destination, the state
// directory. These tests kill the process before and after every step on the first two, between
// which all steps on the third lie; then a new process goes on, and one checker looks at everything.

// fuse kills the process at one step.
type fuse struct {
	step  int  // the step to die at, from 1; 0: never
	after bool // the step happens, but nobody hears of it
	taken int
}

type killed struct{}

// do takes one step. A process that is dead takes no more.
func (f *fuse) do(step func() error) error {
	f.taken++
	if f.taken != f.step {
		return step()
	}
	if f.after {
		if err := step(); err != nil {
			panic(err)
		}
	}
	panic(killed{})
}

type mortalKeys struct {
	coffer.KeyStore
	fuse *fuse
}

func (k mortalKeys) Save(name string, key coffer.Key) error {
	return k.fuse.do(func() error { return k.KeyStore.Save(name, key) })
}

func (k mortalKeys) Delete(name string) error {
	return k.fuse.do(func() error { return k.KeyStore.Delete(name) })
}

type mortalStore struct {
	blob.Store
	fuse *fuse
}

func (s mortalStore) Put(ctx context.Context, name string, data []byte) error {
	return s.fuse.do(func() error { return s.Store.Put(ctx, name, data) })
}

func (s mortalStore) Delete(ctx context.Context, name string) error {
	return s.fuse.do(func() error { return s.Store.Delete(ctx, name) })
}

// process is a device whose process dies when the fuse blows.
func (w world) process(f *fuse) *coffer.Device {
	return coffer.OpenDevice(w.state, coffer.Options{
		Keys: mortalKeys{coffer.FileKeys(w.state), f},
		OpenDestination: func(ctx context.Context, destination string, create bool) (blob.Store, error) {
			store, err := coffer.OpenDestination(ctx, destination, create)
			return mortalStore{store, f}, err
		},
	})
}

// survives runs f and reports whether the process lived.
func survives(f func()) (alive bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			alive = false
		}
	}()
	f()
	return true
}

// everyDeath calls run with a fuse for each step that it takes, lost and persisted, until it lives through.
func everyDeath(t *testing.T, run func(t *testing.T, f *fuse) (alive bool)) {
	for _, after := range []bool{false, true} {
		for step, alive := 1, false; !alive; step++ {
			f := &fuse{step: step, after: after}
			t.Run(fmt.Sprintf("step %d, after=%v", step, after), func(t *testing.T) { alive = run(t, f) })
			if t.Failed() {
				return
			}
			if alive && step < 3 {
				t.Fatalf("only %d steps were found", step-1)
			}
		}
	}
}

func TestEnableKilled(t *testing.T) {
	everyDeath(t, func(t *testing.T, f *fuse) bool {
		w := newWorld(t)
		first := coffer.NewKey()
		alive := survives(func() {
			if err := w.process(f).Enable(t.Context(), w.setup, first); err != nil {
				t.Fatal(err)
			}
		})

		// The next process tries again with another key, as the command line would.
		d, second := w.device(), coffer.NewKey()
		_, err := d.Prepare(t.Context(), w.setup)
		switch {
		case errors.Is(err, coffer.ErrEnabled):
			w.opensWith(t, first)
		case err != nil:
			t.Fatalf("the set-up cannot be tried again: %v", err)
		default:
			if err := d.Enable(t.Context(), w.setup, second); err != nil {
				t.Fatalf("the set-up cannot be tried again: %v", err)
			}
			w.opensWith(t, second)
		}
		w.check(t)
		return alive
	})
}

func TestEnableKilledThenElsewhere(t *testing.T) {
	everyDeath(t, func(t *testing.T, f *fuse) bool {
		w := newWorld(t)
		alive := survives(func() {
			if err := w.process(f).Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
				t.Fatal(err)
			}
		})
		if alive {
			return true
		}
		// The user chooses another destination. The key of the first is not lost.
		other := w.setup
		other.Destination = filepath.Join(w.dir, "other")
		key := coffer.NewKey()
		if err := w.device().Enable(t.Context(), other, key); err != nil {
			t.Fatalf("the set-up cannot be tried elsewhere: %v", err)
		}
		w.setup = other
		w.opensWith(t, key)
		w.check(t)
		return false
	})
}

func TestChangeKeyKilled(t *testing.T) {
	for _, resume := range []struct {
		name string
		run  func(ctx context.Context, d *coffer.Device) error
	}{
		{"by a backup", func(ctx context.Context, d *coffer.Device) error {
			_, err := d.Backup(ctx, coffer.BackupOptions{})
			return err
		}},
		{"by showing the key", func(ctx context.Context, d *coffer.Device) error {
			_, _, err := d.Key(ctx)
			return err
		}},
		{"by another change", func(ctx context.Context, d *coffer.Device) error {
			return d.ChangeKey(ctx, parse("9"))
		}},
	} {
		t.Run(resume.name, func(t *testing.T) {
			everyDeath(t, func(t *testing.T, f *fuse) bool {
				w := newWorld(t)
				first, second := parse("1"), parse("2")
				d := w.device()
				if err := d.Enable(t.Context(), w.setup, first); err != nil {
					t.Fatal(err)
				}
				if _, err := d.Backup(t.Context(), coffer.BackupOptions{}); err != nil {
					t.Fatal(err)
				}
				alive := survives(func() {
					if err := w.process(f).ChangeKey(t.Context(), second); err != nil {
						t.Fatal(err)
					}
				})
				// Reading works in whatever state it is, and settles nothing.
				if a, err := w.device().Open(t.Context(), false); err != nil {
					t.Fatalf("reading: %v", err)
				} else if len(a.Snapshots()) != 1 {
					t.Errorf("%d snapshots, want 1", len(a.Snapshots()))
				}
				if err := resume.run(t.Context(), w.device()); err != nil {
					t.Fatal(err)
				}
				key, _, err := w.device().Key(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want := []coffer.Key{second}
				if !alive && f.step == 1 && !f.after {
					want = []coffer.Key{first} // it died before anything happened
				}
				if resume.name == "by another change" {
					want = []coffer.Key{parse("9")}
				}
				if !slices.Contains(want, key) {
					t.Error("the device has neither the key that was promised nor one that was never announced")
				}
				if key != first {
					w.refuses(t, first)
				}
				w.opensWith(t, key)
				w.check(t)
				return alive
			})
		})
	}
}

func parse(digit string) coffer.Key {
	key, err := coffer.ParseKey(strings.Repeat(digit, 64))
	if err != nil {
		panic(err)
	}
	return key
}

// check is what must hold after every story: the device is set up and backs up, what it backs up comes back,
// no change of the key is left over, and every archive at a destination opens with a key that this device has.
func (w world) check(t *testing.T) {
	t.Helper()
	d := w.device()
	config, err := d.Config()
	if err != nil {
		t.Fatalf("the device is not set up: %v", err)
	}
	if _, err := d.Backup(t.Context(), coffer.BackupOptions{}); err != nil {
		t.Fatalf("backup: %v", err)
	}
	key, _, err := d.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, err := coffer.OpenArchive(t.Context(), w.setup.Destination, config.Archive, key)
	if err != nil {
		t.Fatalf("the device's key does not open its archive: %v", err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := a.Restore(t.Context(), archive.RestoreConfig{Snapshot: "latest", Dir: out}); err != nil {
		t.Fatalf("restore: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(out, "note")); err != nil || string(data) != "hello" {
		t.Errorf("restored %q, %v", data, err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.state, "*-next.key")); len(left) > 0 {
		t.Errorf("a change of the key is left over: %v", left)
	}
	for _, name := range []string{"dest", "other"} {
		w.noOrphan(t, filepath.Join(w.dir, name))
	}
}

func (w world) noOrphan(t *testing.T, destination string) {
	t.Helper()
	store, err := coffer.OpenDestination(t.Context(), destination, true)
	if err != nil {
		t.Fatal(err)
	}
	found, err := archive.Find(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(w.state, "*.key"))
	if err != nil || len(names) == 0 {
		t.Fatalf("keys: %v, %v", names, err)
	}
	for _, f := range found {
		opens := slices.ContainsFunc(names, func(name string) bool {
			key, err := coffer.FileKeys(w.state).Load(strings.TrimSuffix(filepath.Base(name), ".key"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = coffer.OpenArchive(t.Context(), destination, f.ID, key)
			return err == nil
		})
		if !opens {
			t.Errorf("no key of this device opens the archive %s at %s", f.ID, destination)
		}
	}
}

func (w world) opensWith(t *testing.T, key coffer.Key) {
	t.Helper()
	if _, err := coffer.OpenArchive(t.Context(), w.setup.Destination, coffer.ID{}, key); err != nil {
		t.Errorf("a key that the user was shown does not open the archive: %v", err)
	}
}

func (w world) refuses(t *testing.T, key coffer.Key) {
	t.Helper()
	if _, err := coffer.OpenArchive(t.Context(), w.setup.Destination, coffer.ID{}, key); !errors.Is(err, archive.ErrWrongKey) {
		t.Errorf("the old key after the change: %v, want ErrWrongKey", err)
	}
}
