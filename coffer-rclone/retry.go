// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rclone/rclone/fs/fserrors"

	"github.com/coffer-backup/coffer/blob"
)

// rclone itself repeats most requests up to ten times. What still fails then, and looks like the network's or the provider's moment, is
// worth a few more tries with longer pauses; and an upload can only be repeated here, where its bytes are.
const (
	tries      = 6
	firstPause = time.Second / 4
	longest    = 5 * time.Minute // that a provider may ask us to wait
)

// do runs one call, with retries, and explains its error.
func (s *Store) do(ctx context.Context, op, name string, call func() error) error {
	return explain(op, name, s.retry(ctx, call))
}

func (s *Store) retry(ctx context.Context, call func() error) error {
	for try := 0; ; try++ {
		err := call()
		pause, again := temporary(err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w (%v)", ctx.Err(), err)
		case !again:
			return err
		case try == tries-1 || pause > longest:
			return fmt.Errorf("%w: it fails for longer than a moment (%w)", blob.ErrUnreachable, err)
		}
		// Full jitter keeps many clients of one provider from coming back together.
		if jitter := rand.N(firstPause << try); jitter > pause {
			pause = jitter
		}
		if err := s.sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// temporary tells whether to try again, and how long the provider wants us to wait.
func temporary(err error) (time.Duration, bool) {
	if err == nil || fserrors.IsFatalError(err) || fserrors.IsNoRetryError(err) {
		return 0, false
	}
	for _, class := range classes {
		if errors.Is(err, class) {
			return 0, false
		}
	}
	if at := fserrors.RetryAfterErrorTime(err); !at.IsZero() {
		return time.Until(at), true
	}
	return 0, classOf(err) == blob.ErrUnreachable
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
