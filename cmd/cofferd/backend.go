// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/vault"
)

// backend is the vault as the gateway sees it, not there until it serves.
type backend struct{ vault atomic.Pointer[vault.Vault] }

func (b *backend) Handle(ctx context.Context, request []byte) ([]byte, error) {
	v := b.vault.Load()
	if v == nil {
		return nil, gateway.ErrUnavailable
	}
	answer, err := v.Handle(ctx, request)
	return answer, edgeError(err)
}

func (b *backend) Descriptor(ctx context.Context) ([]byte, error) {
	v := b.vault.Load()
	if v == nil {
		return nil, gateway.ErrUnavailable
	}
	descriptor, err := v.Descriptor(ctx)
	return descriptor, edgeError(err)
}

// edgeError says a vault's error in the gateway's words.
func edgeError(err error) error {
	switch {
	case errors.Is(err, vault.ErrUnavailable):
		return gateway.ErrUnavailable
	case errors.Is(err, vault.ErrBusy):
		return gateway.ErrBusy
	}
	return err
}

// newRegistry returns a registry with the vault's figures. None tells anything about one account.
func (b *backend) newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	for name, figure := range map[string]struct {
		help string
		of   func(vault.Stats) uint64
	}{
		"accounts":    {"Accounts that the vault knows.", func(s vault.Stats) uint64 { return s.Accounts }},
		"applied":     {"Index of the last applied log entry.", func(s vault.Stats) uint64 { return s.Applied }},
		"log_entries": {"Log entries since the last snapshot.", func(s vault.Stats) uint64 { return s.LogEntries }},
		"epoch":       {"Number of the key that seals the log.", func(s vault.Stats) uint64 { return s.Epoch }},
		"disk_bytes":  {"Bytes of disk that the store takes.", func(s vault.Stats) uint64 { return s.DiskBytes }},
	} {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "coffer_vault_" + name, Help: figure.help}, func() float64 {
			if v := b.vault.Load(); v != nil {
				return float64(figure.of(v.Stats()))
			}
			return 0
		}))
	}
	return registry
}
