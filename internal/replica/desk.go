// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"sync"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// desk is where requests wait for their answers, across the lives of the core. Ids
// go on counting, so that an answer can never reach another life's request.
type desk struct {
	limit int

	mu      sync.Mutex
	last    uint64 // id
	over    uint64 // the last id of the lives before
	out     *outbox
	opened  chan struct{} // closed while out is there
	waiting map[uint64]chan []byte
}

func newDesk(limit int) *desk {
	return &desk{limit: limit, opened: make(chan struct{}), waiting: make(map[uint64]chan []byte)}
}

// open lets requests in, to one life of the core.
func (d *desk) open(out *outbox) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = out
	close(d.opened)
}

// shut lets no more in; those inside may still be answered.
func (d *desk) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out != nil {
		d.out, d.opened = nil, make(chan struct{})
	}
}

// clear shuts, and ends the wait of everybody: the life of the core that knew them is
// over.
func (d *desk) clear() {
	d.shut()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, answer := range d.waiting {
		close(answer)
	}
	clear(d.waiting)
	d.over = d.last
}

// whenOpen returns a channel that is closed when requests are let in.
func (d *desk) whenOpen() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened
}

func (d *desk) ask(ctx context.Context, envelope []byte) ([]byte, error) {
	id, answer, err := d.enter(envelope)
	if err != nil {
		return nil, err
	}
	select {
	case envelope, ok := <-answer:
		if !ok {
			return nil, ErrUnavailable
		}
		return envelope, nil
	case <-ctx.Done():
		d.leave(id)
		return nil, ctx.Err()
	}
}

// enter queues a request. Both what waits for the core to read and what waits for its
// answer is bounded: who gives up waiting leaves at once, but the frame stays queued.
func (d *desk) enter(envelope []byte) (id uint64, answer <-chan []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out == nil {
		return 0, nil, ErrUnavailable
	}
	if len(d.waiting) >= d.limit || !d.out.offer(stream.Request{ID: d.last + 1, Envelope: envelope}, d.limit) {
		return 0, nil, ErrBusy
	}
	d.last++
	waiter := make(chan []byte, 1) // so that answering never waits
	d.waiting[d.last] = waiter
	return d.last, waiter, nil
}

func (d *desk) leave(id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.waiting, id)
}

var errUnasked = fmt.Errorf("%w: an Answer to a Request that was never sent", ErrProtocol)

// answer ends the wait of one request, if it still waits: whoever gave up asked, too.
func (d *desk) answer(a stream.Answer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.ID <= d.over || a.ID > d.last {
		return errUnasked
	}
	if waiter, ok := d.waiting[a.ID]; ok {
		waiter <- a.Envelope
		delete(d.waiting, a.ID)
	}
	return nil
}
