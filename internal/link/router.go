// SPDX-License-Identifier: Apache-2.0

package link

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/wire"
)

// ErrUnavailable means that no node answers now. The request may have been worked on; to repeat the same bytes is free.
var ErrUnavailable = errors.New("link: no node of the fleet can answer now")

const (
	routeTimeout = 15 * time.Second // of one request, all attempts together
	retryWait    = 40 * time.Millisecond
	perAttempt   = 6 * time.Second
)

// A Router brings a gateway's requests to the node that leads their partition. It learns from any node who the others are and who
// leads, and repeats a request, which is sealed and so the same each time, elsewhere when a node cannot answer it.
type Router struct {
	own   *Identity
	seeds []Info
	log   *slog.Logger

	mu      sync.Mutex
	nodes   map[Info]*node
	newer   chan struct{} // closed and replaced when some node's table is another
	running *errgroup.Group
	ctx     context.Context
}

// NewRouter returns a router that knows some nodes. It connects when Run runs.
func NewRouter(own *Identity, seeds []Info, log *slog.Logger) *Router {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Router{own: own, seeds: seeds, log: log, nodes: map[Info]*node{}, newer: make(chan struct{})}
}

// Run keeps connections with all nodes until ctx ends.
func (r *Router) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	r.mu.Lock()
	r.running, r.ctx = group, ctx
	r.follow()
	r.mu.Unlock()
	group.Go(func() error { <-ctx.Done(); return nil })
	return group.Wait()
}

// follow connects to the nodes of the table and to the seeds, and lets go of the others. It is called with the lock held, while Run runs.
func (r *Router) follow() {
	if r.running == nil || r.ctx.Err() != nil {
		return
	}
	want := slices.Clone(r.seeds)
	for _, n := range r.nodes {
		for _, other := range n.table.Nodes {
			if len(want) < maxNodes {
				want = append(want, other.Info)
			}
		}
	}
	for info, n := range r.nodes {
		if !slices.Contains(want, info) {
			n.stop()
			delete(r.nodes, info)
		}
	}
	for _, info := range want {
		if r.nodes[info] == nil {
			ctx, cancel := context.WithCancel(r.ctx)
			n := &node{info: info, stop: cancel, waiting: map[uint64]chan reply{}}
			r.nodes[info] = n
			r.running.Go(func() error { n.run(ctx, r); return nil })
		}
	}
}

// learn takes a node's table. Every node tells what it knows; one that is cut off, or lies, is outvoted, and a wrong answer costs a retry.
func (r *Router) learn(n *node, t *Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.table = *t
	close(r.newer)
	r.newer = make(chan struct{})
	r.follow()
}

// Handle brings a sealed request to the core that leads its partition and returns the sealed answer.
// The error is ErrUnavailable, ErrBusy, that of ctx, or that of an envelope that is none.
func (r *Router) Handle(ctx context.Context, envelope []byte) ([]byte, error) {
	partition, err := wire.EnvelopePartition(envelope)
	if err != nil {
		return nil, err
	}
	return r.route(ctx, frameRequest, envelope, int(partition))
}

// Descriptor returns the fleet's descriptor, from any node.
func (r *Router) Descriptor(ctx context.Context) ([]byte, error) {
	return r.route(ctx, frameDescriptor, nil, -1)
}

// leader returns the node that most of the connected ones say leads a partition, and a channel that is closed when somebody says something else.
func (r *Router) leader(partition int) (*node, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	votes := map[Info]int{}
	for _, n := range r.nodes {
		if partition < 0 || partition >= len(n.table.Leaders) || !n.connected() {
			continue
		}
		for _, other := range n.table.Nodes {
			if other.Slot == n.table.Leaders[partition] {
				votes[other.Info]++
			}
		}
	}
	var leader *node
	most := 0
	for info, count := range votes {
		if n := r.nodes[info]; n != nil && n.connected() && count > most {
			leader, most = n, count
		}
	}
	return leader, r.newer
}

