// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/internal/proc"
)

// fleetOf measures fleets of n replicas: without a proxy first, so that it costs nothing.
func (b *bench) fleetOf(ctx context.Context, n int, wants func(string) bool) (err error) {
	f, err := b.newFleet(ctx, n, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if err := f.whole(ctx); err != nil {
		return err
	}
	if wants("load") && b.delays[0] == 0 {
		if err := b.loads(ctx, f, 0); err != nil {
			return err
		}
	}
	if n > 1 {
		for _, step := range []struct {
			name string
			do   func(context.Context, *fleet) error
		}{{"batch", b.batch}, {"failover", b.failover}, {"catchup", b.catchUp}} {
			last := n == b.replicas[len(b.replicas)-1] || step.name != "catchup" // catching up costs minutes
			if wants(step.name) && last {
				if err := step.do(ctx, f); err != nil {
					return fmt.Errorf("%s: %w", step.name, err)
				}
			}
		}
	}
	if n == 1 || !wants("load") {
		return nil // nobody is far from itself
	}
	return b.farLoads(ctx, f)
}

// farLoads measures with distances.
func (b *bench) farLoads(ctx context.Context, f *fleet) error {
	if b.delays[len(b.delays)-1] == 0 {
		return nil
	}
	p, err := f.goAway(ctx)
	if err != nil {
		return err
	}
	defer p.Stop()
	for _, ms := range b.delays {
		if ms == 0 {
			continue
		}
		if err := f.setDelay(ctx, p, ms); err != nil {
			return err
		}
		if err := b.loads(ctx, f, ms); err != nil {
			return err
		}
	}
	return f.setDelay(ctx, p, 0) // so that it stops soon
}

func (b *bench) loads(ctx context.Context, f *fleet, delayMs int) error {
	for _, mix := range b.mixes {
		o, err := f.load(ctx, mix, b.workers, b.accounts, b.duration)
		if err != nil {
			return err
		}
		alone, err := f.load(ctx, mix, 1, 8, b.duration/2)
		if err != nil {
			return err
		}
		b.report.loads = append(b.report.loads, loadRow{f.size, delayMs, mix, o, alone})
		progress("%d replicas, %d ms: %s %.0f a second, p50 %.0f ms, p99 %.0f ms", f.size, delayMs, mix, o.PerSecond, o.P50, o.P99)
	}
	return nil
}

// batch measures what a change costs the disks and the network, alone and beside many others.
func (b *bench) batch(ctx context.Context, f *fleet) error {
	for _, workers := range []int{1, b.workers} {
		before := f.total(ctx)
		o, err := f.load(ctx, "register", workers, b.accounts, b.duration)
		if err != nil {
			return err
		}
		if err := f.settle(ctx); err != nil {
			return err
		}
		s := f.total(ctx).since(before)
		b.report.batches = append(b.report.batches, batchRow{f.size, workers, o, s})
		progress("%d replicas, %d workers: %d changes, %d syncs, %d bytes", f.size, workers, s.changes, s.syncs, s.bytes)
	}
	return nil
}

// settle waits for figures that are newer than the load: a core tells them once a second.
func (f *fleet) settle(ctx context.Context) error {
	select {
	case <-time.After(1100 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// idling measures what a fleet takes that nobody asks anything.
func (b *bench) idling(ctx context.Context) (err error) {
	const replicas = 5
	f, err := b.newFleet(ctx, replicas, b.partitions)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.stop()) }()
	if err := f.whole(ctx); err != nil {
		return err
	}
	type node struct{ host, core time.Duration }
	taken := func() map[int]node {
		m := map[int]node{}
		for _, s := range f.statuses(ctx) {
			n := node{host: proc.CPUOf(s.PID)}
			for _, c := range proc.ChildrenOf(s.PID) {
				n.core += proc.CPUOf(c)
			}
			m[int(s.Slot)] = n
		}
		return m
	}
	before, sent, begin := taken(), f.total(ctx), time.Now()
	select {
	case <-time.After(b.idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, took := taken(), time.Since(begin)
	part := func(d time.Duration) float64 { return 100 * d.Seconds() / took.Seconds() }
	for slot := 1; slot <= replicas; slot++ {
		b.report.idle = append(b.report.idle, idleRow{slot, f.leads(ctx, slot), part(after[slot].host - before[slot].host), part(after[slot].core - before[slot].core)})
	}
	b.report.idleBytes = float64(f.total(ctx).since(sent).bytes) / took.Seconds() / replicas
	b.report.partitions = b.partitions
	return nil
}

func (f *fleet) leads(ctx context.Context, slot int) int {
	s, err := f.node(slot).Status(ctx)
	if err != nil {
		return 0
	}
	return s.Leads()
}
