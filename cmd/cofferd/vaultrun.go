// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/vault"
	"github.com/coffer-backup/coffer/wire"
)

type vaultRunCmd struct {
	nodeFlag
	Quiet bool `help:"Log what goes wrong only."`
}

func (vaultRunCmd) Help() string {
	return "Ctrl-C or SIGTERM stops it in order: it hands its leaderships away, finishes what it began and ends. kill -9 loses nothing that was answered.\n\n" +
		"While it runs, its process id is in the file pid in its folder."
}

func (c *vaultRunCmd) Run(a *app) error {
	n, err := c.read()
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if c.Quiet {
		level = slog.LevelWarn
	}
	config, err := a.vaultConfig(n, newLogger(a.err, level))
	if err != nil {
		return err
	}
	v, err := vault.Open(config)
	if err != nil {
		return err
	}
	r := &nodeRun{vault: v, settings: n, log: config.Logger, notice: a.err}
	if err := r.open(); err != nil {
		r.close()
		return errors.Join(err, v.Close())
	}
	return r.run(a.ctx)
}

// nodeRun is one run of a node, from here on the only one in its folder.
type nodeRun struct {
	vault    *vault.Vault
	settings *settings.Node
	log      *slog.Logger
	notice   io.Writer
	operator net.Listener
	admin    net.Listener // nil: nowhere
	pid      string
}

func (r *nodeRun) open() (err error) {
	if r.operator, err = operator.Listen(r.settings.Dir); err != nil {
		return err
	}
	if r.settings.Admin != "" {
		if r.admin, err = listenHere(r.settings.Admin); err != nil {
			return err
		}
	}
	r.pid = filepath.Join(r.settings.Dir, "pid")
	return os.WriteFile(r.pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
}

// close gives back what open took. Listeners that were served are closed already.
func (r *nodeRun) close() {
	for _, l := range []net.Listener{r.operator, r.admin} {
		if l != nil {
			l.Close()
		}
	}
	if r.pid != "" {
		os.Remove(r.pid)
	}
}

// run serves until ctx ends, and then stops in order: leaderships first, so that the others need no election, then the vault.
func (r *nodeRun) run(ctx context.Context) error {
	defer r.close()
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, live := errgroup.WithContext(stopping)
	edges := []edge{{operator.Server(live, r.vault), r.operator}}
	if r.admin != nil {
		edges = append(edges, edge{r.adminServer(), r.admin})
	}
	for _, e := range edges {
		group.Go(e.serve)
	}
	group.Go(func() error { return r.vault.Run(live) })
	group.Go(func() error {
		r.warn(ctx, live)
		select {
		case <-ctx.Done():
			r.handOver(live)
		case <-live.Done():
		}
		stop()
		return closeAll(edges)
	})
	return group.Wait()
}

const (
	handOverTimeout = 5 * time.Second
	closeTimeout    = 5 * time.Second
)

// handOver is for the clients' sake: without it they would wait for an election.
func (r *nodeRun) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	if err := r.vault.Drain(ctx); err != nil {
		r.log.Debug("not every leadership is handed on", "error", err) // an election does it, too
	}
}

func closeAll(edges []edge) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, e := range edges {
		if e.Shutdown(ctx) != nil {
			err = errors.Join(err, e.Close())
		}
	}
	return err
}

// warn says at each start what does not hold.
func (r *nodeRun) warn(starting, live context.Context) {
	ctx, cancel := context.WithCancel(starting)
	defer cancel()
	defer context.AfterFunc(live, cancel)()
	if r.vault.Ready(ctx) != nil {
		return
	}
	if s := r.vault.Status(); s.Restart == wire.RestartTrustDisk.String() {
		fmt.Fprint(r.notice, trustDiskWarning)
	}
}

const trustDiskWarning = `
  ******************************************************************************
  * Restart policy trust-disk: whoever puts an old copy of this node's folder  *
  * back gets the guesses back that were used since.                           *
  ******************************************************************************

`
