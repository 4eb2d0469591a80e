// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/vault"
	"github.com/coffer-backup/coffer/wire"
)

// drainTimeout is longer than the gateway lets a request take.
const drainTimeout = 45 * time.Second

// run serves until ctx ends: the gateway at once, the vault as soon as it is up, which is when ready is called. It stops in
// order: the gateway finishes its requests, then the vault stops. After a failure of one, the others stop, too.
func (s *server) run(ctx context.Context, ready func(*wire.Descriptor) error) error {
	defer s.release()
	group, ctx := errgroup.WithContext(ctx)
	vaultCtx, stopVault := context.WithCancel(context.WithoutCancel(ctx))
	defer stopVault()
	for _, e := range s.edges {
		group.Go(func() error { return e.serve() })
	}
	group.Go(func() error {
		defer stopVault()
		<-ctx.Done()
		return drain(vaultCtx, s.edges)
	})
	serve := s.runVault
	if s.config.replicas > 1 {
		serve = s.runFleet
	}
	group.Go(func() error { return serve(ctx, vaultCtx, ready) })
	return group.Wait()
}

// drain lets the requests that are under way finish.
func drain(ctx context.Context, edges []edge) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	group := new(errgroup.Group)
	for _, e := range edges {
		group.Go(func() error { return errors.Join(e.Shutdown(ctx), e.Close()) })
	}
	return group.Wait()
}

// runVault serves until vaultCtx ends. What comes before it serves ends with starting.
func (s *server) runVault(starting, vaultCtx context.Context, ready func(*wire.Descriptor) error) error {
	v, err := s.openVault(starting)
	if err != nil {
		if starting.Err() != nil { // it was told to stop; what it had begun can be repeated
			return nil
		}
		return err
	}
	group, ctx := errgroup.WithContext(vaultCtx)
	group.Go(func() error { return v.Run(ctx) })
	group.Go(func() error {
		if v.Ready(starting) != nil {
			return nil // it was told to stop, or Run says what happened
		}
		descriptor, err := s.greet(starting, v)
		if err != nil {
			return err
		}
		s.backend.serve(v)
		return ready(descriptor)
	})
	return group.Wait()
}

// openVault opens the vault of the folder, and makes it at the first start.
func (s *server) openVault(ctx context.Context) (*vault.Vault, error) {
	config := vault.Config{Dir: filepath.Join(s.config.dir, "vault"), Command: s.config.command, Logger: s.config.logger}
	v, err := vault.Open(config)
	if !errors.Is(err, vault.ErrNotCreated) {
		return v, err
	}
	if err := vault.Create(ctx, config, s.config.policy.policy(s.issuer.Keys())); err != nil {
		return nil, err
	}
	return vault.Open(config)
}

// greet checks that the vault is the one that this server is to serve.
func (s *server) greet(ctx context.Context, v gateway.Backend) (*wire.Descriptor, error) {
	encoded, err := v.Descriptor(ctx)
	if err != nil {
		return nil, err
	}
	descriptor, err := wire.ParseDescriptor(encoded)
	if err != nil {
		return nil, err
	}
	return descriptor, s.config.policy.agree(descriptor.Policy, s.issuer.Keys())
}
