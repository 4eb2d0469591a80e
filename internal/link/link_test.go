// SPDX-License-Identifier: Apache-2.0

package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/coffer-backup/coffer/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNode is a node with a network that runs.
type testNode struct {
	t        *testing.T
	slot     uint16
	identity *Identity
	info     Info
	network  *Network
	got      chan delivery
	cancel   context.CancelFunc
	ended    chan struct{}

	handle func(ctx context.Context, request []byte) ([]byte, error)
}

type delivery struct {
	slot uint16
	data []byte
}

func newNode(t *testing.T, slot uint16, gateways ...Fingerprint) *testNode {
	t.Helper()
	n := &testNode{t: t, slot: slot, got: make(chan delivery, 1024)}
	var err error
	if n.identity, err = OpenIdentity(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	n.listen("127.0.0.1:0", gateways...)
	return n
}

func (n *testNode) listen(address string, gateways ...Fingerprint) {
	n.t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		n.t.Fatal(err)
	}
	n.info = Info{listener.Addr().String(), n.identity.Fingerprint()}
	n.network = NewNetwork(Config{
		Identity: n.identity, Listener: listener, Gateways: gateways,
		Deliver:    func(slot uint16, data []byte) { n.got <- delivery{slot, data} },
		Handle:     func(ctx context.Context, request []byte) ([]byte, error) { return n.handle(ctx, request) },
		Descriptor: func(context.Context) ([]byte, error) { return []byte("descriptor"), nil },
	})
	n.network.SetOwn(n.slot, n.info)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.ended = cancel, make(chan struct{})
	go func() {
		defer close(n.ended)
		if err := n.network.Run(ctx); err != nil {
			n.t.Errorf("network: %v", err)
		}
	}()
	n.t.Cleanup(n.stop)
}

func (n *testNode) stop() { n.cancel(); <-n.ended }

func meet(nodes ...*testNode) {
	for _, n := range nodes {
		var others []Node
		for _, o := range nodes {
			if o != n {
				others = append(others, Node{o.slot, o.info})
			}
		}
		n.network.SetPeers(others)
	}
}

