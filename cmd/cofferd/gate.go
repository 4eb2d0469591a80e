// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"

	"github.com/coffer-backup/coffer/internal/link"
	"github.com/coffer-backup/coffer/internal/settings"
)

// gate is a gateway's side towards the nodes: the certificate that they know it by.
type gate struct{ identity *link.Identity }

// openGate reads the certificate in dir, and makes it at first.
func openGate(dir string) (*gate, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	identity, err := link.OpenIdentity(dir)
	return &gate{identity}, err
}

func (g *gate) fingerprint() settings.Fingerprint {
	return settings.Fingerprint(g.identity.Fingerprint())
}

// router finds the node that leads a request's partition.
func (g *gate) router(nodes []settings.Peer, log *slog.Logger) *link.Router {
	var seeds []link.Info
	for _, n := range nodes {
		seeds = append(seeds, link.Info{Address: n.Address, Fingerprint: link.Fingerprint(n.Fingerprint)})
	}
	return link.NewRouter(g.identity, seeds, log)
}

// peers are the replicas that run, as the gateway reaches them.
func (f *fleet) peers(ctx context.Context) (list []settings.Peer, err error) {
	for _, n := range f.nodes {
		s, err := n.client.Status(ctx)
		if err != nil {
			continue // killed meanwhile; the others tell of it
		}
		p := settings.Peer{Address: s.Address}
		if _, err := hex.Decode(p.Fingerprint[:], []byte(s.Certificate)); err != nil {
			return nil, fmt.Errorf("replica %d: its certificate's fingerprint: %w", n.slot, err)
		}
		list = append(list, p)
	}
	return list, nil
}
