// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// shelf makes an archive with contents of all sizes in several packs. It returns them by their ids, and where they are.
func shelf(t *testing.T) (w *world, a *Archive, contents map[format.ContentID][]byte) {
	w = newWorld(t)
	f := w.forger()
	contents = map[format.ContentID][]byte{}
	for i, size := range []int{1, 5, 100, 1000, 30_000, 100_000, 100_001, 1 << 20, 3 << 20, 4 << 20, 4 << 20, 70_000, 10, 11, 12, 2 << 20, 900_000} {
		data := random(byte(i), size)
		contents[f.content(data)] = data
	}
	contents[f.content(make([]byte, 4<<20))] = make([]byte, 4<<20) // compressed
	f.snapshot([]format.Entry{forgedDir("")})
	must(t, f.a.useCatalog(t.Context()))
	return w, f.a, contents
}

// TestFetch compares random wants with what naive reads bring.
func TestFetch(t *testing.T) {
	w, a, contents := shelf(t)
	rng := rand.New(rand.NewPCG(seed(t), 2))
	ids := slices.SortedFunc(maps.Keys(contents), func(x, y format.ContentID) int { return bytes.Compare(x[:], y[:]) })
	for range 50 {
		var wants []want
		var wanted []format.ContentID
		for range rng.IntN(60) {
			id := ids[rng.IntN(1+rng.IntN(len(ids)))]
			wants = append(wants, want{a.catalog.contents[id], id, uint32(len(wanted)), rng.Uint32()})
			wanted = append(wanted, id)
		}
		parts := map[uint32]uint32{}
		for _, want := range wants {
			parts[want.what] = want.part
		}
		store := &blobtest.Faulty{Store: w.store}
		a.store = store
		var mu sync.Mutex
		taken := map[uint32]bool{}
		must(t, a.fetch(t.Context(), wants, func(got want, content []byte, err error) error {
			mu.Lock()
			defer mu.Unlock()
			if err != nil || !bytes.Equal(content, contents[wanted[got.what]]) || got.part != parts[got.what] || taken[got.what] {
				t.Errorf("want %d: %d bytes, %v", got.what, len(content), err)
			}
			taken[got.what] = true
			return nil
		}))
		if len(taken) != len(wanted) {
			t.Fatalf("%d of %d wants were taken", len(taken), len(wanted))
		}
		distinct := map[format.ContentID]bool{}
		var size int64
		for _, id := range wanted {
			if !distinct[id] {
				size += a.catalog.contents[id].sealed()
			}
			distinct[id] = true
		}
		if ops := store.Ops()[blobtest.OpReadAt]; ops > len(distinct) {
			t.Errorf("%d reads for %d contents", ops, len(distinct))
		}
		if read := store.Bytes()[blobtest.OpReadAt]; read > size+int64(len(distinct))*fetchGap {
			t.Errorf("%d bytes were read for %d", read, size)
		}
	}
}

// TestFetchCoalesces: what lies together comes with one read.
func TestFetchCoalesces(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	var ids []format.ContentID
	for i := range 100 {
		ids = append(ids, f.content(random(byte(i), 1000)))
	}
	f.snapshot([]format.Entry{forgedDir("")})
	must(t, f.a.useCatalog(t.Context()))
	store := &blobtest.Faulty{Store: w.store}
	f.a.store = store
	var wants []want
	for i, id := range ids {
		wants = append(wants, want{f.a.catalog.contents[id], id, uint32(i), 0})
	}
	must(t, f.a.fetch(t.Context(), wants, func(want, []byte, error) error { return nil }))
	if ops := store.Ops()[blobtest.OpReadAt]; ops != 1 {
		t.Errorf("%d reads", ops)
	}
}

// TestFetchDamage: of contents that are read together, only those get an error that are not there.
func TestFetchDamage(t *testing.T) {
	w, a, contents := shelf(t)
	rng := rand.New(rand.NewPCG(seed(t), 3))
	badSector := func(name string, from, to int64) blob.Store {
		return &sectors{w.store, name, from, to}
	}
	for round := range 24 {
		pack := rng.IntN(len(a.catalog.packs))
		name := a.packName(uint32(pack))
		size := int64(a.catalog.packs[pack].Size)
		from := rng.Int64N(size)
		to := from + 1 + rng.Int64N(min(size-from, 5000))
		damages := []func() blob.Store{
			func() blob.Store { return badSector(name, from, to) },
			func() blob.Store { // truncated
				to = size
				c := cloneStore(t, w.store)
				must(t, blobtest.Corrupt(t.Context(), c, name, func(b []byte) []byte { return b[:from] }))
				return c
			},
			func() blob.Store { // altered
				c := cloneStore(t, w.store)
				must(t, blobtest.Corrupt(t.Context(), c, name, func(b []byte) []byte {
					for i := from; i < to; i++ {
						b[i] ^= 0x55
					}
					return b
				}))
				return c
			},
			func() blob.Store { // missing
				from, to = 0, size
				c := cloneStore(t, w.store)
				must(t, c.Delete(t.Context(), name))
				return c
			},
		}
		a.store = guard(damages[round%len(damages)]())
		var wants []want
		var wanted []format.ContentID
		for id := range contents {
			wants = append(wants, want{a.catalog.contents[id], id, uint32(len(wanted)), 0})
			wanted = append(wanted, id)
		}
		var mu sync.Mutex
		must(t, a.fetch(t.Context(), wants, func(got want, content []byte, err error) error {
			mu.Lock()
			defer mu.Unlock()
			begin, end := int64(got.offset), int64(got.offset)+got.sealed()
			hit := got.pack == uint32(pack) && begin < to && end > from
			if (err != nil) != hit || err == nil && !bytes.Equal(content, contents[wanted[got.what]]) || err != nil && !lost(err) {
				t.Errorf("round %d: bytes %d to %d are damaged, those from %d to %d: %v", round, from, to, begin, end, err)
			}
			return nil
		}))
	}
}

