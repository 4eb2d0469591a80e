// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2"
)

const (
	headerSize  = 10   // of a command and of a response: tag, size, code
	maxResponse = 4096 // what a TPM may answer at most, in bytes

	// A TPM may take this long for one command. Making a key takes seconds on slow ones.
	commandTimeout = 2 * time.Minute

	// A busy TPM is asked again so often, with a pause that doubles up to the longest: about ten seconds together.
	busyTries    = 24
	shortestWait = 5 * time.Millisecond
	longestWait  = 500 * time.Millisecond
)

// device is the kernel's character device, or a Unix socket as swtpm serves it.
type device interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// opener dials a device.
type opener func(context.Context) (d device, alone bool, err error)

// dial opens a device. Alone says that the TPM talks to nobody else meanwhile.
func dial(ctx context.Context, path string) (d device, alone bool, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case info.Mode()&fs.ModeSocket != 0:
		d, err = dialSocket(ctx, path)
		alone = true // swtpm serves one connection after the other
	case info.Mode()&fs.ModeCharDevice != 0:
		d, err = os.OpenFile(path, os.O_RDWR, 0)
	default:
		err = fmt.Errorf("%s is neither a device nor a socket", path)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return d, alone, nil
}

func dialSocket(ctx context.Context, path string) (d device, err error) {
	for p := (pause{}); ; {
		d, err = new(net.Dialer).DialContext(ctx, "unix", path)
		if !errors.Is(err, syscall.EAGAIN) || !p.wait(ctx) { // others wait for the TPM, too
			return d, err
		}
	}
}

// pause is what to wait before a busy TPM is asked again.
type pause struct {
	tries int
	next  time.Duration
}

// wait says false when it was long enough.
func (p *pause) wait(ctx context.Context) bool {
	p.tries, p.next = p.tries+1, max(shortestWait, min(2*p.next, longestWait))
	if p.tries == busyTries {
		return false
	}
	select {
	case <-time.After(p.next):
		return true
	case <-ctx.Done():
		return false
	}
}

// line is a device for the time of one call. It implements transport.TPM.
type line struct {
	ctx       context.Context
	device    device
	responses [][]byte // go-tpm decrypts what is secret in its place
}

// close leaves no secret behind. Nothing that came over the line is used after it.
func (l *line) close() error {
	for _, response := range l.responses {
		clear(response)
	}
	return l.device.Close()
}

// Send asks a busy TPM again, with the same bytes: one that says that it is busy has done nothing, and its
// side of the sessions has not moved.
func (l *line) Send(command []byte) ([]byte, error) {
	for p := (pause{}); ; {
		response, err := l.exchange(command)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(l.ctx.Err(), err))
		}
		if !busy(response) {
			return response, nil
		}
		if !p.wait(l.ctx) {
			return response, l.ctx.Err()
		}
	}
}

func busy(response []byte) bool {
	switch tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])) {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate:
		return true
	}
	return false
}

func (l *line) exchange(command []byte) ([]byte, error) {
	// A device of an old kernel has no deadlines; the kernel gives up by itself then.
	if err := l.device.SetDeadline(time.Now().Add(commandTimeout)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return nil, err
	}
	// A caller that is gone does not wait for a TPM that hangs. What the command did, the next call sees: a TPM does one after the other.
	defer context.AfterFunc(l.ctx, func() { l.device.SetDeadline(time.Unix(1, 0)) })()
	if _, err := l.device.Write(command); err != nil {
		return nil, err
	}
	response := make([]byte, maxResponse)
	l.responses = append(l.responses, response)
	for have, size := 0, headerSize; ; {
		// All that there is room for: a device of an old kernel drops what is not read at once.
		n, err := l.device.Read(response[have:])
		if have += n; have >= headerSize {
			size = int(min(binary.BigEndian.Uint32(response[2:]), maxResponse+1))
		}
		switch {
		case size < headerSize, size > maxResponse, have > size:
			return nil, fmt.Errorf("a response of %d bytes says it has %d", have, size)
		case have == size:
			return response[:size], nil
		case err != nil:
			return nil, err
		case n == 0:
			return nil, io.ErrUnexpectedEOF
		}
	}
}
