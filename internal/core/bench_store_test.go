// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/internal/replica"
	"github.com/coffer-backup/coffer/wire"
)

// BenchmarkStore fills a core whose host is the real one, with its store on the disk, and restarts it. It reports what an account
// takes of the disk, and how long a restart takes from opening the store to serving.
func BenchmarkStore(b *testing.B) {
	for b.Loop() {
		h := &storeHost{host: newHost(b, nil), ready: make(chan struct{}, 1)}
		config := replica.Config{Dir: filepath.Join(b.TempDir(), "store"), Start: h.start}
		if err := replica.Create(b.Context(), config, h.policy.Append(nil)); err != nil {
			b.Fatal(err)
		}
		h.accounts = *benchAccounts
		h.run(b, config)
		b.ReportMetric(folderSize(b, config.Dir)/float64(*benchAccounts), "disk-B/account")
		h.accounts = 0
		began := time.Now()
		h.run(b, config)
		b.ReportMetric(time.Since(began).Seconds(), "s/restart")
	}
}

// storeHost is runner and sealer of a core whose disk is a replica's.
type storeHost struct {
	*host
	conn     *stream.Conn
	accounts int // to fill in
	ready    chan struct{}
	creating bool
}

// run opens the store and lets the core work until it has nothing more to do.
func (h *storeHost) run(b *testing.B, config replica.Config) {
	r, err := replica.Open(config)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	outcome := make(chan error, 1)
	go func() { outcome <- r.Run(ctx) }()
	<-h.ready
	cancel()
	if err := <-outcome; err != nil {
		b.Fatal(err)
	}
}

func (h *storeHost) start(context.Context) (*stream.Conn, error) {
	conn, core := stream.Pipe()
	h.conn = core
	go func() {
		defer core.Close()
		if err := h.live(); err != nil {
			h.t.Error(err)
		}
	}()
	return conn, nil
}

// live is one life of the core.
func (h *storeHost) live() error {
	effects, err := h.boot()
	if err != nil {
		return err
	}
	if err := h.do(effects); err != nil {
		return err
	}
	if err := h.conn.Write(stream.Hello{Version: stream.Version, Descriptor: h.c.Descriptor().Append(nil)}); err != nil {
		return err
	}
	if err := h.conn.Flush(); err != nil {
		return err
	}
	for _, id := range accounts(h.accounts) {
		for _, op := range []ledger.Op{
			&ledger.Register{ID: wire.RegistrationID{1}, KSF: someKSF}, &ledger.Confirm{ID: wire.RegistrationID{1}},
			&ledger.Charge{ID: wire.RegistrationID{1}, Serial: 1, Element: wire.ElementDigest{1}},
		} {
			if err := h.c.parts[0].propose(0, id, op); err != nil {
				return err
			}
		}
		if id[7]%64 == 0 { // one of 64
			h.now += 100
			if err := h.step(Tick{h.now, 100}); err != nil {
				return err
			}
		}
	}
	if h.accounts > 0 {
		h.now += 11 * 60_000
		if err := h.step(Tick{h.now, 11 * 60_000}); err != nil {
			return err
		}
	}
	if !h.creating {
		h.ready <- struct{}{}
	}
	return h.stop()
}

func (h *storeHost) boot() ([]Effect, error) {
	h.config.Seed[1]++
	h.creating = false
	l := NewLoader(h.config, h.unseal)
	for {
		f, err := h.conn.Read()
		if err != nil {
			return nil, err
		}
		var effects []Effect
		switch f := f.(type) {
		case stream.Create:
			h.creating = true
			h.c, effects, err = Create(h.config, &h.policy, nil, h.newEpoch())
			return effects, err
		case stream.Load:
			err = l.Add(Record{f.Key, f.Value})
		case stream.LoadEnd:
			h.c, effects, err = l.Finish(nil)
			return effects, err
		}
		if err != nil {
			return nil, err
		}
	}
}

func (h *storeHost) step(inputs ...Input) error {
	effects, err := h.c.Step(inputs...)
	if err != nil {
		return err
	}
	return h.do(effects)
}

// do does effects, and those that follow from them, in their order, until nothing is unsynced.
func (h *storeHost) do(queue []Effect) error {
	for {
		for ; len(queue) > 0; queue = queue[1:] {
			switch e := queue[0].(type) {
			case Persist:
				if err := h.conn.Write(persistFrame(e)); err != nil {
					return err
				}
			case Rotate:
				more, err := h.c.Step(h.newEpoch())
				if err != nil {
					return err
				}
				queue = append(queue, more...)
			}
		}
		if len(h.c.unsynced) == 0 {
			return nil
		}
		if err := h.conn.Flush(); err != nil {
			return err
		}
		f, err := h.conn.Read()
		if err != nil {
			return err
		}
		if d, ok := f.(stream.Durable); ok {
			if queue, err = h.c.Step(Durable{d.Seq}); err != nil {
				return err
			}
		}
	}
}

func persistFrame(p Persist) stream.Persist {
	f := stream.Persist{Seq: p.Seq}
	for _, r := range p.Puts {
		f.Puts = append(f.Puts, stream.Record(r))
	}
	for _, r := range p.Deletes {
		f.Deletes = append(f.Deletes, stream.Range(r))
	}
	return f
}

// stop waits for Stop and says Bye.
func (h *storeHost) stop() error {
	for {
		f, err := h.conn.Read()
		if err != nil {
			return err
		}
		if _, ok := f.(stream.Stop); ok {
			if err := h.conn.Write(stream.Bye{}); err != nil {
				return err
			}
			return h.conn.Flush()
		}
	}
}

func folderSize(b *testing.B, dir string) (size float64) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += float64(info.Size())
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}
