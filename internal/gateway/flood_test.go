// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
)

// Whoever sends half of something and waits is let go, and holds no slot any more.
func TestHalfSent(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{Concurrent: 4} })
	s := e.Server()
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Fatal("a connection may last for ever")
	}
	const soon = 50 * time.Millisecond
	s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout = soon, soon, soon
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(listener)
	defer s.Close()
	headers := "POST " + procedureCall + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAuthorization: Bearer alice\r\nContent-Length: 6\r\n"
	var conns []net.Conn
	for range 10 {
		for _, half := range []string{"", "POST", headers, headers + "\r\n", headers + "\r\n\"AQ", "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, half)
			conns = append(conns, conn)
		}
	}
	for _, conn := range conns {
		io.Copy(io.Discard, conn) // until the other end has closed it
	}
	if _, err := e.call(t, client(t, false), "alice", []byte{1}); err != nil || len(e.slots) != 0 || e.vault.calls() != 1 {
		t.Errorf("afterwards %d slots are taken, after %d calls: %v", len(e.slots), e.vault.calls(), err)
	}
}

// A stream that its client resets holds a slot no longer than the vault takes to hear of it, and no stream beyond the limits does.
func TestResets(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{PerAccountPerMinute: -1, PerAddressPerMinute: -1, Concurrent: 8} })
	inside := make(chan struct{})
	e.vault.handle = func(ctx context.Context, request []byte) ([]byte, error) {
		if request[0] == 2 {
			return request, nil
		}
		inside <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c := client(t, true)
	reset := func() {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+procedureCall, strings.NewReader(`"AQ=="`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer alice"}}
		ended := make(chan error)
		go func() {
			response, err := c.Do(r)
			if err == nil {
				response.Body.Close()
			}
			ended <- err
		}()
		select {
		case <-inside:
			cancel()
			if err := <-ended; err == nil {
				t.Error("it was answered")
			}
		case err := <-ended: // the slots of those before it are not free yet
			cancel()
			if err != nil {
				t.Error(err)
			}
		}
	}
	for range 500 {
		reset()
	}
	for {
		_, err := e.call(t, c, "alice", []byte{2})
		if err == nil {
			return
		}
		if connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Fatal(err)
		}
	}
}

// Headers are bounded before they are read.
func TestHeaderFlood(t *testing.T) {
	e := serve(t, nil)
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		for what, header := range map[string]http.Header{
			"one long header":      {"X": {strings.Repeat("x", 1<<20)}},
			"many headers":         {"X": strings.Split(strings.Repeat("x ", 100_000), " ")},
			"a token that is long": {"Authorization": {"Bearer " + strings.Repeat("x", 64<<10)}},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+procedureCall, strings.NewReader(`"AQ=="`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = header
			r.Header.Set("Content-Type", "application/json")
			response, err := client(t, http2).Do(r)
			if err != nil {
				continue // it hung up
			}
			response.Body.Close()
			if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%s by %s: %s", what, name, response.Status)
			}
		}
	}
	if _, err := e.call(t, client(t, false), "alice", []byte{1}); err != nil || e.vault.calls() != 1 {
		t.Errorf("afterwards, %d calls: %v", e.vault.calls(), err)
	}
}
