// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// learner is a gateway's knowledge of whom to let in: the fleet's own policy, from its descriptor. A node that lies about it
// lets in, or keeps out, whom the gateway could; the core checks a token of its own.
type learner struct {
	backend  gateway.Backend
	log      *slog.Logger
	verifier atomic.Pointer[token.Verifier] // nil: no node has answered yet
}

const (
	learnSoon  = 500 * time.Millisecond
	learnAgain = time.Minute // a policy hardly ever changes
)

// run keeps the knowledge fresh until ctx ends.
func (l *learner) run(ctx context.Context) error {
	for {
		wait := learnAgain
		if err := l.learn(ctx); err != nil {
			l.log.Debug("no descriptor yet", "error", err)
			wait = learnSoon
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *learner) learn(ctx context.Context) error {
	encoded, err := l.backend.Descriptor(ctx)
	if err != nil {
		return err
	}
	d, err := wire.ParseDescriptor(encoded)
	if err != nil {
		return err
	}
	v, err := token.NewVerifier(d.Policy.Issuer, d.Policy.GatewayAudience, settings.IssuerKeys(d.Policy.TokenKeys))
	if err != nil {
		return err
	}
	l.verifier.Store(v)
	return nil
}

// verify checks a token for the gateway.
func (l *learner) verify(text string, nowMs int64) (token.Claims, error) {
	v := l.verifier.Load()
	if v == nil {
		return token.Claims{}, gateway.ErrUnavailable
	}
	return v.Verify(text, nowMs)
}