// route tries the node that should know, and others now and then, until one answers.
func (r *Router) route(ctx context.Context, kind byte, body []byte, partition int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, routeTimeout)
	defer cancel()
	busy := false
	for attempt := 0; ; attempt++ {
		if n := r.pick(partition, attempt); n != nil {
			answer, err := n.ask(ctx, kind, body, func() (<-chan struct{}, bool) {
				leader, newer := r.leader(partition)
				return newer, leader != nil && leader != n
			})
			if err == nil && !unavailable(answer) {
				return answer, nil
			}
			busy = errors.Is(err, ErrBusy)
		}
		wait := time.NewTimer(retryWait + rand.N(retryWait*time.Duration(1+min(attempt, 8))))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			switch {
			case busy:
				return nil, ErrBusy
			case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
				return nil, ErrUnavailable
			}
			return nil, ctx.Err()
		}
		wait.Stop()
	}
}

// pick returns a connected node: the leader, or any one where nobody is known to be it, and at every third attempt.
func (r *Router) pick(partition, attempt int) *node {
	if leader, _ := r.leader(partition); leader != nil && attempt%3 != 2 {
		return leader
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*node
	for _, n := range r.nodes {
		if n.connected() {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[rand.N(len(list))]
}

// unavailable tells whether an answer is a core's plain word that it does not lead.
func unavailable(answer []byte) bool {
	var refusal *wire.Error
	_, _, err := new(wire.Opener).Open(answer)
	return errors.As(err, &refusal) && refusal.Code == wire.CodeUnavailable
}

// node is one connection of a router.
type node struct {
	info  Info
	stop  context.CancelFunc
	table Table // the router's lock holds it

	mu      sync.Mutex
	conn    *conn // nil while there is none
	last    uint64
	waiting map[uint64]chan reply
}

type reply struct {
	status byte
	answer []byte
}

func (n *node) connected() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conn != nil
}

// run dials again and again.
func (n *node) run(ctx context.Context, r *Router) {
	connect := func() (bool, error) { return n.connect(ctx, r) }
	redial(ctx, nil, connect, func(err error) { r.log.Debug("no connection with a node", "address", n.info.Address, "error", err) })
}

func (n *node) connect(ctx context.Context, r *Router) (connected bool, err error) {
	raw, err := dial(ctx, r.own, n.info, forGateways, nil)
	if err != nil {
		return false, err
	}
	c := newConn(raw)
	n.mu.Lock()
	n.conn = c
	n.mu.Unlock()
	defer n.lose()
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	group.Go(func() error { return c.write(ctx.Done()) })
	group.Go(func() error { return n.read(c, r) })
	return true, group.Wait()
}

// lose ends the wait of everybody on a connection that is gone.
func (n *node) lose() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conn = nil
	for id, w := range n.waiting {
		w <- reply{status: statusUnavailable}
		delete(n.waiting, id)
	}
}

func (n *node) read(c *conn, r *Router) error {
	for {
		f, err := c.read(maxMessage)
		if err != nil {
			return err
		}
		switch {
		case f.kind == frameTable:
			table, err := parseTable(f.body)
			if err != nil {
				return err
			}
			r.learn(n, table)
		case f.kind == frameAnswer && len(f.body) >= 9:
			n.answered(binary.BigEndian.Uint64(f.body), reply{f.body[8], f.body[9:]})
		default:
			return errFrame
		}
	}
}

func (n *node) answered(id uint64, a reply) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w, ok := n.waiting[id]; ok {
		w <- a
		delete(n.waiting, id)
	}
}

// ask sends a request and waits for its answer, for as long as one attempt may take, and the others do not say that it is in vain.
func (n *node) ask(ctx context.Context, kind byte, body []byte, moved func() (<-chan struct{}, bool)) ([]byte, error) {
	w := make(chan reply, 1) // so that answering never waits
	n.mu.Lock()
	if n.conn == nil {
		n.mu.Unlock()
		return nil, ErrUnavailable
	}
	n.last++
	id := n.last
	n.waiting[id] = w
	sent := n.conn.put(kind, append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(body)), id), body...))
	n.mu.Unlock()
	defer n.answered(id, reply{}) // forgets it
	if !sent {
		return nil, ErrBusy
	}
	late := time.NewTimer(perAttempt)
	defer late.Stop()
	newer, _ := moved()
	for {
		select {
		case a := <-w:
			switch a.status {
			case statusAnswered:
				return a.answer, nil
			case statusBusy:
				return nil, ErrBusy
			}
			return nil, ErrUnavailable
		case <-newer:
			var elsewhere bool
			if newer, elsewhere = moved(); elsewhere {
				return nil, ErrUnavailable
			}
		case <-late.C:
			return nil, ErrUnavailable
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
