// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/internal/link"
	"github.com/coffer-backup/coffer/vault"
)

// backend is the vault as the gateway sees it, not there until it serves.
type backend struct {
	to atomic.Pointer[gateway.Backend]
}

func (b *backend) serve(to gateway.Backend) { b.to.Store(&to) }

func (b *backend) Handle(ctx context.Context, request []byte) ([]byte, error) {
	to := b.to.Load()
	if to == nil {
		return nil, gateway.ErrUnavailable
	}
	answer, err := (*to).Handle(ctx, request)
	return answer, edgeError(err)
}

func (b *backend) Descriptor(ctx context.Context) ([]byte, error) {
	to := b.to.Load()
	if to == nil {
		return nil, gateway.ErrUnavailable
	}
	descriptor, err := (*to).Descriptor(ctx)
	return descriptor, edgeError(err)
}

// edgeError says a vault's error in the gateway's words.
func edgeError(err error) error {
	switch {
	case errors.Is(err, vault.ErrUnavailable), errors.Is(err, link.ErrUnavailable):
		return gateway.ErrUnavailable
	case errors.Is(err, vault.ErrBusy), errors.Is(err, link.ErrBusy):
		return gateway.ErrBusy
	}
	return err
}

// status is a vault's in this process, all zero where there is none.
func (b *backend) status() vault.Status {
	if to := b.to.Load(); to != nil {
		if v, ok := (*to).(*vault.Vault); ok {
			return v.Status()
		}
	}
	return vault.Status{}
}
