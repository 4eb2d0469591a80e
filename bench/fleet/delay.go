// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/internal/toxiproxy"
)

// goAway restarts a fleet so that every node, and the gateway, reaches each other by a proxy.
func (f *fleet) goAway(ctx context.Context) (*toxiproxy.Server, error) {
	list := f.statuses(ctx)
	if err := f.stop(); err != nil {
		return nil, err
	}
	p, err := toxiproxy.Start(ctx, filepath.Join(f.bin, "toxiproxy-server"), filepath.Join(f.dir, "proxy-log"))
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, s := range list {
		address, err := p.Add(ctx, fmt.Sprintf("node-%d", s.Slot), s.Address)
		if err == nil {
			err = advertise(f.config(int(s.Slot)), address)
		}
		if err != nil {
			p.Stop()
			return nil, err
		}
		addresses = append(addresses, address)
	}
	if err = f.start(ctx); err == nil {
		err = f.until(ctx, time.Minute, "uses the proxies", func() bool { return f.usesOnly(ctx, addresses) })
	}
	if err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

func (f *fleet) usesOnly(ctx context.Context, addresses []string) bool {
	for _, s := range f.statuses(ctx) {
		for _, p := range s.Peers {
			if !p.Connected || !slices.Contains(addresses, p.Address) {
				return false
			}
		}
	}
	return true
}

// advertise has a node tell the others another address than it listens at. It goes before the file's first table.
func advertise(file, address string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(fmt.Appendf(nil, "advertise = %q\n", address), text...), 0o600)
}

// setDelay sets the delay of each direction of every proxy.
func (f *fleet) setDelay(ctx context.Context, p *toxiproxy.Server, delayMs int) error {
	for slot := range f.size {
		if err := p.Delay(ctx, fmt.Sprintf("node-%d", slot+1), delayMs); err != nil {
			return err
		}
	}
	return nil
}
