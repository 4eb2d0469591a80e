// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/internal/settings"
	"github.com/coffer-backup/coffer/wire"
)

const (
	maxReplicas   = 15
	majorityNeeds = 3 // replicas; before there are so many such a fleet serves nobody
)

// replicas says how many replicas there are to be, more than 1 where they have folders of their own.
func (c *devCmd) replicas(dir string) (int, error) {
	switch has := replicasIn(dir); {
	case c.Replicas < 0 || c.Replicas > maxReplicas:
		return 0, usagef("--replicas must be 1 to %d", maxReplicas)
	case has > 0 && c.Replicas != 0 && c.Replicas < has:
		return 0, usagef("the fleet in %s has %d replicas: leave --replicas out, or take another --dir", dir, has)
	case has == 0 && c.Replicas > 1 && exists(filepath.Join(dir, "vault")):
		return 0, usagef("the vault in %s is one of one replica, and stays that: take another --dir", dir)
	case has == 0 && c.Replicas < majorityNeeds && c.Restart != "" && c.Restart != wire.RestartTrustDisk.String():
		return 0, usagef("--restart %s needs --replicas %d or more", c.Restart, majorityNeeds)
	default:
		return max(has, c.Replicas, 1), nil
	}
}

// restart is the policy of the vault that there is, or else of the one that there is to be.
func (c *serverConfig) restart() (wire.Restart, error) {
	policy := c.policy.policy(nil).Restart
	if replicasIn(c.dir) == 0 {
		return policy, nil
	}
	n, err := settings.ReadNode(newFleetNode(c.dir, 1).file())
	if err != nil {
		return policy, err
	}
	return settings.ParseRestart(n.Fleet.Restart)
}

// runFleet is runVault for several replicas.
func (s *server) runFleet(starting, live context.Context, ready func(*wire.Descriptor) error) (err error) {
	gate, err := openGate(filepath.Join(s.config.dir, "gateway"))
	if err != nil {
		return err
	}
	core := settings.CoreInProcess
	if s.config.command != nil {
		core = settings.CoreProcess
	}
	f := newFleet(s.config.dir, core, s.config.replicas, s.config.notice, s.config.logger)
	keys := s.issuer.Keys()
	if err := f.write(gate.fingerprint(), s.config.policy.policy(keys), keys); err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(s.config.notice, "Stopping the replicas. A second Ctrl-C leaves them running.")
		err = errors.Join(err, f.stop())
		if starting.Err() != nil && errors.Is(err, starting.Err()) {
			err = nil // it was told to stop; what it had begun can be repeated
		}
	}()
	if err := f.start(starting); err != nil {
		return err
	}
	return s.serveFleet(starting, live, f, gate, ready)
}

// serveFleet brings requests to the replicas until live ends.
func (s *server) serveFleet(starting, live context.Context, f *fleet, gate *gate, ready func(*wire.Descriptor) error) error {
	peers, err := f.peers(starting)
	if err != nil {
		return err
	}
	router := gate.router(peers, s.config.logger)
	s.backend.serve(router)
	group, ctx := errgroup.WithContext(live)
	group.Go(func() error { return router.Run(ctx) })
	group.Go(func() error {
		descriptor, err := s.greetSoon(starting, &s.backend)
		if err != nil {
			return err
		}
		return ready(descriptor)
	})
	return group.Wait()
}

// greetSoon is greet as soon as a replica can be reached.
func (s *server) greetSoon(ctx context.Context, to gateway.Backend) (*wire.Descriptor, error) {
	for look := time.NewTicker(20 * time.Millisecond); ; {
		d, err := s.greet(ctx, to)
		if !errors.Is(err, gateway.ErrUnavailable) {
			return d, err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
