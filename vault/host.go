// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"errors"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/internal/link"
	"github.com/coffer-backup/coffer/internal/replica"
)

// host is the node's side of the network, and what it hears from its core about the fleet.
type host struct {
	config   *Config
	identity *link.Identity // these are nil, and info is empty, for a fleet of one that listens nowhere
	listener net.Listener
	network  *link.Network
	info     link.Info

	// The replica, once there is one.
	mu      sync.Mutex
	deliver func(slot uint16, data []byte)
	handle  func(context.Context, []byte) ([]byte, error)
	about   func(context.Context) ([]byte, error) // the fleet

	slot    uint16            // of this node, 0 while it is not known
	leaders map[uint16]uint16 // by partition
}

var errAlone = errors.New("vault: a node that is to have others needs an address to listen on")

// openHost listens, if the node has an address. Nobody is answered before run.
func (c *Config) openHost() (*host, error) {
	h := &host{config: c, leaders: map[uint16]uint16{}}
	if c.Listen == "" {
		return h, nil
	}
	var err error
	if h.identity, err = link.OpenIdentity(c.Dir); err != nil {
		return nil, err
	}
	if h.listener, err = c.listen(); err != nil {
		return nil, err
	}
	if err := h.introduce(); err != nil {
		return nil, errors.Join(err, h.close())
	}
	h.network = link.NewNetwork(link.Config{
		Identity: h.identity, Listener: h.listener, Gateways: c.Gateways, Logger: c.Logger,
		Deliver: h.bring, Handle: h.serve, Descriptor: h.describe,
	})
	return h, nil
}

// introduce decides what the fleet is told of this node.
func (h *host) introduce() error {
	address, err := h.config.address(h.listener)
	if err != nil {
		return err
	}
	h.info = link.Info{Address: address, Fingerprint: h.identity.Fingerprint()}
	return h.info.Check()
}

// close gives the address back, which run does, too.
func (h *host) close() error {
	if h.listener == nil {
		return nil
	}
	return h.listener.Close()
}

func (h *host) replicaConfig(start startFunc) replica.Config {
	config := replica.Config{
		Dir: h.config.storeDir(), Start: start, Logger: h.config.logger(), Leads: h.leads, Stats: h.stats,
	}
	if h.network != nil {
		config.Host, config.Send, config.Members = h.info.Append(nil), h.network.Send, h.members
	}
	return config
}

// run runs the replica, and the network for as long: a core that stops still tells the others what it can.
func (h *host) run(ctx context.Context, r *replica.Replica) error {
	if h.network == nil {
		return r.Run(ctx)
	}
	h.mu.Lock()
	h.deliver, h.handle, h.about = r.Deliver, r.Handle, r.Descriptor
	h.mu.Unlock()
	return h.with(ctx, r.Run)
}

// join has the core of a new replica speak to the fleet, until that has taken it in.
func (h *host) join(ctx context.Context, start startFunc, ticket []byte) error {
	return h.with(ctx, func(ctx context.Context) error {
		return replica.Join(ctx, h.replicaConfig(start), ticket, func(deliver func(uint16, []byte)) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.deliver = deliver
		})
	})
}

// with has the network run while do does. If the network fails do is ended, too.
func (h *host) with(ctx context.Context, do func(context.Context) error) error {
	up, down := context.WithCancel(context.WithoutCancel(ctx))
	defer down()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.network.Run(up) })
	group.Go(func() error {
		defer down()
		return do(ctx)
	})
	return group.Wait()
}
