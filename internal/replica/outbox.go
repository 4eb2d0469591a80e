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

	peers    int            // of the frames
	peerSize int            // of these, in bytes
	bySlot   map[uint16]int // of each slot's, in bytes
}

// The bounds of peers' bytes that wait for the core, in all and of one slot. What is more is lost: peers send again.
const (
	maxPeerBytes = 32 << 20
	maxSlotBytes = 8 << 20
)

func newOutbox() *outbox { return &outbox{filled: make(chan struct{}, 1), bySlot: map[uint16]int{}} }

// offer queues f unless limit frames are waiting already.
func (o *outbox) offer(f stream.Frame, limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.frames)-o.peers >= limit {
		return false
	}
	o.put(f)
	return true
}

// deliver queues a peer's bytes, unless too many are waiting. They take no room from anything else.
func (o *outbox) deliver(slot uint16, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := len(data) + 64
	if len(data) > stream.MaxPeer || o.peerSize+size > maxPeerBytes || o.bySlot[slot]+size > maxSlotBytes {
		return
	}
	o.peers, o.peerSize = o.peers+1, o.peerSize+size
	o.bySlot[slot] += size
	o.put(stream.Peer{Slot: slot, Data: data})
}

func (o *outbox) put(f stream.Frame) {
	o.frames = append(o.frames, f)
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// take returns all that is queued, after filled said that there may be something.
func (o *outbox) take() []stream.Frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.frames
	o.frames, o.peers, o.peerSize = nil, 0, 0
	clear(o.bySlot)
	return taken
}
