// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"strconv"
	"time"
)

// daily backs a store of a tenth of the size up every day. It is measured once:
// what counts is a size, which hardly varies. Tar is left out, for it would only
// add up the same size every day.
func (b *bench) daily(ctx context.Context) error {
	if !b.wants("daily") {
		return nil
	}
	store, size := b.path("dailystore"), scaled(b.scale/10)
	if err := b.generate(ctx, store, size...); err != nil {
		return err
	}
	var all []contender
	for _, c := range b.contenders(0, store) {
		if c.name() != nameTar {
			all = append(all, c)
		}
	}
	create := func(ctx context.Context, _ string, c contender) error { return c.create(ctx) }
	if err := (step{"daily", create}).each(ctx, all); err != nil {
		return err
	}
	total := make(map[string]time.Duration)
	backup := func(ctx context.Context, _ string, c contender) error {
		took, err := c.backup().run(ctx)
		total[c.name()] += took.wall
		return err
	}
	for day := range b.days {
		if day > 0 {
			if err := b.generate(ctx, store, append(size, "-day", strconv.Itoa(day))...); err != nil {
				return err
			}
		}
		if err := (step{"daily", backup}).each(ctx, all); err != nil {
			return err
		}
	}
	for _, c := range all {
		archive, err := look(c.destination())
		if err != nil {
			return err
		}
		b.progress("daily: %s: %d bytes", c.name(), archive.bytes)
		b.results.add("daily.bytes", c.name(), float64(archive.bytes))
		b.results.add("daily.objects", c.name(), float64(len(archive.files)))
		b.results.add("daily.wall", c.name(), total[c.name()].Seconds())
	}
	return nil
}
