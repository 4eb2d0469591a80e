// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// The wait before the core is started again doubles from one to the other.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// A Replica hosts the core of a fleet that Create made.
type Replica struct {
	cfg   Config
	log   *slog.Logger
	store *store
	desk  *desk
	clerk *clerk

	running    atomic.Bool
	ended      chan struct{}          // closed when Run returns
	descriptor atomic.Pointer[[]byte] // while the core serves
	stats      atomic.Pointer[stream.Stats]
	failure    atomic.Pointer[error]
}

// Open locks and opens the store of a fleet. Either Run or Close must follow.
func Open(cfg Config) (*Replica, error) {
	cfg = cfg.withDefaults()
	s, err := findStore(cfg)
	if err != nil {
		return nil, err
	}
	switch created, err := s.created(); {
	case err != nil:
		return nil, err
	case !created:
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrNotCreated, cfg.Dir), s.close())
	}
	r := &Replica{cfg: cfg, log: cfg.Logger, store: s, desk: newDesk(cfg.QueueLimit), clerk: newClerk(), ended: make(chan struct{})}
	r.stats.Store(new(stream.Stats))
	return r, nil
}

// Close releases the store of a Replica that was never Run.
func (r *Replica) Close() error {
	if !r.running.CompareAndSwap(false, true) {
		return nil // Run closes it
	}
	return r.store.close()
}

// Run serves until ctx ends, and then ends the core in order; it returns nil if the
// core said Bye. It starts the core again when its connection breaks, and returns the
// error when going on would be wrong: ErrStore, ErrCoreFatal, ErrProtocol. It may be
// called once and releases the store.
func (r *Replica) Run(ctx context.Context) (err error) {
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("replica: Run or Close was called before")
	}
	defer close(r.ended)
	defer func() { err = errors.Join(err, r.store.close()) }()
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		served, err := r.live(ctx)
		switch {
		case err == nil:
			return nil
		case final(err):
			r.failure.Store(&err)
			r.log.Error("replica stopped", "error", err)
			return err
		case ctx.Err() != nil:
			// As after a crash: nothing that was acknowledged is lost.
			return fmt.Errorf("replica: the core did not end in order: %w", err)
		}
		if served {
			wait = firstBackoff
		}
		r.log.Warn("core lost; starting it again", "error", err, "wait", wait)
		if !pause(ctx, wait) {
			return nil
		}
	}
}

func final(err error) bool {
	return errors.Is(err, ErrStore) || errors.Is(err, ErrCoreFatal) || errors.Is(err, ErrProtocol)
}

// pause reports whether ctx lasted as long.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// live is one life of the core. It reports whether the core came to serve. The error
// is nil after an orderly end, and where ctx ended before there was a core.
func (r *Replica) live(ctx context.Context) (served bool, err error) {
	// The core outlives ctx, for its orderly end.
	life, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	conn, err := r.start(ctx, life, cut)
	switch {
	case err != nil && ctx.Err() != nil:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("start the core: %w", err)
	}
	s := newSession(conn, r.store)
	s.boot = r.load
	s.heard = func(f stream.Frame) error { return r.hear(s, f) }
	r.clerk.open(s.out)
	defer r.leave()
	ending := context.AfterFunc(ctx, func() { r.end(s, life, cut) })
	defer ending()
	err = s.run(life)
	return s.greeted, err
}

// start calls Start so that ctx can break it off, but not the core that it started.
func (r *Replica) start(ctx, life context.Context, cut context.CancelCauseFunc) (*stream.Conn, error) {
	giveUp := context.AfterFunc(ctx, func() { cut(ctx.Err()) })
	conn, err := r.cfg.Start(life)
	if giveUp() || err != nil {
		return conn, err
	}
	return nil, errors.Join(ctx.Err(), conn.Close())
}

// load sends every stored record.
func (r *Replica) load(conn *stream.Conn) error {
	err := r.store.each(func(key, value []byte) error {
		return conn.Write(stream.Load{Key: key, Value: value})
	})
	if err != nil {
		return err
	}
	return conn.Write(stream.LoadEnd{Host: r.cfg.Host})
}

func (r *Replica) hear(s *session, f stream.Frame) error {
	switch f := f.(type) {
	case stream.Hello:
		r.descriptor.Store(&f.Descriptor)
		if !s.stopping.Load() {
			r.desk.open(s.out)
		}
		r.log.Info("core serves")
	case stream.Answer:
		return r.desk.answer(f)
	case stream.Stats:
		r.stats.Store(&f)
		r.cfg.Stats(f)
	case stream.Send:
		r.cfg.Send(f.Slot, f.Data)
	case stream.Peers:
		r.cfg.Members(f.Members)
	case stream.Leads:
		r.cfg.Leads(f.Partition, f.Slot)
	case stream.Told:
		return r.clerk.told(f)
	}
	return nil
}

// end asks for the orderly end of a session, and cuts it off if that takes too long.
func (r *Replica) end(s *session, life context.Context, cut context.CancelCauseFunc) {
	r.desk.shut()
	s.stop()
	late := time.AfterFunc(r.cfg.StopTimeout, func() {
		cut(fmt.Errorf("no Bye within %v of Stop", r.cfg.StopTimeout))
	})
	context.AfterFunc(life, func() { late.Stop() })
}

// leave ends what hear began. What the core said of itself is no longer so.
func (r *Replica) leave() {
	r.descriptor.Store(nil)
	last := r.stats.Load()
	r.stats.Store(&stream.Stats{Slot: last.Slot, Accounts: last.Accounts, Epoch: last.Epoch})
	r.desk.clear()
	r.clerk.shut()
}
