// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config is what a node's network needs.
type Config struct {
	Identity *Identity
	Listener net.Listener  // where the others connect; closed when Run returns
	Gateways []Fingerprint // whose requests are taken

	// Deliver gets a core's bytes from the host of a slot, or of a stranger's number. It must not wait.
	Deliver func(slot uint16, data []byte)

	// Handle and Descriptor serve gateways. Their errors are ErrBusy, or anything else for "not now". Nil: there are none.
	Handle     func(ctx context.Context, request []byte) ([]byte, error)
	Descriptor func(ctx context.Context) ([]byte, error)

	Logger *slog.Logger // nil discards
}

// ErrBusy is what Handle returns when too much is waiting.
var ErrBusy = errors.New("link: the node has too much to do")

const (
	firstStranger    = 0x8000
	maxStrangers     = 4
	strangerBytes    = 1 << 20 // that one may send on one connection
	maxShaking       = 128     // connections that have yet to show their certificate; of more the oldest go
	handshakeTimeout = 10 * time.Second
)

// Network is a node's connections with the others, and with gateways.
type Network struct {
	config Config
	log    *slog.Logger

	traffic traffic

	mu        sync.Mutex
	own       Node
	peers     map[uint16]*peer
	running   *errgroup.Group // nil before Run, and after
	ctx       context.Context
	strangers map[uint16]*conn
	guests    uint16 // strangers so far
	shaking   []net.Conn
	known     map[caller]net.Conn // one of each certificate and purpose: the newest
	leaders   []uint16
	changed   chan struct{} // closed and replaced when the table is another
}

// caller is whose connection it is, and what for.
type caller struct {
	fingerprint Fingerprint
	protocol    string
}

// NewNetwork returns a network that does nothing before Run.
func NewNetwork(config Config) *Network {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Network{config: config, log: config.Logger, peers: map[uint16]*peer{}, strangers: map[uint16]*conn{}, known: map[caller]net.Conn{}, changed: make(chan struct{})}
}

// Run accepts and dials until ctx ends.
func (n *Network) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	n.mu.Lock()
	n.running, n.ctx = group, ctx
	for _, p := range n.peers {
		n.start(p)
	}
	n.mu.Unlock()
	defer context.AfterFunc(ctx, func() { n.config.Listener.Close() })()
	group.Go(func() error { return n.accept(ctx, group) })
	err := group.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// SetOwn says which slot this node has.
func (n *Network) SetOwn(slot uint16, info Info) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if own := (Node{slot, info}); n.own != own {
		n.own = own
		n.tableChanged()
	}
}

// SetPeers says who the others are. Who is no more, or is elsewhere, is let go.
func (n *Network) SetPeers(nodes []Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for slot, p := range n.peers {
		if !slices.Contains(nodes, p.node) {
			p.stop()
			delete(n.peers, slot)
		}
	}
	for _, node := range nodes {
		if n.peers[node.Slot] == nil {
			p := newPeer(node)
			n.peers[node.Slot] = p
			if n.running != nil && n.ctx.Err() == nil {
				n.start(p)
			}
		}
	}
	n.tableChanged()
}

// start dials a peer, again and again. It is called with the lock held, while Run runs.
func (n *Network) start(p *peer) {
	ctx, cancel := context.WithCancel(n.ctx)
	p.stop = cancel
	n.running.Go(func() error { p.run(ctx, n); return nil })
}

// SetLeader says which slot leads a partition.
func (n *Network) SetLeader(partition, slot uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if partition >= maxPartitions {
		return
	}
	for len(n.leaders) <= int(partition) {
		n.leaders = append(n.leaders, 0)
	}
	if n.leaders[partition] != slot {
		n.leaders[partition] = slot
		n.tableChanged()
	}
}

// tableChanged wakes who tells gateways. It is called with the lock held.
func (n *Network) tableChanged() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// table returns what gateways are told, and a channel that is closed when that is another.
func (n *Network) table() (*Table, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := &Table{Leaders: slices.Clone(n.leaders)}
	if n.own.Slot != 0 {
		t.Nodes = append(t.Nodes, n.own)
	}
	for _, p := range n.peers {
		t.Nodes = append(t.Nodes, p.node)
	}
	return t, n.changed
}

// Send brings bytes of the core to the host of a slot, or to a stranger. It loses them rather than wait.
func (n *Network) Send(slot uint16, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.strangers[slot]; c != nil {
		c.put(frameData, data)
	} else if p := n.peers[slot]; p != nil {
		p.send(data)
	}
}

// PeerState is what a node knows of its connection with another.
type PeerState struct {
	Node      Node
	Connected bool
	Heard     time.Time // zero: never
}

// Peers returns what is known of the others, by slot.
func (n *Network) Peers() (states []PeerState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		states = append(states, p.state())
	}
	slices.SortFunc(states, func(a, b PeerState) int { return int(a.Node.Slot) - int(b.Node.Slot) })
	return states
}

