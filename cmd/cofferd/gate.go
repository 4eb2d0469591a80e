// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/internal/settings"
)

// gate is a gateway's side towards the nodes: its certificate.
type gate struct{}

// router finds the node that leads a request's partition.
type router interface {
	gateway.Backend
	Close() error
}

var errNoRouter = errors.New("this version cannot reach nodes yet")

func openGate(dir string) (*gate, error)              { return &gate{}, nil }
func (g *gate) fingerprint() (f settings.Fingerprint) { return f }

func (g *gate) open(peers []settings.Peer, log *slog.Logger) (router, error) {
	return nil, errNoRouter
}

// peers are the replicas that run, as the gateway reaches them.
func (f *fleet) peers(ctx context.Context) (list []settings.Peer, err error) {
	for _, n := range f.nodes {
		s, err := n.client.Status(ctx)
		if err != nil {
			return nil, err
		}
		p := settings.Peer{Address: s.Address}
		if _, err := hex.Decode(p.Fingerprint[:], []byte(s.Certificate)); err != nil {
			return nil, fmt.Errorf("replica %d: its certificate's fingerprint: %w", n.slot, err)
		}
		list = append(list, p)
	}
	return list, nil
}
