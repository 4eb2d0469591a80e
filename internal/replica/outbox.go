// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"sync"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// outbox is the queue to one life of the core. Putting into it never waits, so the
// goroutines that read the core and write the disk never wait for the core to read:
// two sides that wait for each other to read would wait for ever.
type outbox struct {
	mu     sync.Mutex
	frames []stream.Frame
	filled chan struct{} // holds a token while frames may be there
}

func newOutbox() *outbox { return &outbox{filled: make(chan struct{}, 1)} }

// offer queues f unless limit frames are waiting already.
func (o *outbox) offer(f stream.Frame, limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.frames) >= limit {
		return false
	}
	o.frames = append(o.frames, f)
	select {
	case o.filled <- struct{}{}:
	default:
	}
	return true
}

// take returns all that is queued, after filled said that there may be something.
func (o *outbox) take() []stream.Frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.frames
	o.frames = nil
	return taken
}