// until repeats what may be lost.
func until(t *testing.T, what string, try func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !try() {
		if !pause(deadline, 10*time.Millisecond) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// arrives sends until it arrives.
func arrives(t *testing.T, from *testNode, to uint16, at *testNode, want delivery) {
	t.Helper()
	until(t, fmt.Sprintf("%q arrives", want.data), func() bool {
		from.network.Send(to, want.data)
		for {
			select {
			case d := <-at.got:
				if d.slot == want.slot && bytes.Equal(d.data, want.data) {
					return true
				}
			default:
				return false
			}
		}
	})
}

// TestPeers: bytes get through both ways, also after one was started again, and elsewhere.
func TestPeers(t *testing.T) {
	a, b := newNode(t, 1), newNode(t, 2)
	meet(a, b)
	arrives(t, a, 2, b, delivery{1, []byte("from a")})
	arrives(t, b, 1, a, delivery{2, []byte("from b")})
	large := bytes.Repeat([]byte("x"), 1<<20)
	arrives(t, a, 2, b, delivery{1, large})
	address := b.info.Address
	b.stop()
	b.listen(address)
	b.network.SetPeers([]Node{{1, a.info}})
	arrives(t, a, 2, b, delivery{1, []byte("again")})
	b.stop()
	b.listen("127.0.0.1:0")
	b.network.SetPeers([]Node{{1, a.info}})
	arrives(t, b, 1, a, delivery{2, []byte("I am elsewhere")})
	arrives(t, a, 2, b, delivery{1, []byte("so I hear")}) // on the way that it came by
	meet(a, b)
	arrives(t, a, 2, b, delivery{1, []byte("elsewhere")})
	if states := a.network.Peers(); len(states) != 1 || states[0].Node != (Node{2, b.info}) || !states[0].Connected {
		t.Errorf("peers: %+v", states)
	}
}

// TestFirstWords: what is sent before there is a connection begins it, so that a core that starts need not say hello twice.
func TestFirstWords(t *testing.T) {
	a, b := newNode(t, 1), newNode(t, 2)
	b.network.SetPeers([]Node{{1, a.info}})
	a.network.SetPeers([]Node{{2, b.info}})
	for n := range maxFirst {
		a.network.Send(2, []byte{byte(n)})
	}
	for n := range maxFirst {
		if d := <-b.got; d.slot != 1 || !bytes.Equal(d.data, []byte{byte(n)}) {
			t.Fatalf("message %d: %+v", n, d)
		}
	}
	if sent, writes := a.network.Sent(); sent == 0 || writes == 0 {
		t.Errorf("%d bytes in %d writes", sent, writes)
	}
}

// TestPinned: a node with another certificate than the one that is pinned gets nothing, and says nothing.
func TestPinned(t *testing.T) {
	a, b, c := newNode(t, 1), newNode(t, 2), newNode(t, 3)
	wrong := b.info
	wrong.Fingerprint[0] ^= 1
	a.network.SetPeers([]Node{{2, wrong}, {3, c.info}})
	c.network.SetPeers([]Node{{1, a.info}})
	arrives(t, a, 3, c, delivery{1, []byte("x")}) // so a dials
	if _, err := dial(t.Context(), a.identity, wrong, forPeers, nil); !errors.Is(err, errPinned) {
		t.Errorf("dial: %v", err)
	}
	a.network.Send(2, []byte("x"))
	arrives(t, a, 3, c, delivery{1, []byte("y")})
	select {
	case d := <-b.got:
		t.Errorf("it got %+v", d)
	default:
	}
}

// TestStrangers: one that is not known is heard a little, and answered; not many are, and not for long.
func TestStrangers(t *testing.T) {
	a := newNode(t, 1)
	joiner := newNode(t, 9)
	joiner.network.SetPeers([]Node{{1, a.info}})
	var number uint16
	until(t, "a stranger is heard", func() bool {
		joiner.network.Send(1, []byte("let me in"))
		select {
		case d := <-a.got:
			number = d.slot
			return number >= firstStranger && string(d.data) == "let me in"
		default:
			return false
		}
	})
	arrives(t, a, number, joiner, delivery{1, []byte("come in")})
	meet(a, joiner)
	arrives(t, joiner, 1, a, delivery{9, []byte("here I am")})

	var conns []*conn
	defer func() {
		for _, c := range conns {
			c.net.Close()
		}
	}()
	for range maxStrangers + 2 {
		identity, err := OpenIdentity(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := dial(t.Context(), identity, a.info, forPeers, nil)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, newConn(raw))
	}
	until(t, "the ones too many are sent away", func() bool {
		a.network.mu.Lock()
		defer a.network.mu.Unlock()
		return len(a.network.strangers) == maxStrangers
	})
	closed := 0
	for _, c := range conns {
		if err := c.net.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if _, err := c.readAny(maxMessage); !errors.As(err, &timeout) || !timeout.Timeout() {
			closed++
		}
	}
	if closed != 2 {
		t.Errorf("%d of %d strangers are sent away", closed, len(conns))
	}
}

// TestDeafPeer: one that reads nothing holds up neither the sender nor others.
func TestDeafPeer(t *testing.T) {
	a, b := newNode(t, 1), newNode(t, 2)
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	a.network.SetPeers([]Node{{2, b.info}, {3, Info{deaf.Addr().String(), Fingerprint{1}}}})
	b.network.SetPeers([]Node{{1, a.info}})
	c := newConn(nil)
	sent := 0
	for c.put(frameData, make([]byte, 1<<20)) {
		sent++
	}
	if sent > maxQueued>>20 {
		t.Errorf("%d MiB are queued", sent)
	}
	for range 100 {
		a.network.Send(3, make([]byte, 1<<20))
	}
	arrives(t, a, 2, b, delivery{1, []byte("x")})
}

// envelope is the least that has a partition.
func envelope(partition byte) []byte {
	e := make([]byte, wire.MaxEnvelope)
	e[0], e[10] = wire.Version, partition
	return e
}

// TestRouter: requests find the leader, also when it changes, and when the node that was asked is gone.
func TestRouter(t *testing.T) {
	gate, err := OpenIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var leader atomic.Uint32
	leader.Store(1)
	var nodes []*testNode
	for slot := uint16(1); slot <= 3; slot++ {
		n := newNode(t, slot, gate.Fingerprint())
		n.handle = func(_ context.Context, request []byte) ([]byte, error) {
			if uint16(leader.Load()) != n.slot {
				return wire.PlainRefusal(wire.Refuse(wire.CodeUnavailable)), nil
			}
			return fmt.Appendf(nil, "slot %d", n.slot), nil
		}
		nodes = append(nodes, n)
	}
	meet(nodes...)
	lead := func(slot uint16) {
		leader.Store(uint32(slot))
		for _, n := range nodes {
			n.network.SetLeader(0, slot)
		}
	}
	lead(1)
	router := NewRouter(gate, []Info{nodes[2].info}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	ask := func(want string) {
		t.Helper()
		answer, err := router.Handle(t.Context(), envelope(0))
		if err != nil || string(answer) != want {
			t.Fatalf("%q, %v; want %q", answer, err, want)
		}
	}
	ask("slot 1")
	lead(2)
	ask("slot 2")
	leader.Store(3) // the tables are behind
	ask("slot 3")
	lead(3)
	nodes[0].stop()
	nodes[1].stop()
	ask("slot 3")
	if d, err := router.Descriptor(t.Context()); err != nil || string(d) != "descriptor" {
		t.Errorf("descriptor: %q, %v", d, err)
	}
	if _, err := router.Handle(t.Context(), []byte("x")); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("no envelope: %v", err)
	}
	short, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	lead(1)
	if _, err := router.Handle(short, envelope(0)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody leads: %v", err)
	}
}

// TestUnknownGateway: a gateway whose certificate is not named is not served.
func TestUnknownGateway(t *testing.T) {
	a := newNode(t, 1)
	stranger, err := OpenIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := dial(t.Context(), stranger, a.info, forGateways, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if f, err := newConn(raw).read(maxMessage); err == nil {
		t.Errorf("it was told %+v", f)
	}
}

// TestIdentity: it is made once, is its owner's alone, and damage is named.
func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenIdentity(dir)
	if err != nil || first.Fingerprint() != second.Fingerprint() {
		t.Fatalf("%v, the same: %t", err, first.Fingerprint() == second.Fingerprint())
	}
}

func FuzzInfo(f *testing.F) {
	info := Info{"vault-1.example:7440", Fingerprint{1}}
	f.Add(info.Append(nil))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if i, err := ParseInfo(encoded); err == nil && !bytes.Equal(i.Append(nil), encoded) {
			t.Errorf("%x is read as %+v", encoded, i)
		}
	})
}

