// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// schedule says when operations begin: at a rate, or whenever a worker is free.
type schedule struct {
	start, end time.Time
	interval   time.Duration // 0: whenever a worker is free
	taken      atomic.Int64

	mu   sync.Mutex
	last time.Time     // an operation was done
	gap  time.Duration // the longest without one
}

// done notes that an operation was done now.
func (s *schedule) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.gap, s.last = max(s.gap, now.Sub(s.last)), now
}

func newSchedule(duration time.Duration, rate float64) *schedule {
	now := time.Now()
	s := &schedule{start: now, last: now}
	s.end = s.start.Add(duration)
	if rate > 0 {
		s.interval = max(time.Duration(float64(time.Second)/rate), 1)
	}
	return s
}

func (s *schedule) closed() bool { return s.interval == 0 }

// next waits until the next operation is to begin and returns that time, which is past if all workers were busy then. False: it is over.
func (s *schedule) next(ctx context.Context) (begin time.Time, more bool) {
	if s.closed() {
		begin = time.Now()
		return begin, begin.Before(s.end) && ctx.Err() == nil
	}
	begin = s.at(s.taken.Add(1) - 1)
	if !begin.Before(s.end) || !time.Now().Before(s.end) {
		s.taken.Add(-1)
		return begin, false
	}
	select {
	case <-time.After(time.Until(begin)):
		return begin, true
	case <-ctx.Done():
		return begin, false
	}
}

func (s *schedule) at(n int64) time.Time { return s.start.Add(time.Duration(n) * s.interval) }

// missed calls f with the time that each operation has waited for that was to begin, and for which no worker was free until the end.
func (s *schedule) missed(f func(waited time.Duration)) {
	if s.closed() {
		return
	}
	for n := s.taken.Load(); s.at(n).Before(s.end); n++ {
		f(s.end.Sub(s.at(n)))
	}
}
