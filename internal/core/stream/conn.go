// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// A Conn carries frames. One goroutine may read and one may write at a time; Close
// may be called by any, and unblocks both.
type Conn struct {
	closer  io.Closer
	reader  *bufio.Reader
	writer  *bufio.Writer
	scratch []byte
}

const bufferSize = 64 << 10

// NewConn takes over rwc.
func NewConn(rwc io.ReadWriteCloser) *Conn {
	return &Conn{
		closer: rwc,
		reader: bufio.NewReaderSize(rwc, bufferSize),
		writer: bufio.NewWriterSize(rwc, bufferSize),
	}
}

// Read returns the next frame. The error is io.EOF if the stream ended between two
// frames, and io.ErrUnexpectedEOF if within one. After any error the Conn is of no
// more use: nobody knows where the next frame would begin.
func (c *Conn) Read() (Frame, error) {
	body, err := readBody(c.reader)
	if err != nil {
		return nil, err
	}
	return decode(body)
}

// Write buffers one frame. Of one that is out of bounds nothing is sent.
func (c *Conn) Write(f Frame) error {
	if !f.valid() {
		return ErrMalformed
	}
	if p, ok := f.(Persist); ok && p.Size() >= MaxFrame {
		return ErrTooLarge // before the copy is made
	}
	c.scratch = appendFrame(c.scratch[:0], f)
	err := writeBody(c.writer, c.scratch)
	if cap(c.scratch) > bufferSize {
		c.scratch = nil // one large Persist should not hold its memory for ever
	}
	return err
}

// Flush sends what Write buffered.
func (c *Conn) Flush() error { return c.writer.Flush() }

// Close ends both directions at once. What was not flushed is lost.
func (c *Conn) Close() error { return c.closer.Close() }

// readBody reads a length and as many bytes, at least one and at most MaxFrame, into
// memory of their own. A length over that is ErrTooLarge before any is taken.
func readBody(r *bufio.Reader) ([]byte, error) {
	header, err := r.Peek(4)
	if err != nil {
		return nil, endedAfter(len(header), err)
	}
	n, err := length(header)
	if err != nil {
		return nil, err
	}
	_, _ = r.Discard(len(header)) // they are there
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, endedAfter(len(header), err)
	}
	return body, nil
}

// endedAfter tells an end within a frame from one between two.
func endedAfter(read int, err error) error {
	if read > 0 && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeBody writes what readBody reads.
func writeBody(w *bufio.Writer, body []byte) error {
	if len(body) > MaxFrame {
		return ErrTooLarge
	}
	if _, err := w.Write(binary.BigEndian.AppendUint32(w.AvailableBuffer(), uint32(len(body)))); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}
