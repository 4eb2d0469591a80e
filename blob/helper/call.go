// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/coffer-backup/coffer/blob"
)

// call is a request that waits for answers. It stays known until the helper has answered it, even when nobody
// waits any more: its cost is not free before.
type call struct {
	id     uint64
	op     op
	cost   int64
	budget *semaphore.Weighted

	p   []byte // of a read
	got int

	prefix string // of a list
	pages  chan []blob.Info
	credit int // pages that the helper may still send

	sent      bool // all of a put
	cancelled bool
	abandoned bool // p and pages belong to nobody

	result error         // nil, io.EOF, or a failure; once done is closed
	done   chan struct{} // the helper has answered
}

// begin waits until the helper may be given the call, and gives it an id.
func (s *session) begin(ctx context.Context, c *call) error {
	c.budget = s.budget
	if c.op == opList {
		c.budget, c.pages, c.credit = s.lists, make(chan []blob.Info, window), window
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.life, stop)()
	if err := c.budget.Acquire(waiting, c.cost); err != nil {
		if s.life.Err() != nil {
			return context.Cause(s.life)
		}
		return ctx.Err()
	}
	c.done = make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	c.id = s.lastID
	s.calls[c.id] = c
	return nil
}

// handle takes an answer, which must fit a call that waits for it. It never waits for who made the call.
func (s *session) handle(f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misses = 0
	switch f := f.(type) {
	case piece:
		return s.piece(f)
	case page:
		return s.page(f)
	case done:
		return s.finish(f)
	case pong:
		if s.pings--; s.pings < 0 {
			return fmt.Errorf("%w: it answers a ping that was not sent", errBroken)
		}
		return nil
	}
	return fmt.Errorf("%w: a second hello", errBroken)
}

func (s *session) piece(f piece) error {
	c := s.calls[f.id]
	if c == nil || c.op != opRead || len(f.data) > len(c.p)-c.got {
		return fmt.Errorf("%w: bytes that were not asked for", errBroken)
	}
	if !c.abandoned {
		copy(c.p[c.got:], f.data)
	}
	c.got += len(f.data)
	return nil
}

func (s *session) page(f page) error {
	c := s.calls[f.id]
	if c == nil || c.op != opList || c.credit == 0 {
		return fmt.Errorf("%w: a page that was not asked for", errBroken)
	}
	c.credit--
	infos := make([]blob.Info, len(f.infos))
	for i, in := range f.infos {
		if !strings.HasPrefix(in.name, c.prefix) {
			return fmt.Errorf("%w: it lists %q below %q", errBroken, in.name, c.prefix)
		}
		infos[i] = blob.Info{Name: in.name, SizeBytes: int64(in.size), ModTime: time.UnixMilli(int64(in.timeMs))}
	}
	if !c.abandoned {
		c.pages <- infos // there is room for each credit
	}
	return nil
}

func (s *session) finish(f done) error {
	c := s.calls[f.id]
	switch {
	case c == nil || !f.code.fits(c.op):
		return fmt.Errorf("%w: an answer that fits no request", errBroken)
	case c.op == opPut && !c.sent && !c.cancelled:
		return fmt.Errorf("%w: an answer before the request was whole", errBroken)
	case c.op == opRead && (f.code == codeOK && c.got < len(c.p) || f.code == codeEnd && c.got == len(c.p)):
		return fmt.Errorf("%w: it read %d of %d bytes and says otherwise", errBroken, c.got, len(c.p))
	case f.code == codeEnd:
		c.result = io.EOF
	case f.code != codeOK:
		c.result = errorOf(f.code, f.text)
	}
	s.answered = true
	s.drop(c)
	return nil
}

// drop forgets a call that the helper knows nothing of, or nothing any more.
func (s *session) drop(c *call) {
	delete(s.calls, c.id)
	c.budget.Release(c.cost)
	close(c.done)
}

// wait returns how the call ended. When ctx ends before, it asks the helper to stop, and waits a little for
// the answer: until then a put may still happen.
func (s *session) wait(ctx context.Context, c *call) error {
	select {
	case <-c.done:
		return c.result
	case <-s.life.Done():
	case <-ctx.Done():
		s.cancel(c)
	}
	s.abandon(c)
	select {
	case <-c.done: // it may have succeeded all the same
		if c.result == nil || c.result == io.EOF {
			return c.result
		}
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return context.Cause(s.life)
}

// cancel asks the helper to end a call unless it has ended, waits a little, and then leaves it alone.
func (s *session) cancel(c *call) {
	select {
	case <-c.done:
		return
	default:
	}
	s.mu.Lock()
	c.cancelled = true
	s.mu.Unlock()
	ctx, stop := context.WithTimeout(s.life, s.patience.cancel)
	defer stop()
	if s.send(ctx, cancel{c.id}) == nil {
		select {
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

// abandon says that nobody waits for the call: when it has returned, c.p is the caller's again.
func (s *session) abandon(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.abandoned = true
}

// willSend must precede the last frame of a put, for the answer may come before send returns.
func (s *session) willSend(c *call, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.sent = last
}

// nextPage waits for a page of a list and lets the helper send another. After the last page it returns none.
func (s *session) nextPage(ctx context.Context, c *call) ([]blob.Info, error) {
	select {
	case infos := <-c.pages:
		return infos, s.readPage(ctx, c)
	default: // what came before the end goes before it
	}
	select {
	case infos := <-c.pages:
		return infos, s.readPage(ctx, c)
	case <-c.done:
		select {
		case infos := <-c.pages:
			return infos, nil
		default:
			return nil, c.result
		}
	case <-s.life.Done():
		return nil, context.Cause(s.life)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *session) readPage(ctx context.Context, c *call) error {
	s.mu.Lock()
	c.credit++
	s.mu.Unlock()
	select {
	case <-c.done:
		return nil
	default:
		return s.send(ctx, more{c.id})
	}
}

// forget drops a call that was never sent.
func (s *session) forget(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}
