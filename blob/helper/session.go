// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/coffer-backup/coffer/blob"
)

// patience is how long a client waits for what a healthy helper does at once.
type patience struct {
	hello  time.Duration // from the start; the helper may have to reach its destination for it
	ping   time.Duration // how often a helper that has work is asked whether it lives
	misses int           // how often in a row it may say nothing between two of these
	cancel time.Duration // from a cancel to the end of the request
	status time.Duration // from the end of its output to its own
	end    time.Duration // from the end of its input to its own, where Close decides
}

var usual = patience{hello: 2 * time.Minute, ping: 15 * time.Second, misses: 4, cancel: 5 * time.Second, status: time.Second, end: 10 * time.Second}

// session is the client's end of the pipes of one helper.
type session struct {
	patience patience
	peer     peer
	name     string // of the destination

	life context.Context // ends when no more answers can come; its cause says why
	die  context.CancelCauseFunc

	out    chan []byte   // frames to send
	close  chan struct{} // closed when the helper shall end
	closed sync.Once
	budget *semaphore.Weighted
	lists  *semaphore.Weighted

	mu       sync.Mutex
	calls    map[uint64]*call
	lastID   uint64
	pings    int  // that are not answered
	misses   int  // times that watch has looked since a frame came
	answered bool // a request has been

	failing sync.Once
}

// errBroken means that the other end does not keep to the protocol.
var errBroken = errors.New("the helper breaks the protocol")

// peer is the process at the other end.
type peer struct {
	kill   func()          // ends reads and writes, too; may be called often
	gone   <-chan struct{} // closed when it has ended
	status func() string   // how; once it is gone
}

// newSession says hello and waits for the answer. When it fails, the peer is killed.
func newSession(ctx context.Context, r io.Reader, w io.WriteCloser, other peer, limit int64, p patience) (*session, error) {
	s := &session{
		patience: p,
		peer:     other,
		out:      make(chan []byte),
		close:    make(chan struct{}),
		budget:   semaphore.NewWeighted(budget),
		lists:    semaphore.NewWeighted(maxLists),
		calls:    map[uint64]*call{},
	}
	s.life, s.die = context.WithCancelCause(context.Background())
	greeted := make(chan error, 1)
	go s.write(w)
	go s.read(bufio.NewReaderSize(r, 64<<10), greeted)
	go s.watch()
	waiting, stop := context.WithTimeout(ctx, p.hello)
	defer stop()
	err := s.send(waiting, hello{Version, uint64(max(limit, 0))})
	if err == nil {
		select {
		case err = <-greeted:
		case <-waiting.Done():
			err = waiting.Err()
		}
	}
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case waiting.Err() != nil:
		err = errors.New("the helper does not say hello")
	}
	s.fail(err)
	return nil, context.Cause(s.life)
}

// send hands a frame to the writer; when it has returned nil, what the frame was made of may change.
func (s *session) send(ctx context.Context, f frame) error {
	select {
	case s.out <- encode(f):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.life.Done():
		return context.Cause(s.life)
	}
}

func (s *session) write(w io.WriteCloser) {
	defer w.Close()
	for {
		select {
		case b := <-s.out:
			if _, err := w.Write(b); err != nil {
				s.fail(fmt.Errorf("%w: %w", io.EOF, err)) // it reads no more, so it is ending
				return
			}
		case <-s.close:
			return
		case <-s.life.Done():
			return
		}
	}
}

func (s *session) read(r *bufio.Reader, greeted chan<- error) {
	err := s.readHello(r)
	greeted <- err
	for err == nil {
		var f frame
		if f, err = readAnswer(r); err == nil {
			err = s.handle(f)
		}
	}
	s.fail(err)
}

func readAnswer(r *bufio.Reader) (frame, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return decodeAnswer(body)
}

func (s *session) readHello(r *bufio.Reader) error {
	first, err := readAnswer(r)
	if errors.Is(err, errMalformed) {
		return fmt.Errorf("%w: it does not begin with a hello; is it a helper?", errBroken)
	}
	if err != nil {
		return err
	}
	switch f := first.(type) {
	case welcome:
		if f.version != Version {
			return fmt.Errorf("%w: it answers in version %d, not %d", errBroken, f.version, Version)
		}
		s.name = f.name
		return nil
	case refuse:
		return &refusal{errorOf(f.code, f.text)}
	}
	return fmt.Errorf("%w: it does not begin with a hello", errBroken)
}

// refusal is a helper's answer instead of a hello.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// fail ends the session, and returns when it has ended; only the first cause counts. What a call gets then wraps
// blob.ErrUnreachable, but a refusal has a class of its own.
func (s *session) fail(err error) {
	s.failing.Do(func() {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = s.farewell(err)
		}
		if errors.Is(err, errMalformed) {
			err = fmt.Errorf("%w: %w", errBroken, err)
		}
		if _, refused := errors.AsType[*refusal](err); !refused {
			err = fmt.Errorf("%w: %w", blob.ErrUnreachable, err)
		}
		s.peer.kill()
		s.die(err)
	})
}

// farewell names the reason why the helper's pipes are closed. One that is about to end says it by its status.
func (s *session) farewell(err error) error {
	select {
	case <-s.peer.gone:
		return fmt.Errorf("the helper has ended (%s)", s.peer.status())
	case <-time.After(s.patience.status):
		return fmt.Errorf("the helper has closed its pipes (%w)", err)
	}
}

// watch fails a session whose helper has work and does not live.
func (s *session) watch() {
	tick := time.NewTicker(s.patience.ping)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.life.Done():
			return
		}
		if !s.lives() {
			s.fail(errors.New("the helper does not answer"))
			return
		}
	}
}

// lives asks for a sign of life, and tells whether there was one. It counts looks and reads no clock, so that
// a machine or a process that slept finds no fault with a helper that did not.
func (s *session) lives() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) == 0 {
		s.misses = 0
		return true
	}
	if s.misses++; s.misses > s.patience.misses {
		return false
	}
	if s.pings == 0 {
		select {
		case s.out <- encode(ping{}):
			s.pings++
		default: // the writer is at work; the next look tries again
		}
	}
	return true
}

func (s *session) hasAnswered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answered
}

// end closes the helper's input and waits for its end; when ctx ends before, the helper is killed.
func (s *session) end(ctx context.Context) error {
	s.closed.Do(func() { close(s.close) })
	var err error
	select {
	case <-s.peer.gone:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.fail(errClosed)
	<-s.peer.gone
	return err
}
