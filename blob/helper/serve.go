// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/coffer-backup/coffer/blob"
)

// UploadLimiter is what a store implements that can send no faster than it is told.
type UploadLimiter interface {
	// LimitUpload is called once, before every other method.
	LimitUpload(bytesPerSecond int64)
}

// Serve is the helper's end of the pipes: it does with store what a client asks for on r, and answers on w. It
// returns nil when r ends between two frames, which is how a client says that it is done; requests that are still
// under way then are cancelled. It keeps no request after it has returned, but when ctx has ended it leaves a
// Read of r behind.
//
// A client that asks for a limit of uploads is refused unless store is an [UploadLimiter].
//
// Errors: the context's, those of r and w, and one that says how the client broke the protocol.
func Serve(ctx context.Context, store blob.Store, r io.Reader, w io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	s := &server{store: store, ctx: ctx, stop: stop, w: w, calls: map[uint64]*served{}}
	defer func() {
		stop(nil)
		s.running.Wait()
	}()
	requests := readRequests(ctx, r)
	if err := s.greet(requests); err != nil {
		return ended(err)
	}
	for {
		f, err := next(ctx, requests)
		if err == nil {
			err = s.handle(f)
		}
		if err != nil {
			return ended(err)
		}
	}
}

// Refuse is for a helper that has no store to serve: it tells the client why.
func Refuse(ctx context.Context, reason error, r io.Reader, w io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if _, err := next(ctx, readRequests(ctx, r)); err != nil {
		return ended(err)
	}
	c, text := codeOf(opList, reason)
	_, err := w.Write(encode(refuse{c, text}))
	return err
}

func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// request is what was read: a frame or an error, which is the last.
type request struct {
	frame frame
	err   error
}

// readRequests reads on its own goroutine, for a Read cannot be ended by a context.
func readRequests(ctx context.Context, r io.Reader) <-chan request {
	requests := make(chan request)
	go func() {
		buffered := bufio.NewReaderSize(r, 64<<10)
		for {
			var next request
			body, err := readBody(buffered)
			if err == nil {
				next.frame, err = decodeRequest(body)
			}
			next.err = err
			select {
			case requests <- next:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return requests
}

func next(ctx context.Context, requests <-chan request) (frame, error) {
	select {
	case r := <-requests:
		return r.frame, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// server is one Serve.
type server struct {
	store   blob.Store
	ctx     context.Context
	stop    context.CancelCauseFunc
	running sync.WaitGroup

	writing sync.Mutex // one frame at a time
	w       io.Writer

	mu    sync.Mutex
	calls map[uint64]*served
	cost  int
	lists int
}

// served is one request, from its first frame until it is answered.
type served struct {
	id     uint64
	op     op
	cost   int
	ctx    context.Context
	cancel context.CancelFunc

	name string // of a put whose chunks are arriving
	data []byte
	size int

	more chan struct{} // of a list: pages that the client has read
}

var errTwoHellos = errors.New("a second hello")

func (s *server) greet(requests <-chan request) error {
	first, err := next(s.ctx, requests)
	if err != nil {
		return err
	}
	h, ok := first.(hello)
	if !ok {
		return errors.New("the client does not begin with hello")
	}
	if h.version != Version {
		return s.refuse(fmt.Errorf("the client speaks version %d of the helper's protocol, and this helper version %d; use both from one release", h.version, Version))
	}
	if h.bytesPerSecond > 0 {
		limiter, ok := s.store.(UploadLimiter)
		if !ok {
			return s.refuse(errors.New("this helper cannot limit uploads; take the limit away"))
		}
		limiter.LimitUpload(int64(h.bytesPerSecond))
	}
	name := printable(s.store.String())
	if name == "" {
		name = "helper"
	}
	return s.write(welcome{Version, name})
}

func (s *server) refuse(reason error) error {
	return errors.Join(reason, s.write(refuse{codeOther, printable(reason.Error())}))
}

func (s *server) handle(f frame) error {
	switch f := f.(type) {
	case put:
		return s.put(f)
	case chunk:
		return s.chunk(f)
	case read:
		return s.start(&served{id: f.id, op: opRead, cost: int(f.size) + requestCost}, func(c *served) { s.read(c, f) })
	case list:
		return s.start(&served{id: f.id, op: opList, more: make(chan struct{}, window)}, func(c *served) { s.list(c, f.prefix) })
	case remove:
		return s.start(&served{id: f.id, op: opDelete, cost: requestCost}, func(c *served) {
			err := blob.ValidName(f.name)
			if err == nil {
				err = s.store.Delete(c.ctx, f.name)
			}
			s.finish(c, err)
		})
	case more:
		return s.more(f.id)
	case cancel:
		return s.cancel(f.id)
	case ping:
		return s.write(pong{})
	}
	return errTwoHellos
}

// begin takes a request on, within the bounds that a client must keep.
func (s *server) begin(c *served) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[c.id] != nil {
		return fmt.Errorf("request %d is asked twice", c.id)
	}
	lists := 0
	if c.op == opList {
		lists = 1
	}
	if s.cost+c.cost > budget || s.lists+lists > maxLists {
		return errors.New("too many requests at once")
	}
	s.cost += c.cost
	s.lists += lists
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	s.calls[c.id] = c
	return nil
}

func (s *server) start(c *served, run func(*served)) error {
	if err := s.begin(c); err != nil {
		return err
	}
	s.running.Go(func() { run(c) })
	return nil
}

// finish answers. The request's cost is free before the client hears of it, for the client may spend it at once.
func (s *server) finish(c *served, err error) {
	c.cancel()
	s.mu.Lock()
	delete(s.calls, c.id)
	s.cost -= c.cost
	if c.op == opList {
		s.lists--
	}
	s.mu.Unlock()
	code, text := codeOf(c.op, err)
	_ = s.write(done{c.id, code, text}) // write has ended Serve
}

func (s *server) find(id uint64) *served {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id]
}

// write sends a frame. When that fails there is nobody to serve.
func (s *server) write(f frame) error {
	b := encode(f)
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.ctx.Err(); err != nil {
		return err // another frame may have been cut
	}
	_, err := s.w.Write(b)
	if err != nil {
		s.stop(err)
	}
	return err
}
