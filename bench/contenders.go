// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
)

// A contender backs one folder, the store, up to a destination in a folder of its own.
type contender interface {
	name() string
	// create empties the contender's folder and makes what a first backup needs.
	create(ctx context.Context) error
	source() string
	destination() string

	backup() job
	restore(to string) job // on a machine that has no state of the contender's
	verify() job           // reads and checks everything; likewise without state
	dump(path string) job  // path is relative to the store
}

const (
	nameCoffer = "coffer"
	nameTar    = "tar | zstd | age"
	nameRestic = "restic"
)

// home is what all contenders share: where they work, what they back up.
type home struct {
	dir, store string
	fresh      int
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }
func (h *home) source() string          { return h.store }
func (h *home) destination() string     { return h.path("destination") }

func (h *home) empty() error {
	if err := os.RemoveAll(h.dir); err != nil {
		return err
	}
	return os.MkdirAll(h.destination(), 0o700)
}

// stateless names a folder for the state of a machine that has never seen the
// archive: the page cache may be warm, but not the contender's own cache.
func (h *home) stateless() string {
	h.fresh++
	return h.path("state" + strconv.Itoa(h.fresh))
}

type coffer struct {
	home
	program string
}

func (c *coffer) name() string { return nameCoffer }

func (c *coffer) job(state string, args ...string) job {
	return job{args: [][]string{append([]string{c.program}, args...)}, env: []string{"COFFER_HOME=" + state}}
}

func (c *coffer) key() string   { return c.path("key") }
func (c *coffer) state() string { return c.path("state") }

func (c *coffer) create(ctx context.Context) error {
	if err := c.empty(); err != nil {
		return err
	}
	_, err := c.job(c.state(), "init", c.store, "--to", c.destination(),
		"--key", "--key-file", c.key(), "--yes").run(ctx)
	return err
}

func (c *coffer) backup() job { return c.job(c.state(), "backup", "--quiet") }

func (c *coffer) restore(to string) job {
	return c.job(c.stateless(), "restore", "--from", c.destination(), "--to", to, "--key-file", c.key())
}

func (c *coffer) verify() job {
	return c.job(c.stateless(), "verify", "--from", c.destination(), "--key-file", c.key(), "--read-all")
}

func (c *coffer) dump(path string) job { return c.job(c.state(), "dump", "latest", path) }

// pipeline is what people write without a backup tool. Each backup is a new file.
type pipeline struct {
	home
	age   string
	files int
}

func (p *pipeline) name() string { return nameTar }

func (p *pipeline) create(ctx context.Context) error {
	if err := p.empty(); err != nil {
		return err
	}
	p.files = 0
	keygen := job{args: [][]string{{p.age + "-keygen", "-o", p.path("key")}}}
	if _, err := keygen.run(ctx); err != nil {
		return err
	}
	recipient := job{args: [][]string{{p.age + "-keygen", "-y", p.path("key")}}, out: p.path("recipient")}
	_, err := recipient.run(ctx)
	return err
}

func (p *pipeline) latest() string {
	return filepath.Join(p.destination(), strconv.Itoa(p.files)+".tar.zst.age")
}

func (p *pipeline) backup() job {
	p.files++
	return job{args: [][]string{
		{"tar", "-C", p.store, "-c", "."}, {"zstd", "-q", "-c"}, {p.age, "-R", p.path("recipient")},
	}, out: p.latest()}
}

func (p *pipeline) open(tar ...string) job {
	return job{args: [][]string{
		{p.age, "-d", "-i", p.path("key"), p.latest()}, {"zstd", "-q", "-d", "-c"}, append([]string{"tar"}, tar...),
	}}
}

func (p *pipeline) restore(to string) job { return p.open("-C", to, "-x") }
func (p *pipeline) verify() job           { return p.open("-t") }
func (p *pipeline) dump(path string) job  { return p.open("-x", "-O", "./"+path) }

type restic struct{ home }

func (r *restic) name() string { return nameRestic }

func (r *restic) job(cache string, args ...string) job {
	return job{
		args: [][]string{append([]string{"restic", "--quiet"}, args...)},
		dir:  r.store, // so that paths in the repository are relative to it
		env: []string{
			"RESTIC_REPOSITORY=" + r.destination(), "RESTIC_PASSWORD_FILE=" + r.path("password"),
			"RESTIC_CACHE_DIR=" + cache,
		},
	}
}

func (r *restic) cache() string { return r.path("cache") }

func (r *restic) create(ctx context.Context) error {
	if err := r.empty(); err != nil {
		return err
	}
	if err := os.WriteFile(r.path("password"), []byte("a password of the benchmark\n"), 0o600); err != nil {
		return err
	}
	_, err := r.job(r.cache(), "init").run(ctx)
	return err
}

func (r *restic) backup() job { return r.job(r.cache(), "backup", ".") }
func (r *restic) restore(to string) job {
	return r.job(r.stateless(), "restore", "latest", "--target", to)
}
func (r *restic) verify() job          { return r.job(r.stateless(), "check", "--read-data") }
func (r *restic) dump(path string) job { return r.job(r.cache(), "dump", "latest", "/"+path) }
