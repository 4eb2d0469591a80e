// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/seal"
)

// Config is what a runner gives its core beside entropy and time.
type Config struct {
	Sealer seal.Sealer
	// RotateEntries and RotateMs are core.Config's.
	RotateEntries uint64
	RotateMs      uint64
	// Workers is how many jobs run side by side; 0 for one a processor.
	Workers int
	// Late is after how long a call to the sealer is reported that has not come back; 0 for ten seconds. One that fails is repeated after a tenth of it, and
	// then ever later.
	Late time.Duration
	// Logger gets what the operator must know of the sealer; nil discards it.
	Logger *slog.Logger
}

// defaultLate is more than healthy hardware takes: a slow TPM makes a key in some seconds.
const defaultLate = 10 * time.Second

var (
	errProtocol = errors.New("the host sent a frame at the wrong moment")
	errInUse    = errors.New("a new fleet needs a sealer without keys: these belong to another one")
	errBye      = errors.New("stopped in order")
)

// Run serves one life of a core on a connection, until the host has it stopped, goes away, or ctx ends. It
// closes the connection. It returns nil after an orderly stop.
func Run(ctx context.Context, conn *stream.Conn, config Config) error {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Late == 0 {
		config.Late = defaultLate
	}
	if config.Workers <= 0 {
		config.Workers = runtime.GOMAXPROCS(0)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, effects, err := boot(ctx, conn, config)
	if err != nil {
		return Refuse(conn, err)
	}
	return serve(ctx, conn, config, c, effects)
}

// Refuse tells the host why no core serves, closes the connection, and returns err.
func Refuse(conn *stream.Conn, err error) error {
	defer conn.Close()
	text := err.Error()
	_ = conn.Write(stream.Fatal{Text: text[:min(len(text), stream.MaxText)]})
	_ = conn.Flush() // whether it hears it or not, this life is over
	return err
}

// serve runs the loop and what it talks to. All of them end when one does.
func serve(ctx context.Context, conn *stream.Conn, config Config, c *core.Core, effects []core.Effect) error {
	group, ctx := errgroup.WithContext(ctx)
	l := newLoop(c, config)
	group.Go(func() error { return l.read(ctx, conn) })
	group.Go(func() error { return l.write(ctx, conn) })
	group.Go(func() error { return l.keep(ctx, config) })
	for range config.Workers {
		group.Go(func() error { return l.work(ctx) })
	}
	group.Go(func() error {
		defer conn.Close() // ends the reader, and a writer that waits for the host
		return l.run(ctx, effects)
	})
	err := group.Wait()
	if l.bye {
		return nil // whoever noticed the end first
	}
	return err
}

// read passes the host's frames to the loop.
func (l *loop) read(ctx context.Context, conn *stream.Conn) error {
	defer close(l.frames)
	for {
		f, err := conn.Read()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the host is gone: %w", err)
		}
		select {
		case l.frames <- f:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write sends the loop's frames, many at a time if there are many.
func (l *loop) write(ctx context.Context, conn *stream.Conn) error {
	for {
		select {
		case batch := <-l.send:
			for _, f := range batch {
				if err := conn.Write(f); err != nil {
					return err
				}
			}
			if err := conn.Flush(); err != nil {
				return err
			}
			if _, l.bye = batch[len(batch)-1].(stream.Bye); l.bye {
				return errBye
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// work runs jobs. One that panics fails alone: it is a function of what it was given, and changes nothing.
func (l *loop) work(ctx context.Context) error {
	for {
		select {
		case r := <-l.jobs:
			done := core.Done{ID: r.ID, Result: result(r.Job)}
			select {
			case l.results <- done:
			case <-ctx.Done():
				return ctx.Err()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func result(job core.Job) (result core.Result) {
	defer func() {
		if recover() != nil {
			result = nil
		}
	}()
	return job.Run()
}

// tick reads the clocks.
func (l *loop) tick(at time.Time) core.Tick {
	elapsed := at.Sub(l.last) // by the monotonic clock
	l.last = at
	return core.Tick{Now: unixMs(at), ElapsedMs: uint64(max(elapsed, 0).Milliseconds())}
}
