// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"time"
)

// killed ends a first backup in the middle, as a loss of power would, and counts
// what the next run sends again.
func (b *bench) killed(ctx context.Context, round int) error {
	if !b.wants("kill") {
		return nil
	}
	store, err := b.freshStore(ctx)
	if err != nil {
		return err
	}
	return step{"kill", b.resumed}.each(ctx, b.contenders(round, store))
}

func (b *bench) resumed(ctx context.Context, name string, c contender) error {
	whole, err := archiveBytes(ctx, c)
	if err != nil {
		return err
	}
	if err := c.create(ctx); err != nil {
		return err
	}
	left, err := killAt(ctx, c, whole/100*60)
	if err != nil {
		return err
	}
	if err := b.timed(ctx, name, c, c.backup()); err != nil {
		return err
	}
	after, err := look(c.destination())
	if err != nil {
		return err
	}
	// Both runs together sent the whole and what had to be sent twice.
	again := max(0, left.bytes+after.since(left)-whole)
	b.results.add(name+".bytes", c.name(), float64(again))
	b.results.add(name+".share", c.name(), float64(again)/float64(left.bytes))
	return nil
}

func archiveBytes(ctx context.Context, c contender) (int64, error) {
	if err := c.create(ctx); err != nil {
		return 0, err
	}
	if _, err := c.backup().run(ctx); err != nil {
		return 0, err
	}
	whole, err := look(c.destination())
	return whole.bytes, err
}

// killAt starts a backup, kills it once the destination holds that many bytes, and
// returns what it left there.
func killAt(ctx context.Context, c contender, bytes int64) (contents, error) {
	r, err := c.backup().start(ctx)
	if err != nil {
		return contents{}, err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := r.wait()
		ended <- err
	}()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		select {
		case err := <-ended:
			return contents{}, errors.Join(errors.New("the backup ended before it could be killed"), err)
		case <-poll.C:
		}
		now, err := look(c.destination())
		if err == nil && now.bytes < bytes {
			continue
		}
		r.kill()
		if killed := <-ended; err == nil && killed == nil {
			err = errors.New("the backup ended before it could be killed")
		}
		if err != nil {
			return contents{}, err
		}
		return look(c.destination())
	}
}
