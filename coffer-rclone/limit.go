// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"sync"

	"golang.org/x/time/rate"
)

// limiter slows uploads down, all together. Its zero value does not.
type limiter struct{ bucket *rate.Limiter }

// burstBytes go out at once; a rate is kept over longer than they take.
const burstBytes = 16 << 10

func (l *limiter) set(bytesPerSecond int64) {
	l.bucket = rate.NewLimiter(rate.Limit(bytesPerSecond), burstBytes)
}

// reader passes on what in has, no faster than the limit.
func (l *limiter) reader(ctx context.Context, in io.Reader) io.Reader {
	if l.bucket == nil {
		return in
	}
	return &slowed{ctx, l.bucket, in}
}

type slowed struct {
	ctx    context.Context
	bucket *rate.Limiter
	in     io.Reader
}

func (s *slowed) Read(p []byte) (int, error) {
	n, err := s.in.Read(p[:min(len(p), burstBytes)])
	if waitErr := s.bucket.WaitN(s.ctx, n); waitErr != nil {
		return 0, waitErr
	}
	return n, err
}

// locks keep two puts of one name apart. Its zero value is ready.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		other := l.held[name]
		if other == nil {
			mine := make(chan struct{})
			if l.held == nil {
				l.held = map[string]chan struct{}{}
			}
			l.held[name] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, name)
				l.mu.Unlock()
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
