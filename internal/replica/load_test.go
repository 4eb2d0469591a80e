// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// fill puts count records with values of size random bytes into a new store.
func fill(tb testing.TB, cfg Config, count, size int) *store {
	tb.Helper()
	s, err := makeStore(cfg.withDefaults())
	if err != nil {
		tb.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{})
	for n := 0; n < count; {
		var change stream.Persist
		for ; n < count && len(change.Puts) < 5000; n++ {
			value := make([]byte, size)
			_, _ = random.Read(value) // never fails
			change.Puts = append(change.Puts, stream.Record{Key: binary.BigEndian.AppendUint64(nil, uint64(n)), Value: value})
		}
		if err := s.commit(change); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// What is stored goes to the core as it reads: the host is never further ahead than
// what a connection buffers, however much is stored.
func TestLoadsAreStreamed(t *testing.T) {
	noLeaks(t)
	const (
		count, size = 8000, 1000
		ahead       = (1<<20 + 2*64<<10) / size // records in a Pipe and the buffers of its two ends
	)
	s := fill(t, Config{Dir: "fleet", FS: vfs.NewMem()}, count, size)
	host, core := stream.Pipe()
	var read, sent atomic.Int64
	result := make(chan error, 1)
	go func() {
		result <- errors.Join(s.each(func(key, value []byte) error {
			if n := sent.Add(1); n > read.Load()+ahead {
				return fmt.Errorf("record %d is sent before %d is read", n, n-ahead)
			}
			return host.Write(stream.Load{Key: key, Value: value})
		}), host.Flush(), host.Close())
	}()
	for n := range uint64(count) {
		read.Add(1) // before, for the host may be quicker than this line
		f, err := core.Read()
		if load, ok := f.(stream.Load); err != nil || !ok || binary.BigEndian.Uint64(load.Key) != n || len(load.Value) != size {
			t.Errorf("record %d: %T, %v", n, f, err)
			break
		}
	}
	mustBe(t, "closing", core.Close(), nil)
	mustBe(t, "sending", <-result, nil)
	mustBe(t, "the store", s.close(), nil)
}

// BenchmarkLoad is a boot, up to LoadEnd, of a million records.
func BenchmarkLoad(b *testing.B) {
	const count, size = 1_000_000, 400
	s := fill(b, Config{Dir: b.TempDir()}, count, size)
	defer s.close()
	b.SetBytes(count * size)
	b.ReportMetric(float64(s.diskBytes())/count, "disk-B/record")
	r := &Replica{store: s}
	for b.Loop() {
		host, core := stream.Pipe()
		sent := make(chan error, 1)
		go func() {
			err := r.load(host)
			if err == nil {
				err = host.Flush()
			}
			sent <- err
		}()
		loaded := 0
		for ; ; loaded++ {
			f, err := core.Read()
			if err != nil {
				b.Fatal(err)
			}
			if _, ok := f.(stream.LoadEnd); ok {
				break
			}
		}
		if err := <-sent; err != nil || loaded != count {
			b.Fatal(loaded, err)
		}
		core.Close()
	}
}
