// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/coffer-backup/coffer/internal/core/stream"
)

// Create makes a new fleet under policy: it runs the core until it serves and has
// stored something, and ends it in order. It refuses a Dir that has a fleet
// (ErrExists). A Create that failed or was killed leaves no fleet, and can be repeated.
func Create(ctx context.Context, cfg Config, policy []byte) error {
	return establish(ctx, cfg, &begin{first: stream.Create{Policy: policy, Host: cfg.Host}, hello: true})
}

// Join makes a replica of a fleet that exists: it runs the core until the fleet has taken it in, and what it then
// is has been stored, and ends it in order. The core needs the network for that: deliver is called once with what brings a
// peer's bytes to it. Join refuses a Dir that has a fleet (ErrExists), and can be repeated, with the same ticket if
// the fleet has not taken it.
func Join(ctx context.Context, cfg Config, ticket []byte, deliver func(func(slot uint16, data []byte))) error {
	return establish(ctx, cfg, &begin{first: stream.Join{Ticket: ticket, Host: cfg.Host}, deliver: deliver})
}

// begin is how a replica comes into being.
type begin struct {
	first   stream.Frame
	hello   bool // the core is to serve first
	deliver func(func(slot uint16, data []byte))
}

func establish(ctx context.Context, cfg Config, b *begin) (err error) {
	cfg = cfg.withDefaults()
	s, err := makeStore(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	switch created, err := s.created(); {
	case err != nil:
		return err
	case created:
		return fmt.Errorf("%w: %s", ErrExists, cfg.Dir)
	}
	if err := s.wipe(); err != nil {
		return err
	}
	if err := b.run(ctx, cfg, s); err != nil {
		return fmt.Errorf("replica: create: %w", err)
	}
	// The core's part is durable: it said Bye. A crash before the next line leaves
	// records that the next Create wipes.
	return s.setCreated()
}

// run runs the core once. ctx ends it at any point.
func (b *begin) run(ctx context.Context, cfg Config, s *store) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := cfg.Start(ctx)
	if err != nil {
		return err
	}
	life := newSession(conn, s)
	life.boot = func(conn *stream.Conn) error { return conn.Write(b.first) }
	var missing atomic.Int32 // of: Hello, the first Durable
	missing.Store(1)
	if b.hello {
		missing.Store(2)
	}
	arrived := func() {
		if missing.Add(-1) == 0 {
			life.stop()
		}
	}
	var stored sync.Once
	life.committed = func() { stored.Do(arrived) }
	life.heard = func(f stream.Frame) error {
		switch f := f.(type) {
		case stream.Hello: // a session lets only one through
			if b.hello {
				arrived()
			}
		case stream.Send:
			cfg.Send(f.Slot, f.Data)
		case stream.Peers:
			cfg.Members(f.Members)
		case stream.Answer, stream.Told:
			return errUnasked
		}
		return nil
	}
	if b.deliver != nil {
		b.deliver(life.out.deliver)
	}
	return life.run(ctx)
}
