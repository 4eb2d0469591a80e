// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"bytes"
	"io"
	"sync"
)

// pipeSize bounds what one direction of a Pipe holds, in bytes, as the buffer of a
// socket would. It is less than MaxFrame: a writer that counts on room for a whole frame
// fails in a test already.
const pipeSize = 1 << 20

// Pipe connects a host with a core in the same process. Like a socket it buffers a
// bounded amount; what was written before a Close can still be read by the other
// end, and then it reads io.EOF.
func Pipe() (host, core *Conn) {
	down, up := newLane(), newLane()
	return NewConn(pipeEnd{read: up, write: down}), NewConn(pipeEnd{read: down, write: up})
}

type pipeEnd struct{ read, write *lane }

func (e pipeEnd) Read(p []byte) (int, error)  { return e.read.Read(p) }
func (e pipeEnd) Write(p []byte) (int, error) { return e.write.Write(p) }

func (e pipeEnd) Close() error {
	e.read.abandon()
	e.write.end()
	return nil
}

// A lane is one direction. Each change of its fields wakes everybody who waits for
// one: there are two of them at most, and so no wake-up can be lost to the wrong one.
type lane struct {
	mu        sync.Mutex
	changed   sync.Cond
	buffer    bytes.Buffer
	ended     bool // nothing more will be written
	abandoned bool // nothing more will be read
}

func newLane() *lane {
	l := new(lane)
	l.changed.L = &l.mu
	return l
}

func (l *lane) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.buffer.Len() == 0 && !l.ended && !l.abandoned && len(p) > 0 {
		l.changed.Wait()
	}
	if l.abandoned {
		return 0, io.ErrClosedPipe
	}
	l.changed.Broadcast()
	return l.buffer.Read(p) // io.EOF if it is empty
}

func (l *lane) Write(p []byte) (written int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(p) > 0 {
		for l.buffer.Len() >= pipeSize && !l.ended && !l.abandoned {
			l.changed.Wait()
		}
		if l.ended || l.abandoned {
			return written, io.ErrClosedPipe
		}
		n := min(len(p), pipeSize-l.buffer.Len())
		l.buffer.Write(p[:n])
		written, p = written+n, p[n:]
		l.changed.Broadcast()
	}
	return written, nil
}

func (l *lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.changed.Broadcast()
}

func (l *lane) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.abandoned = true
	l.buffer = bytes.Buffer{}
	l.changed.Broadcast()
}
