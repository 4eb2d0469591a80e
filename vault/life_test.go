// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// TestStory: what a user gets, with a restart of the vault between any two steps.
func TestStory(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.create()
		w.start()
		k := [32]byte{1, 2, 3}
		id := w.register("alice", "correct horse battery", &k)
		w.restart()
		if _, err := w.client("alice").Recover(t.Context(), "wrong horse battery", id); !isWrong(err) {
			t.Fatalf("a wrong password: %v", err)
		}
		w.restart()
		if left := w.guessesLeft("alice"); left != 9 {
			t.Fatalf("%d guesses left", left)
		}
		r, err := w.client("alice").Recover(t.Context(), "correct horse battery", id)
		if err != nil || r.K != k {
			t.Fatalf("the right password: %v, the key is the same: %v", err, err == nil && r.K == k)
		}
		w.restart()
		if left := w.guessesLeft("alice"); left != 10 {
			t.Fatalf("%d guesses left after the proof", left)
		}
		if _, err := w.clientAs("alice", token.Companion).Recover(t.Context(), "correct horse battery", id); !errors.Is(err, recovery.ErrNotPrimary) {
			t.Fatalf("a companion: %v", err)
		}
		if s := w.vault.Status(); s.DiskBytes == 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// TestCoreKilled: the core's process dies in the middle of work, and another one goes on with nothing lost.
func TestCoreKilled(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		if len(w.config.Command) == 0 {
			t.Skip("a core in this process dies with it alone")
		}
		w.create()
		w.start()
		k := [32]byte{7}
		id := w.register("alice", "correct horse battery", &k)
		for left := 9; left > 6; left-- {
			if _, err := w.client("alice").Recover(t.Context(), "wrong", id); !isWrong(err) {
				t.Fatal(err)
			}
			w.killCore()
			if err := w.vault.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.guessesLeft("alice"); got != left {
				t.Fatalf("%d guesses left, want %d", got, left)
			}
		}
	})
}

// TestManyAtOnce: accounts work side by side, through rotations; what was acknowledged is there after a restart.
func TestManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.config.RotateEntries = 20
		w.create()
		w.start()
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				c, k := w.client(fmt.Sprint("user-", n)), [32]byte{byte(n)}
				id, _, err := c.Register(t.Context(), &k, "correct horse battery", recovery.RegisterOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				for g := range uint64(4) {
					f := wire.Freshness{Archive: wire.ArchiveID{byte(n)}, Generation: g + 1}
					if err := c.PutFreshness(t.Context(), id, &k, f); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		w.restart()
		for n := range 8 {
			s := w.status(fmt.Sprint("user-", n))
			if len(s.Registrations) != 1 || len(s.Registrations[0].Freshness) != 1 || s.Registrations[0].Freshness[0].Generation != 4 {
				t.Errorf("user-%d has %+v", n, s.Registrations)
			}
		}
	})
}

// TestGuessedAtOnce: guesses that come together are ordered; none is free.
func TestGuessedAtOnce(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.create()
		w.start()
		k := [32]byte{7}
		id := w.register("alice", "correct horse battery", &k)
		var all sync.WaitGroup
		var mu sync.Mutex
		evaluated := 0
		for n := range 6 {
			c := w.client("alice")
			all.Go(func() {
				if _, err := c.Recover(t.Context(), fmt.Sprint("wrong", n), id); isWrong(err) {
					mu.Lock()
					defer mu.Unlock()
					evaluated++
				}
			})
		}
		all.Wait()
		if left := w.guessesLeft("alice"); evaluated == 0 || left != 10-evaluated {
			t.Fatalf("%d guesses were evaluated, %d are left", evaluated, left)
		}
	})
}

func TestCreateAndOpen(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		if _, err := Open(w.config); !errors.Is(err, ErrNotCreated) {
			t.Errorf("open before create: %v", err)
		}
		w.create()
		if err := Create(t.Context(), w.config, &w.policy); !errors.Is(err, ErrExists) {
			t.Errorf("a second create: %v", err)
		}
		w.start()
		if _, err := Open(w.config); !errors.Is(err, ErrLocked) {
			t.Errorf("a second open: %v", err)
		}
		if err := Create(t.Context(), w.config, &w.policy); !errors.Is(err, ErrLocked) {
			t.Errorf("a create while it runs: %v", err)
		}
	})
}

// TestCreateInterrupted: a create that was stopped anywhere leaves no fleet, and the next one makes a whole one.
func TestCreateInterrupted(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Create(ctx, w.config, &w.policy); !errors.Is(err, context.Canceled) {
			t.Fatalf("a create that was cancelled: %v", err)
		}
		if _, err := Open(w.config); !errors.Is(err, ErrNotCreated) {
			t.Fatalf("open after it: %v", err)
		}
		w.create()
		w.start()
		k := [32]byte{7}
		w.register("alice", "correct horse battery", &k)
	})
}

// TestMissingStore: a new fleet never takes the keys of one whose store is only away.
func TestMissingStore(t *testing.T) {
	w := newWorld(t, nil)
	w.create()
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(w.config.storeDir(), away); err != nil {
		t.Fatal(err)
	}
	if err := Create(t.Context(), w.config, &w.policy); !errors.Is(err, ErrStoreMissing) {
		t.Fatalf("a create without the store: %v", err)
	}
	if err := os.RemoveAll(w.config.storeDir()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, w.config.storeDir()); err != nil {
		t.Fatal(err)
	}
	if err := w.config.mark(); err != nil { // as a Create leaves it that is killed at its very end
		t.Fatal(err)
	}
	w.start()
	if marked, err := w.config.marked(); marked || err != nil {
		t.Errorf("the mark is still there: %v, %v", marked, err)
	}
}

// TestCreateKilled: what a Create that was killed left in the sealer does not stop the next one.
func TestCreateKilled(t *testing.T) {
	w := newWorld(t, nil)
	w.create()
	if err := os.RemoveAll(w.config.storeDir()); err != nil {
		t.Fatal(err)
	}
	if err := w.config.mark(); err != nil {
		t.Fatal(err)
	}
	w.create()
	w.start()
}

func TestBadPolicy(t *testing.T) {
	w := newWorld(t, nil)
	w.policy.Budget = 0
	if err := Create(t.Context(), w.config, &w.policy); err == nil {
		t.Error("a policy without guesses was accepted")
	}
	if _, err := os.Stat(w.config.Dir); !os.IsNotExist(err) {
		t.Error("a create that was refused left a folder")
	}
}

// TestOldStore: a store from before a snapshot cannot be started again, because its key is gone, and no other core is tried.
func TestOldStore(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.config.RotateEntries = 5
		w.create()
		old := filepath.Join(t.TempDir(), "old")
		if err := os.CopyFS(old, os.DirFS(w.config.storeDir())); err != nil {
			t.Fatal(err)
		}
		w.start()
		k := [32]byte{7}
		for n := range 4 {
			w.register(fmt.Sprint(n), "correct horse battery", &k)
		}
		for w.vault.Status().Epoch < 2 { // the core tells it every second
			if err := w.vault.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.status("0")
		}
		if err := w.halt(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(w.config.storeDir()); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(w.config.storeDir(), os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
		if err := w.tryStart(); err != nil {
			t.Fatal(err)
		}
		if err := w.vault.Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("an old store: ready %v", err)
		}
		if err := w.halt(); !errors.Is(err, ErrCoreFatal) || !strings.Contains(err.Error(), "no such key") {
			t.Fatalf("an old store: %v", err)
		}
	})
}
