// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/vault"
)

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
		// Of a slot whose core was started again the voter may be the last one, and this one a learner.
		return p.Leader == 0 || !slices.Contains(p.Voters, s.Slot) || p.Role == vault.RoleNone || p.Role == vault.RoleLearner
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
