// SPDX-License-Identifier: Apache-2.0

// Package faultnet is a bad network between a driver and its server, for tests: it loses requests, cuts them and their
// answers in the middle, answers in the server's place that it is busy, and lets bytes drip.
//
// It passes everything else on unchanged, the Host header included, so that signatures and absolute addresses stay
// valid. It guarantees nothing about order: which request is the nth is up to who sends them at once. It speaks plain
// HTTP/1.1, on this machine alone, and must never stand before a server that matters.
package faultnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what happens to a request.
type Fault int

// What can happen.
const (
	None       Fault = iota
	Lost             // it does not arrive, and its connection is reset
	CutRequest       // the server gets half of its body, then both connections are reset
	Unanswered       // the server acts, and the client's connection is reset before the answer
	CutAnswer        // the client gets half of the answer's body, then a reset
	Busy             // 503, and the server gets nothing
	TooMany          // 429, and the server gets nothing
	Failed           // the server acts, and the client gets 500
	Slow             // it passes, late and in pieces

	kinds
)

var names = [kinds]string{"none", "lost", "cut request", "unanswered", "cut answer", "busy", "too many", "failed", "slow"}

func (f Fault) String() string { return names[f] }

// Plan says what happens to the nth request, counted from 1. Many requests may ask at once.
type Plan func(n int, r *http.Request) Fault

// Net stands before one server.
type Net struct {
	URL string // what stands for the server's own

	plan   Plan
	server *url.URL
	client *http.Transport
	asked  atomic.Int64
	faults [kinds]atomic.Int64
}

// New stands before the server until the test ends.
func New(t *testing.T, server string, plan Plan) *Net {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	n := &Net{plan: plan, server: to, client: &http.Transport{DisableCompression: true}}
	front := httptest.NewServer(n)
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		n.client.CloseIdleConnections()
	})
	own := *to
	own.Host = front.Listener.Addr().String()
	n.URL = own.String()
	return n
}

// Faults returns how often each fault happened.
func (n *Net) Faults() map[string]int {
	counts := map[string]int{}
	for f := range n.faults {
		if times := n.faults[f].Load(); times > 0 {
			counts[names[f]] = int(times)
		}
	}
	return counts
}

// ServeHTTP implements [http.Handler].
func (n *Net) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := n.plan(int(n.asked.Add(1)), r)
	n.faults[fault].Add(1)
	switch fault {
	case Lost:
		reset(w)
	case Busy:
		refuse(w, http.StatusServiceUnavailable)
	case TooMany:
		refuse(w, http.StatusTooManyRequests)
	default:
		n.pass(w, r, fault)
	}
}

// pass sends the request on.
func (n *Net) pass(w http.ResponseWriter, r *http.Request, fault Fault) {
	out := r.Clone(context.WithoutCancel(r.Context())) // what arrived is acted on, also when the client has gone
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host, out.Host = n.server.Scheme, n.server.Host, r.Host
	if r.ContentLength == 0 {
		out.Body = nil
	} else {
		out.Body = body{n.shape(r.Body, r.ContentLength, fault == CutRequest, fault), r.Body}
	}
	resp, err := n.client.RoundTrip(out)
	if err != nil {
		reset(w)
		return
	}
	defer resp.Body.Close()
	switch fault {
	case CutRequest, Unanswered:
		io.Copy(io.Discard, resp.Body)
		reset(w)
		return
	case Failed:
		io.Copy(io.Discard, resp.Body)
		refuse(w, http.StatusInternalServerError)
		return
	}
	for key, values := range resp.Header {
		w.Header()[key] = values
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, n.shape(resp.Body, resp.ContentLength, fault == CutAnswer, fault)); err != nil {
		http.NewResponseController(w).Flush()
		reset(w)
	}
}

type body struct {
	io.Reader
	io.Closer
}

var errCut = errors.New("cut")

// shape gives half of a stream and then an error, or drips it.
func (n *Net) shape(r io.Reader, length int64, cut bool, fault Fault) io.Reader {
	if cut {
		return io.MultiReader(io.LimitReader(r, max(length, 0)/2), broken{})
	}
	if fault == Slow {
		return &slow{r}
	}
	return r
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }

// slow gives a stream late, and at most 64 KiB of it at once.
type slow struct{ io.Reader }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(2 * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 64<<10)])
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Retry-After", "0")
	w.WriteHeader(status)
}

// reset ends the client's connection the hard way: what was sent and not yet read is lost too.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}
