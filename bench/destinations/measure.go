// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/blob/s3/s3test"
	"github.com/coffer-backup/coffer/internal/chatgen"
	"github.com/coffer-backup/coffer/internal/toxiproxy"
)

// A site is the server with what stands before it.
type site struct {
	server *s3test.Server
	meter  *meter
	proxy  *toxiproxy.Server
	place  place
}

func (b *bench) startSite(ctx context.Context) (*site, func(), error) {
	s := &site{}
	stop := func() {
		if s.proxy != nil {
			s.proxy.Stop()
		}
		if s.meter != nil {
			s.meter.server.Close()
		}
		if s.server != nil {
			s.server.Stop()
		}
	}
	var err error
	if s.server, err = s3test.Start(ctx, b.path("server")); err != nil {
		return nil, stop, err
	}
	if s.meter, err = newMeter(s.server.Endpoint); err != nil {
		return nil, stop, err
	}
	if s.proxy, err = toxiproxy.Start(ctx, filepath.Join(b.bin, "toxiproxy-server"), b.path("proxy-log")); err != nil {
		return nil, stop, err
	}
	endpoint, err := s.proxy.Add(ctx, "s3", s.meter.address)
	s.place = place{Endpoint: endpoint, AccessKey: s.server.AccessKey, SecretKey: s.server.SecretKey}
	return s, stop, err
}

// measured is what one step took.
type measured struct {
	traffic
	took time.Duration
}

func (m measured) String() string {
	return fmt.Sprintf("%d, %s ↑ %s ↓, %.2f s", m.requests, size(m.up), size(m.down), m.took.Seconds())
}

func size(n int64) string {
	if n < 10e6 {
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}

func (s *site) measure(ctx context.Context, what string, c contender, do func(context.Context) error) (measured, error) {
	before, began := s.meter.now(), time.Now()
	err := do(ctx)
	m := measured{s.meter.now().since(before), time.Since(began)}
	fmt.Fprintf(os.Stderr, "destinations: %s: %s: %v\n", what, c.name(), m)
	if err != nil {
		err = fmt.Errorf("%s, %s: %w", what, c.name(), err)
	}
	return m, err
}

var steps = []string{"first backup", "nothing changed", "a day later", "list of snapshots", "restore", "prune of all but the newest"}

func (b *bench) measure(ctx context.Context) error {
	site, stop, err := b.startSite(ctx)
	defer stop()
	if err != nil {
		return err
	}
	fmt.Printf("%s, versitygw v1.8.0, all on one machine. Requests, bytes of bodies sent ↑ and received ↓, time.\n\n", version(ctx))
	for _, trip := range b.trips {
		if err := site.proxy.Delay(ctx, "s3", trip/2); err != nil {
			return err
		}
		if err := b.distance(ctx, site, trip); err != nil {
			return err
		}
	}
	if err := site.proxy.Delay(ctx, "s3", 0); err != nil {
		return err
	}
	return b.history(ctx, site)
}

func version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "restic", "version").Output()
	if err != nil {
		return "restic of unknown version"
	}
	return strings.TrimSpace(string(out))
}

func (b *bench) contenders(site *site, dir, store string) []contender {
	at := site.place
	at.Bucket = "coffer-" + filepath.Base(dir)
	c := newCoffer(filepath.Join(dir, "coffer"), store, at)
	at.Bucket = "restic-" + filepath.Base(dir)
	return []contender{c, &restic{dir: filepath.Join(dir, "restic"), store: store, place: at}}
}

func scaled(scale float64) chatgen.Config {
	c := chatgen.Bench
	c.Messages, c.MediaFiles = int(float64(c.Messages)*scale), int(float64(c.MediaFiles)*scale)
	return c
}

// distance is the life of one archive at one round-trip time.
func (b *bench) distance(ctx context.Context, site *site, trip int) error {
	dir := b.path(fmt.Sprintf("trip-%d", trip))
	defer os.RemoveAll(dir)
	store, size := filepath.Join(dir, "store"), scaled(b.scale)
	if err := chatgen.Generate(ctx, store, size); err != nil {
		return err
	}
	all := b.contenders(site, dir, store)
	for _, c := range all {
		if err := c.create(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("Round trip of %d ms:\n\n| | coffer | restic |\n|---|---|---|\n", trip)
	for _, step := range steps {
		if step == "a day later" {
			if err := chatgen.NextDay(ctx, store, size, 1); err != nil {
				return err
			}
		}
		row := "| " + step
		for _, c := range all {
			m, err := site.measure(ctx, fmt.Sprintf("%d ms, %s", trip, step), c, b.step(step, c, dir))
			if err != nil {
				return err
			}
			row += fmt.Sprintf(" | %v", m)
		}
		fmt.Println(row + " |")
	}
	fmt.Println()
	return nil
}

func (b *bench) step(step string, c contender, dir string) func(context.Context) error {
	switch step {
	case "list of snapshots":
		return c.list
	case "restore":
		return func(ctx context.Context) error {
			to := filepath.Join(dir, "restored")
			defer os.RemoveAll(to)
			return c.restore(ctx, to)
		}
	case "prune of all but the newest":
		return c.prune
	}
	return c.backup
}

// quiet makes a backup when nothing has changed for a while.
func (b *bench) quiet(ctx context.Context, all []contender) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * time.Second):
	}
	for _, c := range all {
		if err := c.backup(ctx); err != nil {
			return err
		}
	}
	return nil
}

// history makes daily snapshots of a small store, and counts the requests that operations take beside so many of them.
func (b *bench) history(ctx context.Context, site *site) error {
	dir := b.path("history")
	store, size := filepath.Join(dir, "store"), scaled(0.003)
	if err := chatgen.Generate(ctx, store, size); err != nil {
		return err
	}
	all := b.contenders(site, dir, store)
	for _, c := range all {
		if err := c.create(ctx); err != nil {
			return err
		}
	}
	fmt.Printf("Requests with so many old snapshots, of a store of 9 MB; coffer / restic:\n\n| snapshots | %s |\n|---|%s\n",
		strings.Join(steps[1:5], " | "), strings.Repeat("---|", 4))
	made := 0
	for _, want := range b.snapshots {
		for ; made < want; made++ {
			if made > 0 {
				if err := chatgen.NextDay(ctx, store, size, made); err != nil {
					return err
				}
			}
			for _, c := range all {
				if err := c.backup(ctx); err != nil {
					return err
				}
			}
		}
		// What changed a moment before a backup is read again by the next one.
		if err := b.quiet(ctx, all); err != nil {
			return err
		}
		row := fmt.Sprintf("| %d", want)
		for _, step := range steps[1:5] {
			if step == "a day later" {
				if err := chatgen.NextDay(ctx, store, size, made); err != nil {
					return err
				}
				made++
			}
			var counts []string
			for _, c := range all {
				m, err := site.measure(ctx, fmt.Sprintf("%d snapshots, %s", want, step), c, b.step(step, c, dir))
				if err != nil {
					return err
				}
				counts = append(counts, fmt.Sprint(m.requests))
			}
			row += " | " + strings.Join(counts, " / ")
		}
		fmt.Println(row + " |")
	}
	fmt.Println()
	return nil
}
