// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

type loadCmd struct {
	URL        string        `name:"url" xor:"where" required:"" placeholder:"URL" help:"The gateway of a running cofferd dev --no-limits."`
	Dev        bool          `xor:"where" required:"" help:"Start a vault in a process of its own and a temporary folder, and remove it at the end."`
	Replicas   int           `default:"1" placeholder:"N" help:"With --dev: a vault of so many replicas (1)."`
	Partitions int           `default:"1" placeholder:"N" help:"With --dev: a vault of so many partitions (1)."`
	Mix        string        `enum:"register,recover,status" default:"recover" help:"What to do (register, recover, status)."`
	Accounts   int           `default:"1000" help:"How many accounts to spread it over; with --url at most 4096, the logins that the issuer there remembers. All of them are registered before recover and status are measured."`
	Workers    int           `default:"16" help:"How many operations may be under way."`
	Duration   time.Duration `default:"10s" help:"How long to measure."`
	Rate       float64       `placeholder:"N" help:"Begin N operations a second whether or not earlier ones are done. Without it: each worker begins the next one when its last one is done."`
	JSON       bool          `name:"json" help:"Print the result as one JSON document."`
}

func (loadCmd) Help() string {
	return "A registration is RegisterStart, RegisterFinish and RegisterConfirm; a recovery is RecoverStart, one counted guess, and RecoverFinish. " +
		"Clients that recover do all of the protocol but Argon2id, which is a device's work; clients that register send a record made before. " +
		"The processor time of this process, the client, is told apart from the vault's where the system knows it. " +
		"At a rate, times count from when an operation was to begin, so that a vault that stalls cannot hide it.\n\n" +
		"Examples:\n\n    cofferd load --dev --mix recover\n    cofferd load --dev --replicas 5 --partitions 16\n    cofferd load --url http://127.0.0.1:7433 --mix register --rate 200 --json"
}

const (
	maxWorkers    = 4096 // each has a connection
	maxPartitions = 256
	maxAccounts   = 100_000_000 // each takes some fifty bytes here
	maxLogins     = 4096        // that the development issuer remembers
)

func (c *loadCmd) check() error {
	switch {
	case c.Workers < 1 || c.Workers > maxWorkers:
		return usagef("--workers must be 1 to %d", maxWorkers)
	case c.Accounts < c.Workers || c.Accounts > maxAccounts:
		return usagef("--accounts must be at least --workers, for each worker has accounts of its own, and at most %d", maxAccounts)
	case c.URL != "" && c.Accounts > maxLogins:
		return usagef("--accounts must be at most %d with --url: the issuer there remembers no more logins", maxLogins)
	case c.URL != "" && (c.Replicas != 1 || c.Partitions != 1):
		return usagef("--replicas and --partitions are for --dev")
	case c.Replicas < 1 || c.Replicas > maxReplicas || c.Partitions < 1 || c.Partitions > maxPartitions:
		return usagef("--replicas must be 1 to %d, and --partitions 1 to %d", maxReplicas, maxPartitions)
	case c.Duration <= 0 || c.Rate < 0:
		return usagef("--duration and --rate must be positive")
	}
	return nil
}

func (c *loadCmd) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	measure := func(ctx context.Context, t *target) error {
		l, err := newLoad(c, t)
		if err != nil {
			return err
		}
		r, err := l.measure(ctx)
		if err != nil {
			return err
		}
		return r.print(a, c.JSON)
	}
	if c.Dev {
		return withChild(a.ctx, c.Replicas, c.Partitions, measure)
	}
	t, err := newTarget(a.ctx, c.URL)
	if err != nil {
		return err
	}
	return measure(a.ctx, t)
}

// load is one measurement.
type load struct {
	*loadCmd
	target   *target
	run      string // in the accounts' names, so that they are new ones
	accounts []account
	workers  []*worker
}

func newLoad(c *loadCmd, t *target) (*load, error) {
	l := &load{loadCmd: c, target: t, run: rand.Text()[:8], accounts: make([]account, c.Accounts)}
	for n := range c.Workers {
		w, err := newWorker(l, n)
		if err != nil {
			return nil, err
		}
		l.workers = append(l.workers, w)
	}
	return l, nil
}

func (l *load) name(n int) string { return fmt.Sprintf("load-%s-%d", l.run, n) }

func (l *load) measure(ctx context.Context) (*report, error) {
	begin := time.Now()
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	prepared := time.Since(begin)
	before := l.target.cpu()
	s := newSchedule(l.Duration, l.Rate)
	err := l.each(ctx, func(ctx context.Context, w *worker) error { return w.measure(ctx, s) })
	if err != nil {
		return nil, err
	}
	return l.report(s, prepared, l.target.cpu().since(before)), nil
}

// prepare logs every account in where that takes long, and registers it, as a device would, where that is not what is measured.
func (l *load) prepare(ctx context.Context) error {
	if l.Mix == mixRegister && l.Dev {
		return nil
	}
	var next atomic.Int64
	return l.each(ctx, func(ctx context.Context, w *worker) error {
		for n := int(next.Add(1)) - 1; n < l.Accounts; n = int(next.Add(1)) - 1 {
			if err := w.take(ctx, n); err != nil {
				return err
			}
			if l.Mix == mixRegister {
				continue
			}
			if err := w.registerForReal(ctx); err != nil {
				return fmt.Errorf("registering the accounts: %w", err)
			}
		}
		return nil
	})
}

// each runs the workers side by side.
func (l *load) each(ctx context.Context, work func(context.Context, *worker) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range l.workers {
		group.Go(func() error { return work(ctx, w) })
	}
	return group.Wait()
}
