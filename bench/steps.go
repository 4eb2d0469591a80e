// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// contenders lists them in the order of the round: each begins in turn.
func (b *bench) contenders(round int, store string) []contender {
	at := func(name string) home { return home{dir: b.path(name), store: store} }
	all := []contender{
		&coffer{home: at("coffer"), program: filepath.Join(b.bin, "coffer")},
		&pipeline{home: at("pipeline"), age: filepath.Join(b.bin, "age")},
		&restic{home: at("restic")},
	}
	first := round % len(all)
	return append(all[first:], all[:first]...)
}

// A step is what every contender does before any does the next one.
type step struct {
	name string
	do   func(ctx context.Context, name string, c contender) error
}

func (s step) each(ctx context.Context, all []contender) error {
	for _, c := range all {
		if err := s.do(ctx, s.name, c); err != nil {
			return fmt.Errorf("%s, %s: %w", s.name, c.name(), err)
		}
	}
	return nil
}

// history is the life of one archive: two days, and what one asks of it in between.
func (b *bench) history(ctx context.Context, round int) error {
	if !b.wants("first", "same", "restore", "verify", "dump", "day2") {
		return nil
	}
	store, err := b.freshStore(ctx)
	if err != nil {
		return err
	}
	picture, err := onePicture(store)
	if err != nil {
		return err
	}
	verify := func(ctx context.Context, name string, c contender) error {
		return b.timed(ctx, name, c, c.verify())
	}
	dump := func(ctx context.Context, name string, c contender) error {
		return b.timed(ctx, name, c, c.dump(picture))
	}
	all := b.contenders(round, store)
	for _, s := range []step{
		{"first", b.first}, {"same", b.unchanged}, {"restore", b.restored},
		{"verify", verify}, {"dump", dump}, {"day2", b.added},
	} {
		if s.name != "first" && !b.wants(s.name) { // the others need the first
			continue
		}
		if s.name == "day2" {
			if err := b.generate(ctx, store, append(scaled(b.scale), "-day", "1")...); err != nil {
				return err
			}
			settle()
		}
		if err := s.each(ctx, all); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) tinyFiles(ctx context.Context, round int) error {
	if !b.wants("tiny") {
		return nil
	}
	store := b.path("tinyfiles")
	if round == 0 {
		if err := b.generate(ctx, store, "-preset", "tiny200k", "-tiny", strconv.Itoa(b.tiny)); err != nil {
			return err
		}
		settle()
	}
	all := b.contenders(round, store)
	for _, s := range []step{{"tiny", b.first}, {"tinysame", b.unchanged}, {"tinyrestore", b.restored}} {
		if err := s.each(ctx, all); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) first(ctx context.Context, name string, c contender) error {
	if err := c.create(ctx); err != nil {
		return err
	}
	return b.added(ctx, name, c)
}

// unchanged leaves tar out, which has no memory of the last run.
func (b *bench) unchanged(ctx context.Context, name string, c contender) error {
	if c.name() == nameTar {
		return nil
	}
	return b.added(ctx, name, c)
}

// added measures a backup and what it adds to the destination.
func (b *bench) added(ctx context.Context, name string, c contender) error {
	before, err := look(c.destination())
	if err != nil {
		return err
	}
	if err := b.timed(ctx, name, c, c.backup()); err != nil {
		return err
	}
	after, err := look(c.destination())
	b.results.add(name+".bytes", c.name(), float64(after.bytes-before.bytes))
	b.results.add(name+".objects", c.name(), float64(len(after.files)-len(before.files)))
	return err
}

// restored measures a restore, which counts only if it brings everything back. A
// copied database comes without its -wal and -shm, so a little may be missing.
func (b *bench) restored(ctx context.Context, name string, c contender) error {
	to := b.path("restored")
	defer os.RemoveAll(to)
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	if err := b.timed(ctx, name, c, c.restore(to)); err != nil {
		return err
	}
	want, err := look(c.source())
	if err != nil {
		return err
	}
	got, err := look(to)
	if err == nil && got.bytes < want.bytes/100*98 {
		err = fmt.Errorf("brought back %d of %d bytes", got.bytes, want.bytes)
	}
	return err
}

// timed runs the job and notes what it took.
func (b *bench) timed(ctx context.Context, name string, c contender, j job) error {
	took, err := j.run(ctx)
	if err != nil {
		return err
	}
	b.progress("%s: %s: %.2f s", name, c.name(), took.wall.Seconds())
	b.results.add(name+".wall", c.name(), took.wall.Seconds())
	b.results.add(name+".cpu", c.name(), took.cpu.Seconds())
	b.results.add(name+".rss", c.name(), float64(took.rssBytes))
	return nil
}
