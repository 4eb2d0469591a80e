// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

// hasty gives up soon where the test waits for it, and never where a busy machine might need longer.
var hasty = patience{
	hello: time.Minute, ping: 10 * time.Millisecond, misses: 6000, cancel: time.Minute, status: time.Minute, end: time.Minute,
}

// calls are all methods of a store.
var calls = map[string]func(ctx context.Context, s blob.Store) error{
	"put": func(ctx context.Context, s blob.Store) error { return s.Put(ctx, "d/x", make([]byte, 1<<20)) },
	"read": func(ctx context.Context, s blob.Store) error {
		_, err := s.ReadAt(ctx, "d/x", make([]byte, 10), 0)
		return err
	},
	"delete": func(ctx context.Context, s blob.Store) error { return s.Delete(ctx, "d/x") },
	"list": func(ctx context.Context, s blob.Store) error {
		for _, err := range s.List(ctx, "") {
			if err != nil {
				return err
			}
		}
		return nil
	},
}

func TestBadHelpers(t *testing.T) {
	hung := hasty
	hung.misses = 5
	for name, c := range map[string]struct {
		p    patience
		says string
	}{
		"garbage": {hasty, "breaks the protocol"},
		"huge":    {hasty, "breaks the protocol"},
		"hung":    {hung, "does not answer"},
	} {
		for method, call := range calls {
			t.Run(name+"/"+method, func(t *testing.T) {
				s := openHelper(t, c.p, name)
				err := call(t.Context(), s)
				if !errors.Is(err, blob.ErrUnreachable) || !strings.Contains(err.Error(), c.says) {
					t.Error(err)
				}
			})
		}
	}
}

func TestNoHello(t *testing.T) {
	mute := hasty
	mute.hello = 50 * time.Millisecond
	for name, c := range map[string]struct {
		p    patience
		says string
	}{
		"mute":     {mute, "does not say hello"},
		"stranger": {hasty, "is it a helper?"},
		"crashing": {hasty, "exit status 3"},
	} {
		_, err := open(t.Context(), config(t, name), c.p)
		if !errors.Is(err, blob.ErrUnreachable) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := open(ctx, config(t, "mute"), hasty); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestHungHelperLetsGo: whoever cancels need not wait until the helper is found dead.
func TestHungHelperLetsGo(t *testing.T) {
	p := hasty
	p.cancel = 10 * time.Millisecond
	for method, call := range calls {
		t.Run(method, func(t *testing.T) {
			s := openHelper(t, p, "hung")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			if err := call(ctx, s); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			stopped, stop := context.WithCancel(t.Context())
			stop()
			if err := s.Shutdown(stopped); err == nil {
				t.Error("a hung helper ended in order")
			}
		})
	}
}

func TestDeadHelperIsStartedAgain(t *testing.T) {
	dir := t.TempDir()
	s := openHelper(t, hasty, "dying", dir)
	die := func() error { return s.Put(t.Context(), "x", []byte("x")) }
	starts := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	// One that does its work between its deaths may die often.
	for range 2 * quickStarts {
		if _, err := s.ReadAt(t.Context(), "x", nil, 0); !errors.Is(err, blob.ErrNotFound) {
			t.Fatal(err)
		}
		if err := die(); !errors.Is(err, blob.ErrUnreachable) || !strings.Contains(err.Error(), "exit status 7") {
			t.Fatal(err)
		}
	}
	before := starts()
	if before != 2*quickStarts {
		t.Errorf("%d starts for %d deaths", before, 2*quickStarts)
	}
	// One that does not, may not.
	for range 2 * quickStarts {
		if err := die(); !errors.Is(err, blob.ErrUnreachable) {
			t.Fatal(err)
		}
	}
	if got := starts() - before; got != quickStarts {
		t.Errorf("%d starts without any work, not %d", got, quickStarts)
	}
	if err := die(); err == nil || !strings.Contains(err.Error(), "tried again in a minute") {
		t.Error(err)
	}
	s.last = s.last.Add(-2 * startPause)
	if _, err := s.ReadAt(t.Context(), "x", nil, 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after the pause: %v", err)
	}
}

func TestKilledHelper(t *testing.T) {
	s := openHelper(t, hasty, "memory")
	seen := 0
	for i := range 1000 {
		if err := s.Put(t.Context(), "a/"+strings.Repeat("x", 1+i%100)+string(rune('a'+i/100)), nil); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for _, err = range s.List(t.Context(), "") {
		if seen++; seen == 1 {
			if killErr := s.process.cmd.Process.Kill(); killErr != nil {
				t.Fatal(killErr)
			}
			<-s.process.gone
		}
	}
	if !errors.Is(err, blob.ErrUnreachable) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("after %d objects: %v", seen, err)
	}
	if err := s.Delete(t.Context(), "d/x"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("by the next helper: %v", err)
	}
}

func TestClose(t *testing.T) {
	s := openHelper(t, hasty, "memory")
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	for method, call := range calls {
		if err := call(t.Context(), s); err == nil {
			t.Errorf("%s after Close succeeded", method)
		}
	}
	impatient := hasty
	impatient.end = 10 * time.Millisecond
	if err := openHelper(t, impatient, "stubborn").Close(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close of a helper that does not end: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	s := openHelper(t, hasty, "memory")
	if err := s.Put(t.Context(), "x", make([]byte, MaxObjectBytes+1)); err == nil {
		t.Error("an object that is too large was put")
	}
	if testing.Short() {
		t.Skip("the largest object takes long under the race detector")
	}
	data := make([]byte, MaxObjectBytes)
	data[0], data[len(data)-1] = 1, 2
	if err := s.Put(t.Context(), "x", data); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, MaxObjectBytes+10)
	n, err := s.ReadAt(t.Context(), "x", p, 0)
	if n != len(data) || err != io.EOF || p[0] != 1 || p[n-1] != 2 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
