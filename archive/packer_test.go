// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// checkNoLeak fails the test if more goroutines are there at its end than now. Those that are about to end get time for it.
func checkNoLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 500 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		stacks := make([]byte, 1<<20)
		t.Errorf("goroutines before: %d, and now:\n%s", before, stacks[:runtime.Stack(stacks, true)])
	})
}

// addMany lets goroutines add contents of half a megabyte, and returns the first error.
func addMany(p *packer, a *Archive, goroutines, each int) error {
	var g sync.WaitGroup
	var first error
	var once sync.Once
	for i := range goroutines {
		g.Go(func() {
			hasher := a.keyring.Hasher()
			for k := range each {
				content := random(byte(i), 1<<19)
				copy(content, fmt.Sprint(i, k))
				id := hasher.Content(content)
				if !p.claim(id) {
					continue
				}
				if err := p.add(id, content, nil); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	g.Wait()
	return first
}

// TestPackerMemory holds all uploads back until everybody waits: there are never more buffers than allowed.
func TestPackerMemory(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	var uploading, most atomic.Int32
	release := make(chan struct{})
	var once sync.Once
	d.store = &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
		if op == blobtest.OpPut {
			if n := uploading.Add(1); n > most.Load() {
				most.Store(n)
			}
			if n := int(uploading.Load()); n >= packBuffers { // then nobody can go on without one of them
				once.Do(func() { close(release) })
			}
			<-release
			uploading.Add(-1)
		}
		return nil
	}}
	a := d.mustOpen()
	p := a.newPacker(t.Context(), newCatalog())
	defer p.abort()
	must(t, addMany(p, a, 6, 40)) // 120 MiB
	packs, err := p.finish()
	must(t, err)
	if p.buffers > packBuffers || int(most.Load()) > packBuffers || len(p.free) != p.buffers {
		t.Errorf("%d buffers, %d uploads at once, %d free at the end", p.buffers, most.Load(), len(p.free))
	}
	records := 0
	for _, pack := range packs {
		records += len(pack.Records)
	}
	if records != 240 || len(packs) < 8 || len(packs) > 10 {
		t.Errorf("%d contents in %d packs", records, len(packs))
	}
}

// TestPackerFails lets uploads fail and the context end at different moments: everybody who waits gets the cause.
func TestPackerFails(t *testing.T) {
	for k := 1; k <= 5; k++ {
		for _, cancelled := range []bool{false, true} {
			t.Run(fmt.Sprint("upload ", k, ", cancelled ", cancelled), func(t *testing.T) {
				checkNoLeak(t)
				w := newWorld(t)
				d := w.device()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				fault := blobtest.Nth(blobtest.OpPut, k, errFault)
				d.store = &blobtest.Faulty{Store: w.store, Before: func(op, name string) error {
					err := fault(op, name)
					if err != nil && cancelled {
						cancel(err)
						return context.Canceled
					}
					return err
				}}
				a := d.mustOpen()
				p := a.newPacker(ctx, newCatalog())
				wantErr(t, "add", addMany(p, a, 6, 60), errFault)
				_, err := p.finish()
				wantErr(t, "finish", err, errFault)
				p.abort()
			})
		}
	}
}

// TestNoLeaks looks for goroutines that outlive a backup: one that succeeds, fails at any step, or is interrupted.
func TestNoLeaks(t *testing.T) {
	w := newWorld(t)
	w.fill(1)
	w.write("chats.db", random(1, 8192))
	run := func(t *testing.T, hook func(cancel func()) blobtest.Hook) bool {
		checkNoLeak(t)
		d := w.device()
		d.config.Databases = []string{"*.db"}
		faulty := &blobtest.Faulty{Store: cloneStore(t, w.store)}
		d.store = faulty
		a, err := d.open()
		must(t, err)
		defer a.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		faulty.Before = hook(cancel)
		_, err = a.Backup(ctx, BackupConfig{Source: w.src, StateDir: d.state, Databases: []string{"*.db"}})
		return err == nil
	}
	for k := 1; ; k += stride() {
		whole := false
		t.Run(fmt.Sprint("fails at ", k), func(t *testing.T) {
			whole = run(t, func(func()) blobtest.Hook { return blobtest.FromNth("", k, errFault) })
		})
		t.Run(fmt.Sprint("interrupted at ", k), func(t *testing.T) {
			run(t, func(cancel func()) blobtest.Hook {
				calls := 0
				var mu sync.Mutex
				return func(op, name string) error {
					mu.Lock()
					defer mu.Unlock()
					if calls++; calls == k {
						cancel()
					}
					return nil
				}
			})
		})
		if whole {
			break
		}
	}
}

// TestCancelled: a backup that is interrupted says so, leaves no lock, and the next one goes on.
func TestCancelled(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	for i := range byte(6) {
		w.write(fmt.Sprint("video", i), random(i, 8<<20))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user pressed a key")
	d.store = &blobtest.Faulty{Store: w.store, After: func(op, name string) error {
		if op == blobtest.OpPut && strings.Contains(name, "/"+dirPacks) {
			cancel(why)
		}
		return nil
	}}
	_, err := d.mustOpen().Backup(ctx, BackupConfig{Source: w.src, StateDir: d.state})
	wantErr(t, "backup", err, why)
	d.store = w.store
	w.checkNoLock()
	if r := d.mustBackup(); r.ReusedPacks == 0 {
		t.Errorf("%+v", r)
	}
	w.check()
}

// TestFullDestination: a clear error, nothing lost, and the next run goes on where this one stopped.
func TestFullDestination(t *testing.T) {
	for _, cause := range []error{blob.ErrFull, blob.ErrDenied, blob.ErrUnreachable} {
		w := newWorld(t)
		d := w.device()
		tinyFill(w, 1)
		d.mustBackup()
		for i := range byte(6) {
			w.write(fmt.Sprint("video", i), random(i, 8<<20))
		}
		d.store = &blobtest.Faulty{Store: w.store, Before: blobtest.FromNth(blobtest.OpPut, 4, cause)}
		_, err := d.backup()
		wantErr(t, "backup", err, cause)
		d.store = w.store
		w.check()
		r := d.mustBackup()
		if r.ReusedPacks == 0 {
			t.Errorf("%v: %+v", cause, r)
		}
		w.check()
	}
}

// TestSmallBackupFillsOnePack: many goroutines, one small pack.
func TestSmallBackupFillsOnePack(t *testing.T) {
	w := newWorld(t)
	for i := range byte(200) {
		w.write(fmt.Sprint("file", i), random(i, 1000))
	}
	w.device().mustBackup()
	if packs := w.names(dirPacks); len(packs) > openPacks {
		t.Errorf("%d packs", len(packs))
	}
	if !slices.IsSorted(w.names("")) {
		t.Error("names are not sorted")
	}
}