func FuzzTable(f *testing.F) {
	table := Table{[]Node{{1, Info{"vault-1.example:7440", Fingerprint{1}}}}, []uint16{1, 0}}
	f.Add(table.append(nil))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if table, err := parseTable(encoded); err == nil && !bytes.Equal(table.append(nil), encoded) {
			t.Errorf("%x is read as %+v", encoded, table)
		}
	})
}

// TestSilentConnections: connections that say nothing keep nobody out.
func TestSilentConnections(t *testing.T) {
	a, b := newNode(t, 1), newNode(t, 2)
	for range 2 * maxShaking {
		c, err := net.Dial("tcp", a.info.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	meet(a, b)
	arrives(t, b, 1, a, delivery{2, []byte("x")})
}

// TestOutvoted: a node that is cut off, and says that another leads, redirects nobody as long as most say otherwise.
func TestOutvoted(t *testing.T) {
	r := NewRouter(nil, nil, nil)
	table := func(leader uint16) Table {
		return Table{[]Node{{1, Info{Address: "a:1"}}, {2, Info{Address: "b:1"}}}, []uint16{leader}}
	}
	for info, leader := range map[Info]uint16{{Address: "a:1"}: 1, {Address: "b:1"}: 1, {Address: "c:1"}: 2} {
		r.nodes[info] = &node{info: info, conn: new(conn), table: table(leader)}
	}
	for range 20 {
		if n, _ := r.leader(0); n == nil || n.info.Address != "a:1" {
			t.Fatalf("the leader is %+v", n)
		}
	}
	if n, _ := r.leader(7); n != nil {
		t.Errorf("partition 7 is led by %+v", n)
	}
}
