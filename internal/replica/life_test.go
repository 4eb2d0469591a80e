// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// Each life of the core is given what the one before left, its unanswered requests
// fail, and what the operator sees follows.
func TestTheCoreComesBack(t *testing.T) {
	noLeaks(t)
	fs := vfs.NewMem()
	cfg := created(t, fs)
	dying := func(c *countingCore) error { // of its third request
		if err := errors.Join(c.boot(), c.hello()); err != nil {
			return err
		}
		for range 2*2 + 1 { // two requests and their Durables
			if err := c.next(); err != nil {
				return err
			}
		}
		return errStopped
	}
	var second *countingCore
	cores := newStarts(dying, func(c *countingCore) error {
		second = c
		return c.serve()
	})
	cfg.Start = cores.start
	r := run(t, cfg)
	for _, want := range []string{"1", "2"} {
		r.mustAnswer(t, want)
	}
	_, err := r.Handle(t.Context(), nil)
	mustBe(t, "the request that the core died of", err, ErrUnavailable)
	// The third request's Persist may have been read before the connection broke.
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Handle(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	cores.wait()
	checkState(t, second.state, 2)
	if cores.begun != 2 {
		t.Errorf("%d lives", cores.begun)
	}
	_, err = r.Descriptor(t.Context())
	mustBe(t, "descriptor at the end", err, ErrUnavailable)
	mustBe(t, "ready at the end", r.Ready(t.Context()), ErrUnavailable)
}

// next reads and handles one frame.
func (c *countingCore) next() error {
	frame, err := c.Read()
	if err != nil {
		return err
	}
	return c.handle(frame)
}

func (r *running) mustAnswer(t *testing.T, want string) {
	t.Helper()
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Handle(t.Context(), nil); err != nil || string(got) != want {
		t.Fatalf("answer %q, %v; want %q", got, err, want)
	}
}

// A Start that fails is tried again; ctx ends it, and the ctx of a started core ends
// with its connection.
func TestStartIsTriedAgain(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	tries, lives := 0, make(chan context.Context, 1)
	start := newStarts(serving).start
	cfg.Start = func(ctx context.Context) (*stream.Conn, error) {
		if tries++; tries == 1 {
			return nil, errStopped
		}
		lives <- ctx
		return start(ctx)
	}
	r := run(t, cfg)
	r.mustAnswer(t, "1")
	life := <-lives
	mustBe(t, "the core's context while it serves", life.Err(), nil)
	mustBe(t, "run", r.stop(), nil)
	mustBe(t, "the core's context at the end", life.Err(), context.Canceled)

	waiting := make(chan struct{})
	cfg.Start = func(ctx context.Context) (*stream.Conn, error) {
		close(waiting)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	r = run(t, cfg)
	<-waiting
	mustBe(t, "run that was ended in Start", r.stop(), nil)
}

func TestAFatalCoreIsNotReplaced(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	cores := newStarts(func(c *countingCore) error {
		if err := errors.Join(c.boot(), c.hello(), c.Write(stream.Fatal{Text: "INV-BUDGET"}), c.Flush()); err != nil {
			return err
		}
		_, err := c.Read() // it keeps its memory, until the host goes
		return err
	})
	cfg.Start = cores.start
	r := run(t, cfg)
	err := <-r.result
	mustBe(t, "run", err, ErrCoreFatal)
	mustBe(t, "failure", r.Failure(), ErrCoreFatal)
	if want := `replica: the core stopped itself: "INV-BUDGET"`; err.Error() != want {
		t.Errorf("%q; want %q", err, want)
	}
	_, err = r.Handle(t.Context(), nil)
	mustBe(t, "handle", err, ErrUnavailable)
	if err.Error() != ErrUnavailable.Error() {
		t.Errorf("a client is told %q", err)
	}
	cores.wait()
	if cores.begun != 1 {
		t.Errorf("%d lives", cores.begun)
	}
}

func TestBrokenProtocolStopsTheReplica(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	for name, frames := range map[string][]stream.Frame{
		"Bye without Stop":    {stream.Bye{}},
		"a frame of the host": {stream.LoadEnd{}},
		"another version":     {stream.Hello{Version: stream.Version + 1}},
		"Hello twice":         {stream.Hello{Version: stream.Version}, stream.Hello{Version: stream.Version}},
		"Persist 0":           {stream.Persist{Seq: 0}},
		"Persist again":       {stream.Persist{Seq: 4}, stream.Persist{Seq: 4}},
		"Persist backwards":   {stream.Persist{Seq: 4}, stream.Persist{Seq: 3}},
		"Answer to nobody":    {stream.Hello{Version: stream.Version}, stream.Answer{ID: 1}},
		"Answer before Hello": {stream.Answer{ID: 1}},
		"Answer 0":            {stream.Hello{Version: stream.Version}, stream.Answer{ID: 0}},
	} {
		cores := newStarts(func(c *countingCore) error {
			err := c.boot()
			for _, f := range frames {
				err = errors.Join(err, c.send(f))
			}
			for err == nil {
				_, err = c.Read()
			}
			return err
		})
		cfg.Start = cores.start
		mustBe(t, name, <-run(t, cfg).result, ErrProtocol)
		cores.wait()
	}
}

// A core dies of many requests: all who wait hear of it, and the next life cannot
// answer in the place of the first.
func TestAllWhoWaitHearOfTheEnd(t *testing.T) {
	noLeaks(t)
	const count = 10
	cfg := created(t, vfs.NewMem())
	cores := newStarts(func(c *countingCore) error {
		err := errors.Join(c.boot(), c.hello())
		for range count {
			_, readErr := c.Read()
			err = errors.Join(err, readErr)
		}
		return err
	}, func(c *countingCore) error {
		err := errors.Join(c.boot(), c.hello(), c.send(stream.Answer{ID: count}))
		for err == nil {
			_, err = c.Read()
		}
		return err
	})
	cfg.Start = cores.start
	r := run(t, cfg)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, count)
	for range count {
		go func() {
			_, err := r.Handle(t.Context(), nil)
			results <- err
		}()
	}
	for range count {
		mustBe(t, "who waited", <-results, ErrUnavailable)
	}
	mustBe(t, "run", <-r.result, ErrProtocol)
	cores.wait()
	if cores.begun != 2 {
		t.Errorf("%d lives", cores.begun)
	}
}

// A core that came while Run was being ended is let go.
func TestACoreThatComesTooLateIsLetGo(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	replica, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cores := newStarts(serving)
	replica.cfg.Start = func(life context.Context) (*stream.Conn, error) {
		cancel()
		return cores.start(life)
	}
	mustBe(t, "run", replica.Run(ctx), nil)
	cores.wait()
}

func TestGarbageFromTheCoreStopsTheReplica(t *testing.T) {
	noLeaks(t)
	cfg := created(t, vfs.NewMem())
	for name, garbage := range map[string]string{
		"no frame":    "\x00\x00\x00\x01\x7f",
		"large claim": "\xff\xff\xff\xff",
	} {
		ended := make(chan struct{})
		cfg.Start = func(context.Context) (*stream.Conn, error) {
			host, core := net.Pipe()
			go func() {
				defer close(ended)
				boot := countingCore{Conn: stream.NewConn(core)}
				if err := boot.boot(); err != nil {
					t.Error(err)
				}
				_, _ = core.Write([]byte(garbage)) // the host may hang up in the middle
			}()
			return stream.NewConn(host), nil
		}
		mustBe(t, name, <-run(t, cfg).result, ErrProtocol)
		<-ended
	}
}

// A core that does not come to its end is cut off; the error says so.
func TestStopIsBounded(t *testing.T) {
	noLeaks(t)
	fs := vfs.NewMem()
	cfg := created(t, fs)
	cores := newStarts(func(c *countingCore) error {
		err := errors.Join(c.boot(), c.hello(), c.persist(change(1)))
		for err == nil {
			_, err = c.Read() // Stop, too
		}
		return err
	})
	cfg.Start, cfg.StopTimeout = cores.start, time.Millisecond
	r := run(t, cfg)
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	cores.wait()
	if state := stored(t, fs); !maps.Equal(state, stateAt(headOf(state))) {
		t.Errorf("the store is torn: %q", state)
	}
}
