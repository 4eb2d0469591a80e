// SPDX-License-Identifier: Apache-2.0

package transport_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestRedirects(t *testing.T) {
	reached := false
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached = true })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/other":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/same":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		}
	})
	client := transport.New(transport.Options{})
	for path, ok := range map[string]bool{"/same": true, "/other": false, "/loop": false} {
		resp, err := client.Get(s.URL + path)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != ok {
			t.Errorf("GET %s: %v", path, err)
		}
	}
	if reached {
		t.Error("a request followed a redirect to another host")
	}
}

// TestStall has a server that accepts, one that answers nothing, and one that drips; with none of them may a request last for ever.
func TestStall(t *testing.T) {
	ended := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.URL.Path == "/drip" {
			if _, err := w.Write([]byte("x")); err != nil || http.NewResponseController(w).Flush() != nil {
				break
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	defer close(ended)
	client := transport.New(transport.Options{StallTimeout: 50 * time.Millisecond})
	for _, path := range []string{"/silent", "/drip"} {
		resp, err := client.Get(s.URL + path)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
			t.Errorf("GET %s: %v; want a time-out", path, err)
		}
	}
}

// TestSteady: whoever goes on sending or receiving enough is not cut off, however long it takes.
func TestSteady(t *testing.T) {
	const pieces, piece = 20, 128 << 10
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != 64<<10 {
			http.Error(w, "short", http.StatusBadRequest)
			return
		}
		for range pieces {
			w.Write(make([]byte, piece))
			http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	client := transport.New(transport.Options{StallTimeout: 150 * time.Millisecond, UploadBytesPerSecond: 256 << 10})
	resp, err := client.Post(s.URL, "", bytes.NewReader(make([]byte, 64<<10)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != pieces*piece {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestUploadLimitEndsWithItsRequest(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	ctx, cancel := context.WithCancel(t.Context())
	client := transport.New(transport.Options{UploadBytesPerSecond: 4096})
	body := &signal{Reader: bytes.NewReader(make([]byte, 1<<20)), read: cancel}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("a slow upload that was cancelled: %v", err)
	}
}

type signal struct {
	io.Reader
	read func()
}

func (s *signal) Read(p []byte) (int, error) {
	s.read()
	return s.Reader.Read(p)
}

func TestReadAll(t *testing.T) {
	for text, want := range map[string]error{"": nil, "1234": nil, "12345": transport.ErrTooLong} {
		got, err := transport.ReadAll(strings.NewReader(text), 4)
		if err != want || string(got) != text[:min(4, len(text))] {
			t.Errorf("ReadAll(%q) = %q, %v", text, got, err)
		}
	}
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("reset")
		var waits []time.Duration
		r := &transport.Retry{Notify: func(_ error, wait time.Duration) { waits = append(waits, wait) }}

		began := time.Now()
		err := r.Do(t.Context(), func(context.Context) error { return transport.Temporary(broken, 0) })
		if !errors.Is(err, blob.ErrUnreachable) || !errors.Is(err, broken) || time.Since(began) > 15*time.Second || len(waits) < 4 {
			t.Errorf("never answered: %v after %v and waits of %v", err, time.Since(began), waits)
		}
		if err := r.Do(t.Context(), func(context.Context) error { return blob.ErrNotFound }); err != blob.ErrNotFound {
			t.Errorf("an answer: %v", err)
		}
		began, tries := time.Now(), 0
		err = r.Do(t.Context(), func(context.Context) error {
			if tries++; time.Since(began) < 4*time.Minute {
				return transport.Temporary(broken, 0)
			}
			return nil
		})
		if err != nil || tries > 30 {
			t.Errorf("away for 4 minutes: %v after %d tries", err, tries)
		}
		began, waits = time.Now(), nil
		err = r.Do(t.Context(), func(context.Context) error {
			if time.Since(began) == 0 {
				return transport.Temporary(broken, 42*time.Second)
			}
			return nil
		})
		if err != nil || len(waits) != 1 || waits[0] != 42*time.Second {
			t.Errorf("asked to wait for 42 s: %v, waited %v", err, waits)
		}
		began = time.Now()
		err = r.Do(t.Context(), func(context.Context) error { return transport.Temporary(broken, time.Hour) })
		if !errors.Is(err, blob.ErrUnreachable) || time.Since(began) != 0 || !strings.Contains(err.Error(), "1h0m0s") {
			t.Errorf("asked to wait for an hour: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = r.Do(ctx, func(context.Context) error { return transport.Temporary(broken, 0) })
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("the context's end: %v", err)
		}
	})
}

func TestFromStatus(t *testing.T) {
	for status, want := range map[int]bool{200: false, 403: false, 404: false, 412: false, 429: true, 500: true, 501: false, 503: true, 507: false} {
		if passes, _ := transport.FromStatus(&http.Response{StatusCode: status}); passes != want {
			t.Errorf("status %d passes: %v", status, passes)
		}
	}
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for text, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "-1": 0, "99999999999999999999": 0, "soon": 0, date: time.Hour} {
		resp := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {text}}}
		if _, after := transport.FromStatus(resp); after.Round(time.Minute) != want && after != want {
			t.Errorf("Retry-After %q: %v", text, after)
		}
	}
}

func TestFromNetwork(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	_, err := transport.New(transport.Options{}).Get(s.URL)
	if err = transport.FromNetwork(t.Context(), err); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("a certificate of nobody: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := transport.FromNetwork(ctx, io.EOF); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if transport.FromNetwork(t.Context(), nil) != nil {
		t.Error("no error became one")
	}
}
