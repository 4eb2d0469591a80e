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
func Create(ctx context.Context, cfg Config, policy []byte) (err error) {
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
	if err := create(ctx, cfg, s, policy); err != nil {
		return fmt.Errorf("replica: create: %w", err)
	}
	// The core's part is durable: it said Bye. A crash before the next line leaves
	// records that the next Create wipes.
	return s.setCreated()
}

// create runs the core once. ctx ends it at any point.
func create(ctx context.Context, cfg Config, s *store, policy []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := cfg.Start(ctx)
	if err != nil {
		return err
	}
	life := newSession(conn, s)
	life.boot = func(conn *stream.Conn) error { return conn.Write(stream.Create{Policy: policy}) }
	var missing atomic.Int32 // of: Hello, the first Durable
	missing.Store(2)
	arrived := func() {
		if missing.Add(-1) == 0 {
			life.stop()
		}
	}
	var stored sync.Once
	life.committed = func() { stored.Do(arrived) }
	life.heard = func(f stream.Frame) error {
		switch f.(type) {
		case stream.Hello: // a session lets only one through
			arrived()
		case stream.Answer:
			return errUnasked
		}
		return nil
	}
	return life.run(ctx)
}
