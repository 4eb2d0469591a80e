// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

var (
	writes = []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileWriteAt}
	syncs  = []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
)

func isLog(op errorfs.Op, kinds []errorfs.OpKind) bool {
	return slices.Contains(kinds, op.Kind) && strings.HasSuffix(op.Path, ".log")
}

// A write or an fsync of the log fails once. The request it was for is not
// acknowledged, no later one is, and what was acknowledged before is there when the
// disk has room again.
//
// Pebble's goroutines outlive this on purpose (see health), so no leak is looked for.
func TestADiskThatFailsStopsTheCore(t *testing.T) {
	for name, kinds := range map[string][]errorfs.OpKind{"write": writes, "sync": syncs} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			cfg := created(t, fs)
			var full atomic.Bool
			cfg.FS = errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if isLog(op, kinds) && full.CompareAndSwap(true, false) {
					return syscall.ENOSPC
				}
				return nil
			}))
			cores := newStarts(serving)
			cfg.Start = cores.start
			r := run(t, cfg)
			r.mustAnswer(t, "1")
			full.Store(true)
			_, err := r.Handle(t.Context(), nil)
			mustBe(t, "the request that did not fit", err, ErrUnavailable)
			err = <-r.result
			mustBe(t, "run", err, ErrStore)
			if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
				t.Errorf("%v does not say why", err)
			}
			_, err = r.Handle(t.Context(), nil)
			mustBe(t, "the next request", err, ErrUnavailable)
			cores.wait()
			if cores.begun != 1 || r.DiskBytes() != 0 {
				t.Errorf("%d lives, %d bytes", cores.begun, r.DiskBytes())
			}
			_, err = Open(cfg)
			mustBe(t, "open while Pebble may still write", err, ErrLocked)
			checkState(t, stored(t, fs.CrashClone(vfs.CrashCloneCfg{})), 1)
		})
	}
}

// Persists that wait for the disk share one fsync, and no Durable comes before it.
func TestPersistsShareAnFsync(t *testing.T) {
	noLeaks(t)
	const count = 10
	var armed atomic.Bool
	var synced atomic.Int32
	reached, release := make(chan struct{}, count), make(chan struct{})
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && isLog(op, syncs) {
			synced.Add(1)
			reached <- struct{}{}
			<-release
		}
		return nil
	}))
	created(t, fs)
	s, err := findStore(Config{Dir: "fleet", FS: fs}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	host, core := stream.Pipe()
	life := newSession(host, s)
	life.boot = func(*stream.Conn) error { return nil }
	read := make(chan struct{})
	life.heard = func(stream.Frame) error { close(read); return nil }
	var durable atomic.Int32
	life.committed = func() { durable.Add(1) }
	result := make(chan error, 1)
	go func() { result <- life.run(t.Context()) }()
	c := countingCore{Conn: core}
	armed.Store(true)
	if err := c.persist(change(1)); err != nil {
		t.Fatal(err)
	}
	<-reached // the first one is in its fsync; the others queue behind it
	for n := uint64(2); n <= count; n++ {
		if err := c.persist(change(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.send(stream.Stats{}); err != nil {
		t.Fatal(err)
	}
	<-read
	if n := durable.Load(); n != 0 {
		t.Errorf("%d Durables before the fsync", n)
	}
	close(release)
	for want := uint64(1); want <= count; want++ {
		if f, err := c.Read(); err != nil || f != (stream.Durable{Seq: want}) {
			t.Fatalf("%+v, %v; want Durable %d", f, err, want)
		}
	}
	if n := synced.Load(); n != 2 {
		t.Errorf("%d fsyncs for %d Persists, one and then all the others", n, count)
	}
	if err := core.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil {
		t.Error("a session outlived its connection")
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	checkState(t, stored(t, fs), count)
}
