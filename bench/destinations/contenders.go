// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/coffer-backup/coffer/archive/format"
)

// place is the server, as contenders reach it.
type place struct{ Endpoint, AccessKey, SecretKey, Bucket string }

// A contender backs one folder up to a bucket of its own.
type contender interface {
	name() string
	create(ctx context.Context) error
	backup(ctx context.Context) error
	list(ctx context.Context) error
	restore(ctx context.Context, to string) error // on a machine that has no state of the contender's
	prune(ctx context.Context) error              // of all snapshots but the newest
}

func run1(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, said.Bytes())
	}
	return nil
}

type coffer struct {
	dir   string
	order order
	fresh int
}

func newCoffer(dir, store string, p place) *coffer {
	return &coffer{dir: dir, order: order{
		Place: p, Source: store, State: filepath.Join(dir, "state"), Key: format.NewKey().Digits(), Archive: format.NewID(), Device: format.NewID(),
	}}
}

func (c *coffer) name() string { return "coffer" }

func (c *coffer) do(ctx context.Context, o order, operation string) error {
	o.Operation = operation
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	return run1(ctx, "", []string{orderVariable + "=" + string(text)}, exe)
}

func (c *coffer) create(ctx context.Context) error { return c.do(ctx, c.order, "create") }
func (c *coffer) backup(ctx context.Context) error { return c.do(ctx, c.order, "backup") }
func (c *coffer) list(ctx context.Context) error   { return c.do(ctx, c.order, "list") }
func (c *coffer) prune(ctx context.Context) error  { return c.do(ctx, c.order, "prune") }

func (c *coffer) restore(ctx context.Context, to string) error {
	c.fresh++
	o := c.order
	o.State, o.Device, o.To = filepath.Join(c.dir, "state"+strconv.Itoa(c.fresh)), format.NewID(), to
	return c.do(ctx, o, "restore")
}

type restic struct {
	dir, store string
	place      place
	fresh      int
}

func (r *restic) name() string { return "restic" }

func (r *restic) do(ctx context.Context, cache string, args ...string) error {
	return run1(ctx, r.store, []string{
		"RESTIC_REPOSITORY=s3:http://" + r.place.Endpoint + "/" + r.place.Bucket, "RESTIC_PASSWORD=a password of the benchmark",
		"RESTIC_CACHE_DIR=" + filepath.Join(r.dir, cache),
		"AWS_ACCESS_KEY_ID=" + r.place.AccessKey, "AWS_SECRET_ACCESS_KEY=" + r.place.SecretKey, "AWS_DEFAULT_REGION=us-east-1",
	}, append([]string{"restic", "--quiet"}, args...)...)
}

func (r *restic) create(ctx context.Context) error { return r.do(ctx, "cache", "init") }
func (r *restic) backup(ctx context.Context) error { return r.do(ctx, "cache", "backup", ".") }
func (r *restic) list(ctx context.Context) error   { return r.do(ctx, "cache", "snapshots") }

func (r *restic) prune(ctx context.Context) error {
	return r.do(ctx, "cache", "forget", "--keep-last", "1", "--prune")
}

func (r *restic) restore(ctx context.Context, to string) error {
	r.fresh++
	return r.do(ctx, "cache"+strconv.Itoa(r.fresh), "restore", "latest", "--target", to)
}
