// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// peer is another node: one goroutine dials it and writes, and one reads what it answers, as it does a stranger. While it is not reached, what it has dialled serves, too.
type peer struct {
	node Node
	stop context.CancelFunc
	here chan struct{} // holds a token when the peer has shown that it is there

	mu     sync.Mutex
	conn   *conn    // nil while there is none
	back   *conn    // that the peer has made, nil if there is none
	missed bool     // it was not reached at the last attempt
	first  [][]byte // what a new connection is to begin with
	heard  time.Time
}

const (
	firstRedial = 50 * time.Millisecond
	lastRedial  = 2 * time.Second
	dialTimeout = 5 * time.Second
)

func newPeer(node Node) *peer {
	return &peer{node: node, stop: func() {}, here: make(chan struct{}, 1)}
}

// isHere ends the wait of who dials: a peer that was started again has connected.
func (p *peer) isHere() {
	select {
	case p.here <- struct{}{}:
	default:
	}
}

// What waits for a connection: a core that starts says hello before there is one, and says it again only after a while.
const (
	maxFirst      = 16
	maxFirstBytes = 16 << 10 // each
)

// send queues bytes, or loses them.
func (p *peer) send(data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.conn != nil:
		p.conn.put(frameData, data)
	case p.missed && p.back != nil:
		p.back.put(frameData, data)
	case len(p.first) < maxFirst && len(data) <= maxFirstBytes:
		p.first = append(p.first, data)
	}
}

// cameBy notes the newest connection that the peer itself has made.
func (p *peer) cameBy(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.back = c
}

func (p *peer) goneBack(c *conn) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.back == c {
		p.back = nil
	}
}

func (p *peer) hear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
}

// set has a connection used; nil after an attempt that failed, and then what waits is forgotten: by the next one it is old.
func (p *peer) set(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn, p.missed = c, c == nil
	if c != nil {
		for _, data := range p.first {
			c.put(frameData, data)
		}
	}
	p.first = nil
}

func (p *peer) state() PeerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PeerState{Node: p.node, Connected: p.conn != nil, Heard: p.heard}
}

// run dials again and again, and at once when the peer was heard of.
func (p *peer) run(ctx context.Context, n *Network) {
	connect := func() (bool, error) { return p.connect(ctx, n) }
	redial(ctx, p.here, connect, func(err error) {
		level := slog.LevelDebug
		if errors.Is(err, errPinned) {
			level = slog.LevelWarn
		}
		n.log.Log(ctx, level, "no connection with a node", "slot", p.node.Slot, "error", err)
	})
}

// redial connects again and again until ctx ends, with growing waits, of which here breaks one off. Lost is told how each connection ended, or why there was none.
func redial(ctx context.Context, here <-chan struct{}, connect func() (connected bool, err error), lost func(error)) {
	for wait := firstRedial; ; wait = min(2*wait, lastRedial) {
		connected, err := connect()
		if ctx.Err() != nil {
			return
		}
		if connected {
			wait = firstRedial
		}
		lost(err)
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-here:
			wait = firstRedial
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (p *peer) connect(ctx context.Context, n *Network) (connected bool, err error) {
	raw, err := dial(ctx, n.config.Identity, p.node.Info, forPeers, &n.traffic)
	if err != nil {
		p.set(nil)
		return false, err
	}
	c := newConn(raw)
	p.set(c)
	defer p.set(nil)
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	group.Go(func() error { return c.write(ctx.Done()) })
	group.Go(func() error {
		for {
			// Nothing need come: then the connection's own keep-alive finds out that the other side is gone.
			if err := c.net.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			f, err := c.readAny(maxMessage)
			if err != nil || f.kind != frameData && f.kind != framePing {
				return errors.Join(err, errEnded)
			}
			if f.kind == framePing {
				continue
			}
			p.hear()
			n.config.Deliver(p.node.Slot, f.body)
		}
	})
	return true, group.Wait()
}

var errEnded = errors.New("link: the connection ended")

// dial connects to a node that has the certificate that is pinned.
// traffic, if it is not nil, counts what is written.
func dial(ctx context.Context, own *Identity, to Info, protocol string, traffic *traffic) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: pingEvery, Interval: pingEvery, Count: 3}}
	raw, err := dialer.DialContext(ctx, "tcp", to.Address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(counted{raw, traffic}, own.client(to.Fingerprint, protocol))
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}
