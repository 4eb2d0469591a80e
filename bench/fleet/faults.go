// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	killAfter = 1500 * time.Millisecond // of steady load
	killLoad  = 5 * time.Second
)

// failover kills the leader under load, again and again, and measures for how long nobody is answered.
func (b *bench) failover(ctx context.Context, f *fleet) error {
	var gaps []float64
	failed := 0
	for range b.rounds {
		leader := f.leader(ctx)
		if leader == 0 {
			return errors.New("no node leads")
		}
		o, err := f.loadAndKill(ctx, leader)
		if err != nil {
			return err
		}
		gaps, failed = append(gaps, o.Gap), failed+o.Failed
		progress("%d replicas: node %d killed, nobody was answered for %.0f ms, %d failed", f.size, leader, o.Gap, o.Failed)
		if err := f.startNode(leader); err != nil {
			return err
		}
		if err := f.whole(ctx); err != nil {
			return err
		}
	}
	slices.Sort(gaps)
	b.report.failovers = append(b.report.failovers, failoverRow{f.size, gaps, failed})
	return nil
}

// loadAndKill kills a node while there is load.
func (f *fleet) loadAndKill(ctx context.Context, leader int) (o outcome, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		o, err = f.load(ctx, "register", 16, 64, killLoad)
		return err
	})
	group.Go(func() error {
		select {
		case <-time.After(killAfter):
			return f.kill(ctx, leader)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return o, group.Wait()
}

// leader returns the slot that leads partition 0.
func (f *fleet) leader(ctx context.Context) int {
	for _, s := range f.statuses(ctx) {
		if s.Leads() > 0 {
			return int(s.Slot)
		}
	}
	return 0
}

// catchUp kills a follower, makes changes, and measures how long it takes from its start until it has them all.
func (b *bench) catchUp(ctx context.Context, f *fleet) error {
	follower := 1
	if f.leader(ctx) == follower {
		follower = 2
	}
	before := f.total(ctx).changes
	if err := f.kill(ctx, follower); err != nil {
		return err
	}
	const slice = 5 * time.Second
	for begin := time.Now(); time.Since(begin) < b.away && f.total(ctx).changes-before < b.changes; {
		if _, err := f.load(ctx, "register", b.workers, b.accounts, min(slice, b.away)); err != nil {
			return err
		}
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	after, begin := f.total(ctx).changes, time.Now()
	if err := f.startNode(follower); err != nil {
		return err
	}
	err := f.until(ctx, 2*time.Minute, fmt.Sprintf("has node %d back", follower), func() bool {
		s, err := f.node(follower).Status(ctx)
		return err == nil && s.Serving && len(s.Partitions) > 0 && s.Partitions[0].Applied >= after
	})
	if err != nil {
		return err
	}
	b.report.catchUps = append(b.report.catchUps, catchUpRow{f.size, after - before, time.Since(begin)})
	progress("%d replicas: %d changes caught up in %.1f s", f.size, after-before, time.Since(begin).Seconds())
	return nil
}
