// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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
	config, err := vaultConfig(n, newLogger(a.err, level))
	if err != nil {
		return err
	}
	v, err := vault.Open(config)
	if err != nil {
		return err
	}
	r := &nodeRun{vault: v, settings: n, notice: a.err}
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
	servers := []*http.Server{operator.Server(live, r.vault)}
	group.Go(func() error { return edge{servers[0], r.operator}.serve() })
	if r.admin != nil {
		servers = append(servers, r.adminServer())
		group.Go(func() error { return edge{servers[1], r.admin}.serve() })
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
		return closeAll(servers)
	})
	return group.Wait()
}

const (
	handOverTimeout = 5 * time.Second
	closeTimeout    = 5 * time.Second
)

// handOver is for the clients' sake: without it they would wait for an election. It gives up when too few nodes are left to elect anybody.
func (r *nodeRun) handOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	for look := time.NewTicker(50 * time.Millisecond); ; {
		s := r.vault.Status()
		if s.Leads() == 0 || !othersSuffice(&s) {
			return
		}
		_ = r.vault.Transfer(ctx, vault.Transfer{All: true}) // else an election does it
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// othersSuffice reports whether the nodes that this one is connected with are a majority without it.
func othersSuffice(s *vault.Status) bool {
	connected := 0
	for _, p := range s.Peers {
		if p.Connected {
			connected++
		}
	}
	return 2*connected > len(s.Peers)+1
}

func closeAll(servers []*http.Server) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, s := range servers {
		if s.Shutdown(ctx) != nil {
			err = errors.Join(err, s.Close())
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

// adminServer serves the node's figures and its health.
func (r *nodeRun) adminServer() *http.Server {
	ready := func() error {
		if s := r.vault.Status(); !s.Serving {
			return errors.New("not serving")
		}
		return nil
	}
	handler := healthHandler(vaultRegistry(r.vault.Status), ready)
	return &http.Server{Handler: forThisMachine(r.admin, handler), ReadHeaderTimeout: 5 * time.Second}
}