// slotOf returns the peer of a certificate, nil for a stranger.
func (n *Network) peerOf(f Fingerprint) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.node.Info.Fingerprint == f {
			return p
		}
	}
	return nil
}

// accept takes connections. Those that show no certificate are not many: they push each other out, and nobody else.
func (n *Network) accept(ctx context.Context, group *errgroup.Group) error {
	config := n.config.Identity.server()
	for {
		raw, err := n.config.Listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			n.log.Warn("a connection could not be accepted", "error", err)
			if !pause(ctx, 100*time.Millisecond) { // no file descriptors are left, perhaps
				return ctx.Err()
			}
			continue
		}
		n.shakes(raw)
		group.Go(func() error {
			n.serve(ctx, raw, config)
			return nil
		})
	}
}

// serve shakes hands, finds out who that is, and serves it.
func (n *Network) serve(ctx context.Context, raw net.Conn, config *tls.Config) {
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c := tls.Server(raw, config)
	shake, cancel := context.WithTimeout(ctx, handshakeTimeout)
	err := c.HandshakeContext(shake)
	cancel()
	n.shook(raw)
	if err != nil {
		return
	}
	state := c.ConnectionState()
	from := peerFingerprint(state)
	who := caller{from, state.NegotiatedProtocol}
	if state.NegotiatedProtocol == forGateways && !slices.Contains(n.config.Gateways, from) {
		return
	}
	n.replace(who, raw)
	defer n.gone(who, raw)
	switch {
	case state.NegotiatedProtocol == forGateways:
		n.serveGateway(ctx, newConn(c))
	case state.NegotiatedProtocol == forPeers && n.peerOf(from) != nil:
		n.servePeer(ctx, newConn(c), from)
	case state.NegotiatedProtocol == forPeers:
		n.serveStranger(ctx, newConn(c), from)
	}
}

// shakes notes a connection that has yet to show its certificate, and closes the oldest of too many.
func (n *Network) shakes(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shaking = append(n.shaking, c); len(n.shaking) > maxShaking {
		n.shaking[0].Close()
		n.shaking = n.shaking[1:]
	}
}

func (n *Network) shook(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shaking = slices.DeleteFunc(n.shaking, func(o net.Conn) bool { return o == c })
}

// replace closes an older connection of the same caller. Of those that are not known there are no more than strangers, and one that waits for
// each of their certificates.
func (n *Network) replace(who caller, c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.known[who]; old != nil {
		old.Close()
	}
	n.known[who] = c
}

func (n *Network) gone(who caller, c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[who] == c {
		delete(n.known, who)
	}
}

// servePeer takes what a peer sends. Whose it is, is looked up each time: slots change hands. The peer is answered on this connection while it is not reached at its
// address: it may have another one now, which the fleet is told by its core, which has to be answered before.
func (n *Network) servePeer(ctx context.Context, c *conn, from Fingerprint) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.answers(ctx, c)
	var last *peer
	defer func() { last.goneBack(c) }()
	if p := n.peerOf(from); p != nil {
		p.isHere()
		p.cameBy(c)
		last = p
	}
	for {
		f, err := c.read(maxMessage)
		p := n.peerOf(from)
		if err != nil || p == nil || f.kind != frameData {
			return
		}
		if p != last {
			p.cameBy(c)
			last = p
		}
		p.hear()
		n.config.Deliver(p.node.Slot, f.body)
	}
}

// serveStranger takes a little from a node that is not in the fleet, and answers on the same connection.
func (n *Network) serveStranger(ctx context.Context, c *conn, from Fingerprint) {
	number, ok := n.enter(c)
	if !ok {
		return
	}
	defer n.leave(number)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.answers(ctx, c)
	for room := strangerBytes; room > 0; {
		f, err := c.read(room)
		if err != nil || f.kind != frameData || n.peerOf(from) != nil { // it may come again, as what it is now
			return
		}
		room -= len(f.body) + 64
		n.config.Deliver(number, f.body)
	}
}

// answers writes what is queued for who has dialled, until ctx ends or that is gone.
func (n *Network) answers(ctx context.Context, c *conn) {
	n.running.Go(func() error {
		_ = c.write(ctx.Done())
		c.net.Close()
		return nil
	})
}

func (n *Network) enter(c *conn) (number uint16, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.strangers) >= maxStrangers {
		return 0, false
	}
	for { // a number that was not used lately: what is late for one stranger must not reach the next
		number = firstStranger + n.guests%(1<<15)
		n.guests++
		if n.strangers[number] == nil {
			n.strangers[number] = c
			return number, true
		}
	}
}

func (n *Network) leave(number uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.strangers, number)
}

// pause reports whether ctx lasted as long.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
