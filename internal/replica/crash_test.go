// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// At any moment of any load the machine may lose its power, with any part of what was
// not synced. What a core is given afterwards is one moment of the history, whole, and
// no earlier one than what was acknowledged.
func TestCrashLosesNothingAcknowledged(t *testing.T) {
	noLeaks(t)
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewCrashableMem()
		cfg := created(t, fs)
		cfg.Start = newStarts(serving).start
		r := run(t, cfg)
		if err := r.Ready(t.Context()); err != nil {
			rt.Fatal(err)
		}
		var acknowledged atomic.Uint64
		askers, requests := rapid.IntRange(1, 4).Draw(rt, "askers"), rapid.IntRange(1, 20).Draw(rt, "requests")
		crashAt := uint64(rapid.IntRange(0, askers*requests-1).Draw(rt, "crash after"))
		percent, seed := rapid.IntRange(0, 100).Draw(rt, "unsynced percent"), rapid.Uint64().Draw(rt, "seed")
		var crashed *vfs.MemFS
		var atCrash uint64
		var once sync.Once
		crash := func() {
			atCrash = acknowledged.Load() // before the clone: all of these must be in it
			crashed = fs.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 0)),
			})
		}
		var group sync.WaitGroup
		for range askers {
			group.Go(func() {
				for range requests {
					answer, err := r.Handle(t.Context(), []byte("count"))
					n, parseErr := strconv.ParseUint(string(answer), 10, 64)
					if err := errors.Join(err, parseErr); err != nil {
						rt.Error(err)
						return
					}
					raise(&acknowledged, n)
					if n > crashAt {
						once.Do(crash)
					}
				}
			})
		}
		group.Wait()
		if err := r.stop(); err != nil {
			rt.Fatal(err)
		}
		checkState(rt, stored(t, crashed), atCrash)
		checkState(rt, stored(t, fs), uint64(askers*requests)) // and after an orderly end
	})
}

func raise(to *atomic.Uint64, n uint64) {
	for {
		old := to.Load()
		if n <= old || to.CompareAndSwap(old, n) {
			return
		}
	}
}

func checkState(t rapid.TB, state map[string]string, acknowledged uint64) {
	t.Helper()
	n := headOf(state)
	if n < acknowledged {
		t.Errorf("the store is of request %d, and %d was acknowledged", n, acknowledged)
	}
	if !maps.Equal(state, stateAt(n)) {
		t.Errorf("the store claims request %d and holds %d records, not just what that left", n, len(state))
	}
}

// A Create that loses its power leaves a fleet or nothing, and what it leaves does not
// show in the next one's.
func TestCreateIsAllOrNothing(t *testing.T) {
	noLeaks(t)
	fs := vfs.NewCrashableMem()
	var interrupted *vfs.MemFS
	cores := newStarts(func(c *countingCore) error {
		extra := stream.Persist{Puts: []stream.Record{{Key: []byte("of the first try"), Value: []byte("x")}}}
		if err := errors.Join(c.boot(), c.persist(extra)); err != nil {
			return err
		}
		for range 2 {
			if _, err := c.Read(); err != nil { // Durable
				return err
			}
		}
		interrupted = fs.CrashClone(vfs.CrashCloneCfg{})
		return errStopped
	})
	err := Create(t.Context(), Config{Dir: "fleet", FS: fs, Start: cores.start}, []byte("the policy"))
	if err == nil {
		t.Fatal("a core that died made a fleet")
	}
	cores.wait()
	for name, fs := range map[string]*vfs.MemFS{"the core died": fs, "the power went": interrupted} {
		_, err := Open(Config{Dir: "fleet", FS: fs})
		mustBe(t, name+": open", err, ErrNotCreated)
		created(t, fs)
		if state := stored(t, fs); !maps.Equal(state, stateAt(0)) {
			t.Errorf("%s: the second try's fleet has %q", name, state)
		}
	}
}

func TestCreateRefusesAFleet(t *testing.T) {
	noLeaks(t)
	fs := vfs.NewMem()
	cfg := created(t, fs)
	never := func(context.Context) (*stream.Conn, error) {
		t.Error("a core was started")
		return nil, errStopped
	}
	err := Create(t.Context(), Config{Dir: cfg.Dir, FS: fs, Start: never}, []byte("another"))
	mustBe(t, "create", err, ErrExists)
	if state := stored(t, fs); !maps.Equal(state, stateAt(0)) {
		t.Errorf("the fleet has become %q", state)
	}
}

func TestCreateTellsWhatTheCoreDid(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct {
		frame stream.Frame
		want  error
	}{
		{stream.Fatal{Text: "INV-BUDGET"}, ErrCoreFatal},
		{stream.Answer{ID: 1}, ErrProtocol},
		{stream.Bye{}, ErrProtocol},
	} {
		fs := vfs.NewMem()
		cores := newStarts(func(core *countingCore) error {
			err := errors.Join(core.boot(), core.send(c.frame))
			for err == nil {
				_, err = core.Read()
			}
			return err
		})
		cfg := Config{Dir: "fleet", FS: fs, Start: cores.start}
		mustBe(t, "create", Create(t.Context(), cfg, nil), c.want)
		cores.wait()
		_, err := Open(cfg)
		mustBe(t, "open", err, ErrNotCreated)
	}
}

func TestCreateCanBeBrokenOff(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	cores := newStarts(func(c *countingCore) error {
		err := c.boot()
		cancel()
		_, readErr := c.Read() // Durable, perhaps
		_, lastErr := c.Read()
		return errors.Join(err, readErr, lastErr)
	})
	err := Create(ctx, Config{Dir: "fleet", FS: vfs.NewMem(), Start: cores.start}, nil)
	mustBe(t, "create", err, context.Canceled)
	cores.wait()
}

// On a real disk, where the lock is the system's.
func TestOneOwner(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir() + "/fleet"
	cfg := Config{Dir: dir, Start: newStarts(serving).start}
	_, err := Open(cfg)
	mustBe(t, "open of nothing", err, ErrNotCreated)
	if err := Create(t.Context(), cfg, []byte("the policy")); err != nil {
		t.Fatal(err)
	}
	first, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(cfg)
	mustBe(t, "second open", err, ErrLocked)
	mustBe(t, "create", Create(t.Context(), cfg, nil), ErrLocked)
	if first.DiskBytes() == 0 {
		t.Error("the store takes no room")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if size := first.DiskBytes(); size != 0 {
		t.Errorf("a closed store takes %d bytes", size)
	}
	second, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}
