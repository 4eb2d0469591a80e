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
	"strings"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
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

// add makes a node and starts it. It is a voter then.
func (f *fleet) add(ctx context.Context, n *fleetNode) error {
	if n.slot == 1 {
		if err := n.do(ctx, "", "create"); err != nil && !strings.Contains(err.Error(), vault.ErrExists.Error()) {
			return err
		}
	} else if err := f.join(ctx, n); err != nil {
		return err
	}
	if err := f.run(ctx, n); err != nil {
		return err
	}
	if err := n.await(ctx, votes); err != nil {
		return err
	}
	fmt.Fprintf(f.notice, "replica %d is up: %s\n", n.slot, n.dir)
	return os.WriteFile(n.joinedFile(), nil, 0o600)
}

// votes reports whether a node is a voter in every partition.
func votes(s *operator.Status) bool {
	return len(s.Partitions) > 0 && !slices.ContainsFunc(s.Partitions, func(p vault.Partition) bool {
		return p.Leader == 0 || !slices.Contains(p.Voters, s.Slot)
	})
}

func (f *fleet) join(ctx context.Context, n *fleetNode) error {
	ticket, err := f.invite(ctx, n.slot)
	if err != nil {
		return err
	}
	err = n.do(ctx, ticket, "join")
	if err != nil && strings.Contains(err.Error(), vault.ErrExists.Error()) {
		return nil // it did join, and was interrupted later
	}
	return err
}

// These are longer than an election and a change of members take.
const (
	inviteTimeout = 30 * time.Second
	awaitTimeout  = 15 * time.Second // then it is said
)

// invite asks the nodes that run, until one makes a ticket: only a leader can.
func (f *fleet) invite(ctx context.Context, slot vault.Slot) (ticket string, err error) {
	ctx, cancel := context.WithTimeout(ctx, inviteTimeout)
	defer cancel()
	for look := time.NewTicker(100 * time.Millisecond); ; {
		var refused error
		for _, n := range f.nodes {
			if n.slot == slot {
				continue
			}
			if ticket, err = n.client.Invite(ctx, slot); err == nil {
				return ticket, nil
			}
			if !errors.Is(err, operator.ErrNotRunning) {
				refused = errors.Join(refused, fmt.Errorf("replica %d: %w", n.slot, err))
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return "", fmt.Errorf("no replica makes a ticket for slot %d: %w", slot, errors.Join(ctx.Err(), refused))
		}
	}
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
