// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// deepDir makes the store's folder, the ones above it too, a matter of durability.
const deepDir = "machine/state/fleet"

// story is the whole of what a store lives through: a fleet is made, serves, ends in
// order, and serves again. It ends at its first error. acknowledged is -1 until
// Create returned, then the last request that was answered.
func story(fs vfs.FS, acknowledged *atomic.Int64) error {
	acknowledged.Store(-1)
	cores := newStarts(serving)
	cfg := Config{Dir: deepDir, FS: fs, Start: cores.start}
	if err := Create(context.Background(), cfg, []byte("the policy")); err != nil {
		return err
	}
	for range 2 {
		acknowledged.CompareAndSwap(-1, 0)
		if err := serveSome(cfg, acknowledged); err != nil {
			return err
		}
	}
	return nil
}

func serveSome(cfg Config, acknowledged *atomic.Int64) error {
	r, err := Open(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- r.Run(ctx) }()
	err = r.Ready(ctx)
	for range 4 {
		if err == nil {
			_, err = r.Handle(ctx, nil)
		}
		if err == nil {
			acknowledged.Add(1)
		}
	}
	cancel()
	if runErr := <-result; runErr != nil {
		return runErr // it says why
	}
	return err
}

// checkMoment checks a store that is found after a moment of the story: the fleet is
// there and whole, or it was never said to be, and can be made.
func checkMoment(t *testing.T, moment int, fs *vfs.MemFS, acknowledged int64) {
	t.Helper()
	life := &countingCore{}
	cfg := Config{Dir: deepDir, FS: fs, Start: newStarts(func(c *countingCore) error { life = c; return c.serve() }).start}
	s, err := findStore(cfg.withDefaults())
	if err == nil {
		var found bool
		if found, err = s.created(); err == nil && !found {
			err = ErrNotCreated
		}
		err = errors.Join(err, s.close())
	}
	if errors.Is(err, ErrNotCreated) && acknowledged < 0 {
		if err := Create(t.Context(), cfg, []byte("the policy")); err != nil {
			t.Errorf("moment %d: Create after an interrupted one: %v", moment, err)
			return
		}
		err = nil
	}
	if err != nil {
		t.Errorf("moment %d, %d acknowledged: %v", moment, acknowledged, err)
		return
	}
	var none atomic.Int64
	if err := serveSome(cfg, &none); err != nil {
		t.Errorf("moment %d: %v", moment, err)
		return
	}
	if n := headOf(life.state); int64(n) < acknowledged || !maps.Equal(life.state, stateAt(n)) {
		t.Errorf("moment %d: the store claims request %d and holds %d records; %d was acknowledged",
			moment, n, len(life.state), acknowledged)
	}
}

// hooked calls hook before each change of fs.
func hooked(fs vfs.FS, hook func(errorfs.Op) error) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		return hook(op)
	}))
}

// The power goes before each change of the disk. What was not synced is gone; at the
// changes of the log, where Pebble needs no order, some or most of it stays as well.
// Elsewhere it counts, as we do, on a file system that keeps a folder's order.
func TestThePowerGoesAtEveryMoment(t *testing.T) {
	noLeaks(t)
	type found struct {
		fs           *vfs.MemFS
		acknowledged int64
	}
	var (
		mu           sync.Mutex
		moments      []found
		acknowledged atomic.Int64
	)
	fs := vfs.NewCrashableMem()
	err := story(hooked(fs, func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for _, percent := range []int{0, 20, 70} {
			if percent > 0 && !isLog(op, slices.Concat(writes, syncs)) {
				break
			}
			before := acknowledged.Load() // all of these must be in the clone
			moments = append(moments, found{fs.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(len(moments)), 0)),
			}), before})
		}
		return nil
	}), &acknowledged)
	mustBe(t, "the story", err, nil)
	t.Logf("%d moments", len(moments))
	for n, m := range moments {
		checkMoment(t, n, m.fs, m.acknowledged)
	}
	checkMoment(t, len(moments), fs, 8)
}

// Each change of the disk fails, once. Pebble may do without it; if not, the story
// ends with ErrStore, and nothing that was acknowledged is lost.
//
// Pebble's goroutines outlive this on purpose (see health), so no leak is looked for.
func TestTheDiskFailsAtEveryMoment(t *testing.T) {
	failures := 0
	for moment, reached := int64(0), true; reached; moment++ {
		var seen, acknowledged atomic.Int64
		files := vfs.NewCrashableMem()
		err := story(hooked(files, func(op errorfs.Op) error {
			if seen.Add(1) == moment+1 {
				return &fs.PathError{Op: op.Kind.ReadOrWrite().String(), Path: op.Path, Err: syscall.ENOSPC}
			}
			return nil
		}), &acknowledged)
		reached = seen.Load() > moment
		if err != nil {
			failures++
			if !errors.Is(err, ErrStore) || !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
				t.Errorf("moment %d: %v", moment, err)
			}
		}
		checkMoment(t, int(moment), files.CrashClone(vfs.CrashCloneCfg{}), acknowledged.Load())
	}
	if failures == 0 {
		t.Error("no failure reached the story")
	}
	t.Logf("%d failures", failures)
}
