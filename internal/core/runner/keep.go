// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/seal"
)

// The sealer is asked again after an error: nothing is lost meanwhile, only what is deleted stays readable for longer to who has the sealer's key.
const lastRetry = time.Minute

// keep does what the core asks of the sealer, one thing after the other.
func (l *loop) keep(ctx context.Context, config Config) error {
	for {
		select {
		case ask := <-l.asks:
			if err := l.ask(ctx, config, ask); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask tries until it is done; it fails only when ctx ends.
func (l *loop) ask(ctx context.Context, config Config, ask core.Effect) error {
	for wait := config.Late / 10; ; wait = min(2*wait, lastRetry) {
		err := l.watched(config, func() error { return l.try(ctx, config.Sealer, ask) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			l.sealer.worked(config.Logger)
			return nil
		}
		l.sealer.failed(config.Logger, err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watched alarms if a call takes so long that somebody should look, and goes on waiting for it: a call to hardware cannot be taken back.
func (l *loop) watched(config Config, call func() error) error {
	reported := make(chan struct{})
	late := time.AfterFunc(config.Late, func() {
		l.sealer.failed(config.Logger, errLate)
		close(reported)
	})
	defer func() {
		if !late.Stop() {
			<-reported // before what is to be said of the answer
		}
	}()
	return call()
}

func (l *loop) try(ctx context.Context, sealer seal.Sealer, ask core.Effect) error {
	switch ask := ask.(type) {
	case core.Rotate:
		epoch, err := newEpoch(ctx, sealer, ask.AAD)
		if err != nil {
			return err
		}
		select {
		case l.epochs <- epoch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case core.Retire:
		if err := sealer.Destroy(ctx, seal.KeyID(ask.KeyID)); err != nil {
			return err
		}
		select {
		case l.retired <- core.Retired(ask):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%T is not for the sealer", ask)
}
