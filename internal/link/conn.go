// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxMessage   = 1<<20 + 64 // bytes, of a frame between hosts
	maxQueued    = 32 << 20   // bytes that wait for one connection
	writeTimeout = 10 * time.Second
	pingEvery    = 5 * time.Second
	silentAfter  = 20 * time.Second // without a byte a connection is given up
	bufferSize   = 64 << 10
)

// What a frame is.
const (
	framePing       = 0
	frameData       = 1 // between hosts: a core's bytes
	frameRequest    = 2 // from a gateway: u64 id, envelope
	frameDescriptor = 3 // from a gateway: u64 id
	frameAnswer     = 4 // to a gateway: u64 id, u8 status, answer
	frameTable      = 5 // to a gateway
)

var errFrame = errors.New("link: a frame is too large or malformed")

// conn is a connection with a queue for what is to be written. Putting into it never waits: what finds no room is lost.
type conn struct {
	net    net.Conn
	reader *bufio.Reader

	mu     sync.Mutex
	queue  []frame
	size   int
	filled chan struct{} // holds a token while frames may be there
}

type frame struct {
	kind byte
	body []byte
}

func newConn(c net.Conn) *conn {
	return &conn{net: c, reader: bufio.NewReaderSize(c, bufferSize), filled: make(chan struct{}, 1)}
}

// put queues a frame, or loses it and returns false.
func (c *conn) put(kind byte, body []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := frame{kind, body}
	if c.size+f.size() > maxQueued {
		return false
	}
	c.queue, c.size = append(c.queue, f), c.size+f.size()
	select {
	case c.filled <- struct{}{}:
	default:
	}
	return true
}

func (c *conn) take() []frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.queue
	c.queue = nil
	return taken
}

// wrote makes the room of a frame free.
func (c *conn) wrote(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.size -= f.size()
}

func (f frame) size() int { return len(f.body) + 32 }

// write writes what is queued until done is closed or the connection breaks: all that waits with one flush.
func (c *conn) write(done <-chan struct{}) error {
	w := bufio.NewWriterSize(c.net, bufferSize)
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var frames []frame
		select {
		case <-c.filled:
			frames = c.take()
		case <-ping.C:
			frames = []frame{{kind: framePing}}
		case <-done:
			return nil
		}
		for _, f := range frames {
			if err := c.net.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil { // of each frame: a backlog may take longer
				return err
			}
			head := binary.BigEndian.AppendUint32(w.AvailableBuffer(), uint32(1+len(f.body)))
			if _, err := w.Write(append(head, f.kind)); err != nil {
				return err
			}
			if _, err := w.Write(f.body); err != nil {
				return err
			}
			if f.kind != framePing {
				c.wrote(f)
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

// read returns the next frame that is no ping, which must come soon, or a ping before it.
func (c *conn) read(limit int) (frame, error) {
	for {
		if err := c.net.SetReadDeadline(time.Now().Add(silentAfter)); err != nil {
			return frame{}, err
		}
		if f, err := c.readAny(limit); err != nil || f.kind != framePing {
			return f, err
		}
	}
}

// readAny returns the next frame. Its length is checked before memory is taken.
func (c *conn) readAny(limit int) (frame, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.reader, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n < 1 || n > uint32(max(limit, 1)) {
		return frame{}, errFrame
	}
	body := make([]byte, n-1)
	_, err := io.ReadFull(c.reader, body)
	return frame{head[4], body}, err
}
