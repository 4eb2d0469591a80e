// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"sync"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// clerk brings peers' bytes and the operator's commands to the core, as soon as there is one: a core that does not
// serve yet needs both.
type clerk struct {
	mu      sync.Mutex
	last    uint64 // id
	over    uint64 // the last id of the lives before
	out     *outbox
	waiting map[uint64]chan stream.Told
}

func newClerk() *clerk { return &clerk{waiting: make(map[uint64]chan stream.Told)} }

func (c *clerk) open(out *outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = out
}

// shut ends the wait of everybody: the life of the core that knew them is over.
func (c *clerk) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, told := range c.waiting {
		close(told)
	}
	clear(c.waiting)
	c.out, c.over = nil, c.last
}

// deliver queues a peer's bytes, or loses them.
func (c *clerk) deliver(slot uint16, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.out.deliver(slot, data)
	}
}

// maxCommands bounds how many of an operator's commands wait.
const maxCommands = 16

func (c *clerk) ask(command stream.Admin) (<-chan stream.Told, uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil {
		return nil, 0, ErrUnavailable
	}
	command.ID = c.last + 1
	if len(c.waiting) >= maxCommands || !c.out.offer(command, maxUnread/2) {
		return nil, 0, ErrBusy
	}
	c.last++
	told := make(chan stream.Told, 1) // so that telling never waits
	c.waiting[c.last] = told
	return told, c.last, nil
}

func (c *clerk) told(f stream.Told) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.ID <= c.over || f.ID > c.last {
		return errUnasked
	}
	if told, ok := c.waiting[f.ID]; ok {
		told <- f
		delete(c.waiting, f.ID)
	}
	return nil
}

func (c *clerk) leave(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// Deliver brings bytes that the host of a slot sent to the core. It may lose them, and does not wait.
func (r *Replica) Deliver(slot uint16, data []byte) { r.clerk.deliver(slot, data) }

// Admin has the core do an operator's command, and returns the ticket of an invitation. The command's ID is ignored. The error is
// ErrRefused with the core's words, ErrUnavailable, ErrBusy or that of ctx.
func (r *Replica) Admin(ctx context.Context, command stream.Admin) (ticket []byte, err error) {
	told, id, err := r.clerk.ask(command)
	if err != nil {
		return nil, err
	}
	select {
	case answer, ok := <-told:
		switch {
		case !ok:
			return nil, ErrUnavailable
		case answer.Refusal != "":
			return nil, fmt.Errorf("%w: %s", ErrRefused, answer.Refusal)
		}
		return answer.Ticket, nil
	case <-ctx.Done():
		r.clerk.leave(id)
		return nil, ctx.Err()
	}
}
