// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// silent answers nothing; it hands on what it reads.
func silent(frames chan<- stream.Frame) func(*countingCore) error {
	return func(c *countingCore) error {
		err := errors.Join(c.boot(), c.hello())
		for err == nil {
			var f stream.Frame
			if f, err = c.Read(); err == nil {
				frames <- f
			}
			if _, ok := f.(stream.Stop); ok {
				return errors.Join(c.send(stream.Bye{}), errStopped)
			}
		}
		return err
	}
}

func TestWaitingRequestsAreBounded(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	frames := make(chan stream.Frame, 16)
	cfg.Start, cfg.QueueLimit = newStarts(silent(frames)).start, 2
	r := run(t, cfg)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.Handle(t.Context(), make([]byte, stream.MaxEnvelope+1))
	mustBe(t, "a large request", err, ErrTooLarge)

	leaving, leave := context.WithCancel(t.Context())
	results := make(chan error, 2)
	ask := func(ctx context.Context) {
		go func() {
			_, err := r.Handle(ctx, nil)
			results <- err
		}()
		<-frames // the core has it, so it waits
	}
	ask(leaving)
	ask(t.Context())
	_, err = r.Handle(t.Context(), nil)
	mustBe(t, "one too many", err, ErrBusy)
	leave()
	mustBe(t, "who left", <-results, context.Canceled)
	ask(t.Context()) // in the place of who left
	mustBe(t, "run", r.stop(), nil)
	for range 2 {
		mustBe(t, "who waited at the end", <-results, ErrUnavailable)
	}
}

// A core that does not read, and callers who give up: what is queued stays bounded.
func TestUnreadRequestsAreBounded(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	release := make(chan struct{})
	cores := newStarts(func(c *countingCore) error {
		err := errors.Join(c.boot(), c.hello())
		<-release
		return err
	})
	cfg.Start, cfg.QueueLimit = cores.start, 10
	r := run(t, cfg)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err := context.Canceled
	for calls := 0; errors.Is(err, context.Canceled) && calls < 1000; calls++ {
		_, err = r.Handle(gone, make([]byte, stream.MaxEnvelope))
	}
	mustBe(t, "handle in the end", err, ErrBusy)
	r.cancel()
	close(release)
	<-r.result // the core hung up: no Bye
	cores.wait()
}

func TestStatsAndDescriptorAreTheCores(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	want := stream.Stats{Accounts: 1, Epoch: 4, Serving: true, Partitions: []stream.Partition{{Applied: 2, LogEntries: 3}}}
	cfg.Start = newStarts(func(c *countingCore) error {
		if err := errors.Join(c.boot(), c.send(want), c.hello()); err != nil {
			return err
		}
		for {
			if err := c.next(); err != nil {
				return err
			}
		}
	}).start
	r := run(t, cfg)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.Stats(); !reflect.DeepEqual(got, want) {
		t.Errorf("stats %+v", got)
	}
	if got, err := r.Descriptor(t.Context()); string(got) != descriptor || err != nil {
		t.Errorf("descriptor %q, %v", got, err)
	}
	mustBe(t, "run", r.stop(), nil)
}
