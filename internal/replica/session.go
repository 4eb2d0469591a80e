// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

const (
	// maxUncommitted bounds the memory for Persists that were read but not written.
	maxUncommitted = 4 * stream.MaxFrame
	// maxGroup is how many bytes of Persists one fsync is made to carry.
	maxGroup = stream.MaxFrame
	// maxUnread bounds what waits for a core that does not read: 16 bytes a Durable.
	maxUnread = 1 << 16
)

// errBye ends a session in order.
var errBye = errors.New("replica: the core said bye")

// session is one life of the core, as the host sees it: one goroutine that reads, one
// that writes, and one that commits.
type session struct {
	conn  *stream.Conn
	store *store
	out   *outbox

	// boot sends what comes before anything else.
	boot func(*stream.Conn) error
	// heard gets everything but Persist, Fatal and Bye; its error ends the session.
	heard func(stream.Frame) error
	// committed is called after each Durable was queued.
	committed func()

	persists chan stream.Persist
	room     *semaphore.Weighted // bytes, of maxUncommitted
	stopping atomic.Bool
	greeted  bool   // the reader's, until run returns
	lastSeq  uint64 // the reader's
}

func newSession(conn *stream.Conn, store *store) *session {
	return &session{
		conn: conn, store: store, out: newOutbox(),
		heard: func(stream.Frame) error { return nil }, committed: func() {},
		persists: make(chan stream.Persist, 1024),
		room:     semaphore.NewWeighted(maxUncommitted),
	}
}

// stop asks the core for an orderly end.
func (s *session) stop() {
	if s.stopping.CompareAndSwap(false, true) {
		s.out.offer(stream.Stop{}, maxUnread+1)
	}
}

// run serves the core until its end; nil means that it said Bye after stop, and the
// cause of life's end that it was cut off. No write of this session reaches the store
// after run returned, so the next life is given everything that this one may have left.
func (s *session) run(life context.Context) error {
	group, ctx := errgroup.WithContext(life)
	unblock := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer unblock()
	defer s.conn.Close()
	group.Go(func() error { return s.read(ctx) })
	group.Go(func() error { return s.write(ctx) })
	group.Go(func() error { return s.commit(ctx) })
	switch err := group.Wait(); {
	case errors.Is(err, errBye):
		return nil
	case life.Err() != nil && !final(err):
		return context.Cause(life)
	default:
		return err
	}
}

func (s *session) read(ctx context.Context) error {
	for {
		frame, err := s.conn.Read()
		switch {
		case errors.Is(err, stream.ErrMalformed), errors.Is(err, stream.ErrTooLarge):
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		case err != nil:
			return fmt.Errorf("connection to the core: %w", err)
		}
		if err := s.receive(ctx, frame); err != nil {
			return err
		}
	}
}

func (s *session) receive(ctx context.Context, frame stream.Frame) error {
	switch frame := frame.(type) {
	case stream.Hello:
		if s.greeted || frame.Version != stream.Version {
			return fmt.Errorf("%w: Hello of version %d, again: %t", ErrProtocol, frame.Version, s.greeted)
		}
		s.greeted = true
		return s.heard(frame)
	case stream.Persist:
		return s.receivePersist(ctx, frame)
	case stream.Answer, stream.Stats, stream.Send, stream.Peers, stream.Leads, stream.Told:
		return s.heard(frame)
	case stream.Fatal:
		return fmt.Errorf("%w: %q", ErrCoreFatal, frame.Text)
	case stream.Bye:
		if !s.stopping.Load() {
			return fmt.Errorf("%w: Bye without Stop", ErrProtocol)
		}
		return errBye
	default:
		return fmt.Errorf("%w: %T from the core", ErrProtocol, frame)
	}
}

func (s *session) receivePersist(ctx context.Context, p stream.Persist) error {
	if p.Seq <= s.lastSeq {
		return fmt.Errorf("%w: Persist %d after %d", ErrProtocol, p.Seq, s.lastSeq)
	}
	s.lastSeq = p.Seq
	if err := s.room.Acquire(ctx, int64(p.Size())); err != nil {
		return err
	}
	select {
	case s.persists <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write sends the boot and then what is queued. It leaves a broken connection to the
// reader, which may still find a Fatal that says why.
func (s *session) write(ctx context.Context) error {
	if err := s.boot(s.conn); err != nil {
		return sendingFailed(err)
	}
	for {
		if err := s.conn.Flush(); err != nil {
			return sendingFailed(err)
		}
		select {
		case <-s.out.filled:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, frame := range s.out.take() {
			if err := s.conn.Write(frame); err != nil {
				return sendingFailed(err)
			}
		}
	}
}

// sendingFailed drops the errors of the connection and keeps those of this side.
func sendingFailed(err error) error {
	if errors.Is(err, ErrStore) || errors.Is(err, stream.ErrMalformed) || errors.Is(err, stream.ErrTooLarge) {
		return err
	}
	return nil
}

// commit writes what the core wants kept. Persists that wait together share one batch
// and one fsync. A crash before the fsync loses all or none of the batch, and none of
// it was acknowledged; a crash after it loses the Durables, which the core does not
// miss: it starts from what is stored.
func (s *session) commit(ctx context.Context) error {
	for {
		var group []stream.Persist
		select {
		case p := <-s.persists:
			group = s.gather(p)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.store.commit(group...); err != nil {
			return err
		}
		for _, p := range group {
			s.room.Release(int64(p.Size()))
			if !s.out.offer(stream.Durable{Seq: p.Seq}, maxUnread) {
				return fmt.Errorf("%w: %d frames are unread", ErrProtocol, maxUnread)
			}
			s.committed()
		}
	}
}

// gather adds what is there already to first, up to maxGroup.
func (s *session) gather(first stream.Persist) []stream.Persist {
	group, size := []stream.Persist{first}, first.Size()
	for size < maxGroup {
		select {
		case p := <-s.persists:
			group, size = append(group, p), size+p.Size()
		default:
			return group
		}
	}
	return group
}
