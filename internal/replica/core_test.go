// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// The core of these tests counts. Request n makes Persist n, whose records depend on
// n alone (stateAt), and is answered with n once that is durable. So whatever is
// found in a store says how much of the history it holds, and whether it holds all of
// that and nothing else.

const (
	descriptor = "the descriptor"
	kept       = 3 // how many of the last requests have records
)

// pair spans several blocks of the disk, so that a part of it can be lost.
func pair(n uint64) []stream.Record {
	return []stream.Record{
		{Key: fmt.Appendf(nil, "a/%08d", n), Value: bytes.Repeat(fmt.Appendf(nil, "left of %d;", n), 500)},
		{Key: fmt.Appendf(nil, "b/%08d", n), Value: bytes.Repeat(fmt.Appendf(nil, "right of %d;", n), 500)},
	}
}

// change is what request n does. The first Delete covers a record that is then Put.
func change(n uint64) (p stream.Persist) {
	head := stream.Record{Key: []byte("head"), Value: binary.BigEndian.AppendUint64(nil, n)}
	p.Puts = append(pair(n), head)
	p.Deletes = []stream.Range{{From: []byte("head"), To: []byte("heae")}}
	if n > kept {
		for _, r := range pair(n - kept) {
			p.Deletes = append(p.Deletes, stream.Range{From: r.Key[:2], To: append(r.Key, 0)})
		}
	}
	return p
}

func stateAt(n uint64) map[string]string {
	state := map[string]string{"policy": "the policy"}
	for i := n; i > 0 && i+kept > n; i-- {
		for _, r := range pair(i) {
			state[string(r.Key)] = string(r.Value)
		}
	}
	if n > 0 {
		state["head"] = string(binary.BigEndian.AppendUint64(nil, n))
	}
	return state
}

// headOf says which n a state claims to be of.
func headOf(state map[string]string) uint64 {
	if head, ok := state["head"]; ok {
		return binary.BigEndian.Uint64([]byte(head))
	}
	return 0
}

// countingCore is one life of such a core.
type countingCore struct {
	*stream.Conn
	state  map[string]string // what was loaded
	last   uint64            // request
	seq    uint64            // Persist
	asked  map[uint64]uint64 // request ids, by Persist
	counts map[uint64]uint64 // n, by Persist
}

var errStopped = errors.New("stopped")

// boot reads what comes first, up to where Hello is due.
func (c *countingCore) boot() error {
	c.state, c.asked, c.counts = make(map[string]string), make(map[uint64]uint64), make(map[uint64]uint64)
	previous := ""
	for {
		frame, err := c.Read()
		if err != nil {
			return err
		}
		switch frame := frame.(type) {
		case stream.Load:
			if string(frame.Key) <= previous {
				return fmt.Errorf("%q was loaded after %q", frame.Key, previous)
			}
			previous = string(frame.Key)
			c.state[previous] = string(frame.Value)
		case stream.LoadEnd:
			c.last = headOf(c.state)
			return nil
		case stream.Create:
			return c.persist(stream.Persist{Puts: []stream.Record{{Key: []byte("policy"), Value: frame.Policy}}})
		}
	}
}

func (c *countingCore) send(f stream.Frame) error { return errors.Join(c.Write(f), c.Flush()) }

func (c *countingCore) persist(p stream.Persist) error {
	c.seq++
	p.Seq = c.seq
	return c.send(p)
}

func (c *countingCore) hello() error {
	return c.send(stream.Hello{Version: stream.Version, Descriptor: []byte(descriptor)})
}

// serve is a whole life.
func (c *countingCore) serve() error {
	if err := errors.Join(c.boot(), c.hello()); err != nil {
		return err
	}
	for {
		frame, err := c.Read()
		if err == nil {
			err = c.handle(frame)
		}
		if err != nil {
			return err
		}
	}
}

func (c *countingCore) handle(frame stream.Frame) error {
	switch frame := frame.(type) {
	case stream.Request:
		c.last++
		c.asked[c.seq+1], c.counts[c.seq+1] = frame.ID, c.last
		return c.persist(change(c.last))
	case stream.Durable:
		n, ok := c.counts[frame.Seq]
		if !ok {
			return nil // that of Create
		}
		return c.send(stream.Answer{ID: c.asked[frame.Seq], Envelope: fmt.Append(nil, n)})
	case stream.Stop:
		return errors.Join(c.send(stream.Bye{}), errStopped)
	}
	return nil
}

// starts makes a Config's Start of lives: each Start takes the next, and the last one
// for ever. It counts them, and waits for the end of one before the next begins.
type starts struct {
	lives []func(*countingCore) error
	begun int
	ended chan struct{} // of the life before
}

func (s *starts) start(ctx context.Context) (*stream.Conn, error) {
	if s.ended != nil {
		<-s.ended
	}
	live := s.lives[min(s.begun, len(s.lives)-1)]
	s.begun++
	host, core := stream.Pipe()
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		defer close(ended)
		_ = live(&countingCore{Conn: core}) // ends with the connection, one way or the other
		core.Close()
	}()
	return host, nil
}

// wait returns when no life is left, so that its variables may be read.
func (s *starts) wait() { <-s.ended }

func newStarts(lives ...func(*countingCore) error) *starts { return &starts{lives: lives} }

func serving(c *countingCore) error { return c.serve() }

// created returns a Config of a fleet that was just made, on fs.
func created(t *testing.T, fs vfs.FS) Config {
	t.Helper()
	cores := newStarts(serving)
	cfg := Config{Dir: "fleet", FS: fs, Start: cores.start}
	if err := Create(t.Context(), cfg, []byte("the policy")); err != nil {
		t.Fatal(err)
	}
	cores.wait()
	return cfg
}

// running is a replica whose Run was called.
type running struct {
	*Replica
	cancel context.CancelFunc
	result chan error
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	replica, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{replica, cancel, make(chan error, 1)}
	go func() { r.result <- replica.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}

func (r *running) stop() error {
	r.cancel()
	return <-r.result
}

// stored returns what a core would be given from fs.
func stored(t *testing.T, fs vfs.FS) map[string]string {
	t.Helper()
	var life *countingCore
	cores := newStarts(func(c *countingCore) error {
		life = c
		return c.serve()
	})
	r := run(t, Config{Dir: "fleet", FS: fs, Start: cores.start})
	if err := errors.Join(r.Ready(t.Context()), r.stop()); err != nil {
		t.Fatal(err)
	}
	cores.wait()
	return life.state
}

// noLeaks fails the test if a goroutine that it started outlives it.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func mustBe(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}
