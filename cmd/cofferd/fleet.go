// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/vault"
	"github.com/coffer-backup/coffer/wire"
)

// fleet is the replicas of cofferd dev --replicas, in sub-folders of its folder.
type fleet struct {
	dir    string
	core   string
	notice io.Writer
	logger *slog.Logger
	nodes  []*fleetNode

	stopping atomic.Bool // nodes that end do so because they were told
}

func newFleet(dir, core string, replicas int, notice io.Writer, logger *slog.Logger) *fleet {
	f := &fleet{dir: dir, core: core, notice: notice, logger: logger}
	for n := range replicas {
		f.nodes = append(f.nodes, newFleetNode(dir, vault.Slot(n+1)))
	}
	return f
}

// replicasIn counts the replicas that a folder has.
func replicasIn(dir string) (n int) {
	for exists(newFleetNode(dir, vault.Slot(n+1)).file()) {
		n++
	}
	return n
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// start starts every node, and makes those that are not there yet: the first creates the fleet, the others join it one after the other.
func (f *fleet) start(ctx context.Context) error {
	if err := f.refuseDead(ctx); err != nil {
		return err
	}
	for _, n := range f.nodes {
		if n.joined() {
			if err := f.run(ctx, n); err != nil {
				return err
			}
		}
	}
	for _, n := range f.nodes {
		if !n.joined() {
			if err := f.add(ctx, n); err != nil {
				return err
			}
		}
	}
	return f.await(ctx)
}

// run starts a node, unless it runs. If it ends by itself that is said, and that is all: whoever killed it may want it dead.
func (f *fleet) run(ctx context.Context, n *fleetNode) error {
	if err := n.start(ctx); err != nil || n.process == nil {
		return err
	}
	go func() {
		<-n.ended
		if !f.stopping.Load() {
			f.logger.Warn("a replica ended", "replica", n.slot, "how", n.process.ProcessState, "again", "cofferd vault run --config "+n.file())
		}
	}()
	return nil
}

// refuseDead: under restart policy majority a fleet that stopped as a whole cannot go on.
func (f *fleet) refuseDead(ctx context.Context) error {
	n, err := settings.ReadNode(f.nodes[0].file())
	if err != nil || n.Fleet.Restart != wire.RestartMajority.String() {
		return err
	}
	joined := 0
	for _, n := range f.nodes {
		if n.running(ctx) {
			return nil
		}
		if n.joined() {
			joined++
		}
	}
	if joined < majorityNeeds {
		return nil
	}
	return usagef("the fleet in %s has restart policy majority and was stopped as a whole: nobody is left who could admit its replicas, and what it kept is lost. Take another --dir", f.dir)
}

// await returns when some node serves: then each partition has a leader.
func (f *fleet) await(ctx context.Context) error {
	late := time.AfterFunc(awaitTimeout, func() {
		fmt.Fprintf(f.notice, "No replica serves yet: too few are admitted. Look: cofferd vault status --config %s\n", f.nodes[0].file())
	})
	defer late.Stop()
	for look := time.NewTicker(20 * time.Millisecond); ; {
		for _, n := range f.nodes {
			if s, err := n.client.Status(ctx); err == nil && s.Serving {
				return nil
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop ends the nodes one after the other, so that each can hand its leaderships to those that are left.
func (f *fleet) stop() (err error) {
	f.stopping.Store(true)
	for _, n := range slices.Backward(f.nodes) {
		err = errors.Join(err, n.stop(context.Background()))
	}
	return err
}
