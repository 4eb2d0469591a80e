// SPDX-License-Identifier: Apache-2.0

// Package transport is how drivers talk HTTP to a destination: a client that never waits for ever and never sends a
// credential to another host, a limit on uploads, and one way to try again.
//
// It guarantees that a connection on which nothing moves for a while ends with an error, also where the other end drips a
// byte now and then; that what is kept of an answer's header is bounded; and that what failed for a moment is tried again
// with growing, random waits, for a bounded time. It trusts the system's certificates and nothing that a
// destination says: a Retry-After is kept only within the caller's patience. It refuses redirects to other hosts. It knows no driver's
// errors; they say what may be repeated.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

const (
	stallTimeout    = time.Minute
	maxHeaderBytes  = 64 << 10
	maxRedirects    = 3
	writeChunkBytes = 16 << 10

	// Less than this received in a stallTimeout is a stall. It is a tenth of the slowest mobile network.
	minWindowBytes = 64 << 10
)

// Options of a client. The zero value is usable.
type Options struct {
	// UploadBytesPerSecond bounds what all connections of the client send together; 0 is no bound.
	UploadBytesPerSecond int64

	// StallTimeout replaces the minute after which a connection without progress is given up.
	StallTimeout time.Duration

	// TLS replaces the system's roots, for a server with a certificate of its own.
	TLS *tls.Config
}

// New returns a client for one destination. It speaks HTTP/1.1 alone, so that a connection serves one request at a
// time, and one that stalls is that request's affair.
func New(o Options) *http.Client {
	if o.StallTimeout <= 0 {
		o.StallTimeout = stallTimeout
	}
	d := dialer{net: net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}, stall: o.StallTimeout}
	if o.UploadBytesPerSecond > 0 {
		chunk := int(min(writeChunkBytes, max(1, o.UploadBytesPerSecond)))
		d.limit = rate.NewLimiter(rate.Limit(o.UploadBytesPerSecond), chunk)
	}
	return &http.Client{
		CheckRedirect: sameHost,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            d.dial,
			TLSClientConfig:        o.TLS,
			TLSHandshakeTimeout:    15 * time.Second,
			MaxResponseHeaderBytes: maxHeaderBytes,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        o.StallTimeout / 2,
		},
	}
}

// sameHost refuses to follow a destination to another host, port or scheme: the request carries credentials and sealed
// objects that are meant for this one.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case next.URL.Host != first.Host || next.URL.Scheme != first.Scheme:
		return fmt.Errorf("%s redirects to %s://%s, which was not asked for; use that address if it is right",
			first.Host, next.URL.Scheme, next.URL.Host)
	case len(via) > maxRedirects:
		return fmt.Errorf("%s redirects more than %d times", first.Host, maxRedirects)
	}
	return nil
}

type dialer struct {
	net   net.Dialer
	stall time.Duration
	limit *rate.Limiter // nil: none
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.net.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.Background())
	w := &conn{Conn: c, d: d, life: life, end: end}
	return w, w.extend()
}

// A conn ends when nothing moves. What is sent puts the end off, because we send only what we want to; what is received does
// so only in amounts that are worth waiting for. One goroutine writes and one reads, and received is the reader's alone.
type conn struct {
	net.Conn
	d        *dialer
	life     context.Context // ends with Close, and with it a wait for the limit
	end      context.CancelFunc
	received int // bytes since extend
}

// extend also reaches a Read or Write that waits already.
func (c *conn) extend() error { return c.SetDeadline(time.Now().Add(c.d.stall)) }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received += n
	if err == nil && c.received >= minWindowBytes {
		c.received = 0
		err = c.extend()
	}
	return n, err
}

func (c *conn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		chunk := p[n:min(len(p), n+writeChunkBytes)]
		if c.d.limit != nil {
			chunk = chunk[:min(len(chunk), c.d.limit.Burst())]
			if c.d.limit.WaitN(c.life, len(chunk)) != nil {
				return n, net.ErrClosed
			}
		}
		if err = c.extend(); err != nil {
			break
		}
		var sent int
		sent, err = c.Conn.Write(chunk)
		n += sent
	}
	return n, err
}

func (c *conn) Close() error {
	c.end()
	return c.Conn.Close()
}

// ErrTooLong means that an answer is longer than was asked for or can be used.
var ErrTooLong = errors.New("the destination's answer is too long")

// ReadAll reads a body of at most so many bytes, such as an error's text. A longer one gives its beginning with ErrTooLong.
func ReadAll(body io.Reader, maxBytes int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, int64(maxBytes)+1))
	if len(data) > maxBytes {
		return data[:maxBytes], ErrTooLong
	}
	return data, err
}