// sectors fails at some bytes of one object, as a bad disk does.
type sectors struct {
	blob.Store
	name     string
	from, to int64
}

var errBadSector = errors.New("input/output error")

func (s *sectors) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if name == s.name && off < s.to && off+int64(len(p)) > s.from {
		n := max(0, s.from-off)
		if _, err := s.Store.ReadAt(ctx, name, p[:n], off); err != nil {
			return 0, err
		}
		return int(n), errBadSector
	}
	return s.Store.ReadAt(ctx, name, p, off)
}

// TestFetchEnds: an error of the taker, of the destination, or a cancellation ends it, and no goroutine stays.
func TestFetchEnds(t *testing.T) {
	w, a, contents := shelf(t)
	var wants []want
	for id := range contents {
		wants = append(wants, want{a.catalog.contents[id], id, 0, 0})
	}
	before := runtime.NumGoroutine()
	stop := errors.New("stop")
	err := a.fetch(t.Context(), slices.Clone(wants), func(want, []byte, error) error { return stop })
	wantErr(t, "the taker's error", err, stop)
	ctx, cancel := context.WithCancel(t.Context())
	var taken atomic.Int64
	err = a.fetch(ctx, slices.Clone(wants), func(want, []byte, error) error { cancel(); taken.Add(1); return nil })
	if err == nil && int(taken.Load()) < len(wants) || err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v, %d of %d were taken", err, taken.Load(), len(wants))
	}
	err = a.fetch(ctx, slices.Clone(wants), func(want, []byte, error) error { return nil })
	wantErr(t, "cancelled before", err, context.Canceled)
	a.store = &blobtest.Faulty{Store: w.store, Before: func(string, string) error { return blob.ErrUnreachable }}
	err = a.fetch(t.Context(), slices.Clone(wants), func(_ want, _ []byte, err error) error { return err })
	wantErr(t, "unreachable", err, blob.ErrUnreachable)
	waitGoroutines(t, before)
}

// waitGoroutines waits until no more goroutines run than before.
func waitGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	buf := make([]byte, 64<<10)
	t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
}

// TestDumpReadsLittle: of a file only its segments are read, and what leads to it.
func TestDumpReadsLittle(t *testing.T) {
	w := newWorld(t)
	d := w.device()
	d.copy = copyFile
	for i := range byte(50) {
		w.write(fmt.Sprintf("media/%02d", i), random(i, 200_000))
	}
	w.write("big.db", database(2000, nil))
	d.mustBackup()
	a := d.mustOpen()
	s, err := a.Snapshot(t.Context(), "")
	must(t, err)
	store := &blobtest.Faulty{Store: w.store}
	a.store = store
	if got := dumped(t, s, "media/17"); !bytes.Equal(got, random(17, 200_000)) {
		t.Error("media/17 is dumped wrong")
	}
	if read, ops := store.Bytes()[blobtest.OpReadAt], store.Ops()[blobtest.OpReadAt]; read > 210_000 || ops > 2 {
		t.Errorf("for 200,000 bytes, %d were read in %d reads", read, ops)
	}
	if got := dumped(t, s, "big.db"); !bytes.Equal(got, database(2000, nil)) {
		t.Error("big.db is dumped wrong")
	}
	for _, path := range []string{"", "media", "media/", "none", "media/17/x", "../x"} {
		wantErr(t, path, s.Dump(t.Context(), path, &bytes.Buffer{}), ErrNoPath)
	}
	must(t, s.Dump(t.Context(), "/media/17/", &bytes.Buffer{}))
	full := errors.New("full")
	wantErr(t, "a writer's error", s.Dump(t.Context(), "big.db", failingWriter{full}), full)
	wantErr(t, "a writer's error", s.Dump(t.Context(), "media/17", failingWriter{full}), full)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
