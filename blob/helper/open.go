// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

// Config says which program is the helper.
type Config struct {
	// Command is the program, which is looked for in PATH if it is a bare name, and its arguments. Other
	// programs can see them, so no secret belongs there.
	Command []string

	// UploadBytesPerSecond bounds what the helper sends to its destination; 0 means no limit. A helper that cannot
	// keep it refuses to begin.
	UploadBytesPerSecond int64

	// Stderr gets each line that the helper writes to its standard error, made printable and cut to 1 KiB,
	// from one goroutine at a time. The lines are the helper's own words. nil drops them.
	Stderr func(line string)
}

// A helper that dies is started again by the next call: a few times at once, then once in a while, so that
// one that cannot live does not keep the machine busy.
const (
	quickStarts = 5
	startPause  = time.Minute
)

// Store is a destination behind a helper.
type Store struct {
	config   Config
	patience patience
	name     string

	turn    chan struct{} // held while what follows is used
	session *session
	process *process
	starts  int // in a row, of helpers that answered nothing
	last    time.Time
	lastErr error
	closed  bool
}

var errClosed = errors.New("the destination has been closed")

// Open starts the helper and waits until it has reached its destination. ctx bounds the start, not the helper's
// life. Close ends it, and so does the end of this process.
//
// Errors: what the helper says, blob.ErrUnreachable if it cannot be started or does not speak the protocol.
func Open(ctx context.Context, config Config) (*Store, error) {
	return open(ctx, config, usual)
}

func open(ctx context.Context, config Config, p patience) (*Store, error) {
	if len(config.Command) == 0 || config.Command[0] == "" {
		return nil, errors.New("open destination: no helper is named")
	}
	s := &Store{config: config, patience: p, turn: make(chan struct{}, 1)}
	on, err := s.live(ctx)
	if err != nil {
		return nil, fmt.Errorf("open destination by %s: %w", config.Command[0], err)
	}
	s.name = on.name
	return s, nil
}

// live returns the session of a living helper, if need be of a new one.
func (s *Store) live(ctx context.Context) (*session, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.closed {
		return nil, errClosed
	}
	if s.session != nil {
		if s.session.life.Err() == nil {
			return s.session, nil
		}
		if s.session.hasAnswered() {
			s.starts = 0
		}
		s.lastErr, s.session = context.Cause(s.session.life), nil
	}
	if s.starts >= quickStarts && time.Since(s.last) < startPause {
		return nil, fmt.Errorf("%w; it failed %d times, and is tried again in a minute", s.lastErr, s.starts)
	}
	err := s.start(ctx)
	if err != nil && ctx.Err() == nil {
		s.lastErr = err
	}
	return s.session, err
}

func (s *Store) start(ctx context.Context) error {
	process, err := startProcess(s.config)
	if err != nil {
		return fmt.Errorf("%w: %w", blob.ErrUnreachable, err)
	}
	on, err := newSession(ctx, process.stdout, process.stdin, process.peer(), s.config.UploadBytesPerSecond, s.patience)
	if ctx.Err() == nil { // else nothing is known of the helper
		s.starts++
		s.last = time.Now()
	}
	if err != nil {
		<-process.gone
		return err
	}
	s.session, s.process = on, process
	return nil
}

// Close ends the helper: it is told so, given ten seconds, and then killed. Calls that are under way fail.
func (s *Store) Close() error {
	ctx, stop := context.WithTimeout(context.Background(), s.patience.end)
	defer stop()
	return s.Shutdown(ctx)
}

// Shutdown is Close, but gives the helper time until ctx ends. It returns nil if the helper ended by itself, and
// with status 0. In any case it has ended when Shutdown returns.
func (s *Store) Shutdown(ctx context.Context) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.closed = true
	on, process := s.session, s.process
	if on == nil {
		return nil
	}
	s.session = nil
	err := on.end(ctx)
	if err == nil && !process.success() {
		err = fmt.Errorf("it ended with %s", process.status())
	}
	if err != nil {
		return fmt.Errorf("close %s: the helper did not end in order: %w", s.name, err)
	}
	return nil
}
