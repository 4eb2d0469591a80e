// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob/s3/s3test"
	"github.com/coffer-backup/coffer/internal/chatgen"
)

// link is a transport that a fault can be put into.
type link struct {
	mu    sync.Mutex
	n     int                                    // requests so far
	fault func(n int) (lost, cut, answered bool) // of the nth request: it is lost, its answer is cut, its answer is lost
}

func (l *link) RoundTrip(req *http.Request) (*http.Response, error) {
	l.mu.Lock()
	l.n++
	lost, cut, answered := l.fault(l.n)
	l.mu.Unlock()
	if lost {
		return nil, io.ErrUnexpectedEOF
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !cut && !answered {
		return resp, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if answered || err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text[:len(text)/2]), broken{}))
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// life is one archive of a small store on a real server.
type life struct {
	*testing.T
	order order
	link  *link
	size  chatgen.Config
	days  int
}

func newLife(t *testing.T, server *s3test.Server, bucket string) *life {
	l := &life{T: t, link: &link{fault: none}, size: chatgen.Config{Seed: 1, Messages: 1000, MediaFiles: 10, MediaMeanBytes: 20_000}}
	store := filepath.Join(t.TempDir(), "store")
	if err := chatgen.Generate(t.Context(), store, l.size); err != nil {
		t.Fatal(err)
	}
	l.order = newCoffer(t.TempDir(), store, place{server.Endpoint, server.AccessKey, server.SecretKey, bucket}).order
	l.order.transport, l.order.Now = l.link, time.Now().Add(time.Minute)
	l.must("create")
	return l
}

func none(int) (lost, cut, answered bool) { return false, false, false }

func (l *life) do(ctx context.Context, operation string) error {
	l.order.Now = l.order.Now.Add(time.Hour)
	l.order.Operation = operation
	return l.order.do(ctx)
}

func (l *life) must(operation string) {
	l.Helper()
	if err := l.do(l.Context(), operation); err != nil {
		l.Fatalf("%s: %v", operation, err)
	}
}

func (l *life) nextDay() {
	l.Helper()
	l.days++
	if err := chatgen.NextDay(l.Context(), l.order.Source, l.size, l.days); err != nil {
		l.Fatal(err)
	}
}

// wantRestored restores the newest snapshot and compares it with the store.
func (l *life) wantRestored() {
	l.Helper()
	l.order.To = filepath.Join(l.TempDir(), "restored")
	l.must("restore")
	differences, err := chatgen.Compare(l.order.Source, l.order.To)
	if err != nil || len(differences) > 0 {
		l.Fatalf("restored: %q, %v", differences, err)
	}
	os.RemoveAll(l.order.To)
}

func startServer(t *testing.T) *s3test.Server {
	server, err := s3test.Start(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// TestBadConnection: on one that loses requests, answers and halves of answers all goes well; it takes longer.
func TestBadConnection(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	l := newLife(t, startServer(t), "bad-connection")
	l.link.fault = func(int) (lost, cut, answered bool) {
		n := rng.IntN(60)
		return n == 0, n == 1, n == 2
	}
	l.must("backup")
	l.nextDay()
	l.must("backup")
	l.wantRestored()
	l.must("prune")
	l.order.Now = l.order.Now.Add(25 * time.Hour)
	l.must("prune") // deletes what the first has marked
	l.wantRestored()
}

// TestEnded ends a backup at each of its requests, before it is sent or when its answer was lost. The earlier snapshot stays whole, and the next
// run makes its own.
func TestEnded(t *testing.T) {
	server := startServer(t)
	step := 1
	if testing.Short() {
		step = 5
	}
	l := newLife(t, server, "ended")
	l.must("backup")
	before := l.link.n
	l.nextDay()
	l.must("backup")
	requests := l.link.n - before
	for at := 1; at <= requests; at += step {
		l.nextDay()
		ctx, cancel := context.WithCancel(t.Context())
		start, late := l.link.n, at%2 == 0
		l.link.fault = func(n int) (lost, cut, answered bool) {
			if n != start+at {
				return n > start+at, false, false // nothing more gets out
			}
			cancel()
			return !late, false, late
		}
		err := l.do(ctx, "backup")
		cancel()
		l.link.fault = none
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("ended at request %d: %v", at, err)
		}
		l.order.To = filepath.Join(t.TempDir(), fmt.Sprint(at))
		l.must("restore")
		l.must("backup")
		if at%5 == 1 {
			l.wantRestored()
		}
	}
}
