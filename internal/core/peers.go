// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"
	"google.golang.org/protobuf/proto"

	"github.com/coffer-backup/coffer/wire"
)

// peers are the sessions with other incarnations, the newest last, and the handshakes under way.
type peers struct {
	links      []*link
	handshakes []*handshake
	answered   map[Slot]int // handshakes and requests to join since the last tick: of each host, and under 0 of all
}

const (
	maxLinks    = 4    // with one slot: a clone must not push the original out at once
	maxAnswered = 64   // handshakes and requests to join in one tick,
	maxOfHost   = 8    // of one host, as which all strangers together count
	maxAccepted = 8    // handshakes of one host that wait for their end
	handshakeMs = 5000 // after which one is forgotten
	helloMs     = 1000 // between two attempts at a slot
	silentMs    = 4000 // without a frame, after which another session is tried
	forgetMs    = 60_000
	wantMs      = 500
)

// What a frame carries.
const (
	itemRaft  = 1 // partition, a message of raft's
	itemChunk = 2 // a part of a snapshot
	itemAck   = 3 // how much of it is there
	itemWant  = 4 // a partition that the sender is not admitted to
	itemHost  = 5 // what the sender's host tells of itself
	itemPlace = 6 // the raft id that the receiver's incarnation has in a partition, from its leader
)

// peer takes bytes that some host sent. What is not a peer's, or comes at the wrong time, is dropped: a host can do that to anything.
func (c *Core) peer(in Peer) error {
	if len(in.Data) < 2+handshakeIDSize || len(in.Data) > MaxPeerData || in.Data[1] != peerVersion {
		return nil
	}
	id := handshakeID(in.Data[2:])
	if in.Data[0] == peerJoinAnswer {
		return c.joined(in.Data)
	}
	if len(c.parts) == 0 || c.stopping && in.Data[0] != peerFrame {
		return nil
	}
	switch in.Data[0] {
	case peerHello:
		c.takeHello(in)
	case peerAccept:
		c.takeAccept(in, id)
	case peerFinish:
		c.takeFinish(in, id)
	case peerFrame:
		return c.takeFrame(in, id)
	case peerJoin:
		c.takeJoin(in)
	}
	return nil
}

func (c *Core) takeHello(in Peer) {
	if !c.peers.mayAnswer(in.Slot) {
		return
	}
	if h, answer, ok := c.accept(in.Data); ok {
		h.to = sender(in.Slot)
		c.peers.accept(h)
		c.emit(Send{in.Slot, answer})
	}
}

// sender is who is counted for what comes from a host: all strangers are one.
func sender(s Slot) Slot { return min(s, FirstStranger) }

// mayAnswer counts what costs public-key work, so that one host, whatever it sends, neither takes all of this core's time nor the others' turn.
func (p *peers) mayAnswer(from Slot) bool {
	if from = sender(from); p.answered[0] >= maxAnswered || p.answered[from] >= maxOfHost {
		return false
	}
	p.answered[0]++
	p.answered[from]++
	return true
}

// accept takes in a handshake that waits for its end. Of one host the oldest goes when there are too many.
func (p *peers) accept(h *handshake) {
	of := func(o *handshake) bool { return o.accepted != nil && o.to == h.to }
	if n := len(slices.DeleteFunc(slices.Clone(p.handshakes), func(o *handshake) bool { return !of(o) })); n >= maxAccepted {
		oldest := slices.IndexFunc(p.handshakes, of)
		p.handshakes = slices.Delete(p.handshakes, oldest, oldest+1)
	}
	p.handshakes = append(p.handshakes, h)
}

func (c *Core) takeAccept(in Peer, id handshakeID) {
	i := slices.IndexFunc(c.peers.handshakes, func(h *handshake) bool { return h.id == id && h.accepted == nil })
	if i < 0 {
		return
	}
	h := c.peers.handshakes[i]
	if l, answer, ok := c.finish(h, in.Data); ok {
		c.peers.end(h)
		c.emit(Send{in.Slot, answer})
		l.via, l.sought = in.Slot, c.elapsed
		c.peers.add(c, l)
	}
}

func (c *Core) takeFinish(in Peer, id handshakeID) {
	for _, h := range c.peers.handshakes { // a Hello that came twice was answered twice, and either answer may have been taken
		if h.id == id && h.accepted != nil && h.finished(in.Data) {
			c.peers.end(h)
			h.accepted.via = in.Slot
			c.peers.add(c, h.accepted)
			return
		}
	}
}

func (p *peers) end(h *handshake) {
	p.handshakes = slices.DeleteFunc(p.handshakes, func(o *handshake) bool { return o == h })
}

// add takes a session in. Of one slot one goes when there are too many: the oldest whose incarnation has a newer one, or that is silent, or that no member has, or of
// all the others.
func (p *peers) add(c *Core, l *link) {
	l.heard = c.elapsed
	p.links = append(p.links, l)
	l.put(itemHost, c.host)
	of := func(o *link) bool { return o.slot == l.slot }
	if n := len(slices.DeleteFunc(slices.Clone(p.links), func(o *link) bool { return !of(o) })); n <= maxLinks {
		return
	}
	newest := map[Incarnation]*link{}
	for _, o := range p.links {
		newest[o.incarnation] = o
	}
	for _, goes := range []func(*link) bool{
		func(o *link) bool { return newest[o.incarnation] != o },
		func(o *link) bool { return c.elapsed-o.heard >= silentMs },
		func(o *link) bool { return !c.bound(o.incarnation) },
		func(*link) bool { return true },
	} {
		if i := slices.IndexFunc(p.links, func(o *link) bool { return of(o) && o != l && goes(o) }); i >= 0 {
			p.links = slices.Delete(p.links, i, i+1)
			return
		}
	}
}

// bound tells whether an incarnation is a member of a partition.
func (c *Core) bound(i Incarnation) bool {
	return slices.ContainsFunc(c.parts, func(p *partition) bool {
		return slices.ContainsFunc(p.group.members, func(m member) bool { return m.incarnation == i })
	})
}

// find returns the newest session that matches, of those that were heard of lately if there is one.
func (p *peers) find(matches func(*link) bool, elapsed uint64) (found *link) {
	for _, l := range slices.Backward(p.links) {
		if !matches(l) {
			continue
		}
		if elapsed-l.heard < silentMs {
			return l
		}
		if found == nil {
			found = l
		}
	}
	return found
}

// sessionOf returns the session with the incarnation that may use a raft id.
func (p *partition) sessionOf(id uint64) *link {
	m := p.group.member(id)
	if id == p.id {
		return nil
	}
	return p.c.peers.find(func(l *link) bool {
		return m != nil && p.speaksFor(l, m) || m == nil && slices.ContainsFunc(p.seen, func(o member) bool { return o.id == id && p.speaksFor(l, &o) })
	}, p.c.elapsed)
}

// mayUse tells whether a session's other side may speak for a raft id. Where it is not known whose it is, because the entry that gave it away is still to
// come, it belongs to who uses it first: a core of the fleet uses no id but its own. One that was taken out is nobody's for ever.
func (p *partition) mayUse(l *link, id uint64) bool {
	if m := p.group.member(id); m != nil {
		return p.speaksFor(l, m)
	}
	if id <= p.applied {
		return false
	}
	for _, m := range p.seen {
		if m.id == id {
			return p.speaksFor(l, &m)
		}
	}
	if len(p.seen) >= maxMembers {
		p.seen = p.seen[1:]
	}
	p.seen = append(p.seen, member{id, l.slot, l.serial, l.incarnation})
	return true
}

// speaksFor tells whether a session's other side may use a member's raft id: an incarnation that the majority bound to it. Where
// boots are trusted, any boot that has the slot's credential.
func (p *partition) speaksFor(l *link, m *member) bool {
	if l.slot != m.slot || l.serial != m.serial {
		return false
	}
	founded := p.group.founded || p.world != (world{}) && len(p.group.members) == 0 // one that is admitted does not know it yet
	return l.incarnation == m.incarnation || !ruleBootHasNoVote || p.c.identity.policy.Restart == wire.RestartTrustDisk || !founded
}

// send gives a message of raft's to a peer.
func (p *partition) send(m *raftpb.Message) {
	l := p.sessionOf(m.GetTo())
	if m.GetType() == raftpb.MsgSnap {
		p.beginOutgoing(l, m)
		return
	}
	if l == nil {
		return // as if it were lost
	}
	body, err := proto.Marshal(m)
	if err != nil {
		return
	}
	p.put(l, itemRaft, body)
}

// put queues an item about a partition.
func (p *partition) put(l *link, kind uint8, body []byte) {
	head := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(p.world)+len(body)), uint16(p.number))
	l.put(kind, append(append(head, p.world[:]...), body...))
}

// flush seals what is queued for the peers. Who has a slot that this core does not know of yet, or that another has now, is reached by the way that it came:
// after a boot from an old snapshot the leader may be one, and must hear of this core all the same. And so is who comes from a host that no slot is known of: the
// slot's host may have moved.
func (p *peers) flush(c *Core) {
	for _, l := range p.links {
		s := c.slot(l.slot)
		known := s != nil && s.serial == l.serial
		l.frames(c.reading, func(data []byte) {
			if known {
				c.emit(Send{l.slot, data})
			}
			if !known || l.via >= FirstStranger {
				c.emit(Send{l.via, data})
			}
		})
	}
}

func (c *Core) takeFrame(in Peer, id handshakeID) error {
	if len(in.Data) < frameHead+16 {
		return nil
	}
	i := slices.IndexFunc(c.peers.links, func(l *link) bool { return l.id == id })
	if i < 0 {
		return nil
	}
	l := c.peers.links[i]
	items, ok := l.open(in.Data, c.elapsed)
	if ok {
		l.via = in.Slot
	}
	for ok && !items.Empty() {
		var kind uint8
		var size uint32
		var body []byte
		if !items.ReadUint8(&kind) || !items.ReadUint32(&size) || uint64(size) > uint64(len(items)) || !items.ReadBytes(&body, int(size)) {
			return nil // no core of this version sends that
		}
		if err := c.item(l, kind, body); err != nil {
			return err
		}
	}
	return nil
}

// item takes what a core of the fleet says. It is honest, but it may be older or newer than this one, or removed.
func (c *Core) item(l *link, kind uint8, body cryptobyte.String) error {
	if kind == itemHost {
		c.hostChanged(l, body)
		return nil
	}
	var n uint16
	var w world
	if !body.ReadUint16(&n) || int(n) >= len(c.parts) || !body.CopyBytes(w[:]) {
		return nil
	}
	p := c.parts[n]
	if kind == itemWant {
		p.wanted(l)
		return nil
	}
	if p.world != (world{}) && p.world != w {
		return nil // of another fleet, from the same beginning
	}
	switch kind {
	case itemRaft:
		m := new(raftpb.Message)
		if proto.Unmarshal(body, m) == nil && passes[m.GetType()] {
			return p.take(l, w, m)
		}
	case itemChunk:
		return p.takeChunk(l, body)
	case itemAck:
		p.takeAck(l, body)
	case itemPlace:
		var id uint64
		if body.ReadUint64(&id) {
			return p.adopt(w, id)
		}
	}
	return nil
}

// passes are the kinds of messages that peers exchange. Snapshots come in chunks; everything else is a core's own affair.
var passes = map[raftpb.MessageType]bool{
	raftpb.MsgApp: true, raftpb.MsgAppResp: true, raftpb.MsgVote: true, raftpb.MsgVoteResp: true, raftpb.MsgPreVote: true,
	raftpb.MsgPreVoteResp: true, raftpb.MsgHeartbeat: true, raftpb.MsgHeartbeatResp: true, raftpb.MsgTimeoutNow: true,
}

// take gives raft a peer's message, if the peer may speak for its sender.
func (p *partition) take(l *link, w world, m *raftpb.Message) error {
	if p.node == nil || m.GetTo() != p.id || !p.mayUse(l, m.GetFrom()) {
		return nil
	}
	if m.GetType() == raftpb.MsgHeartbeat && m.GetCommit() > p.lastIndex && p.install == nil && m.GetTerm() >= p.node.BasicStatus().GetTerm() {
		return damaged("partition %d: the log ends at %d, and this replica has told the others that it has more: its disk is an old one. Replace it, with a ticket", p.number, p.lastIndex)
	}
	p.world = w
	p.step(m)
	return nil
}

// bootsTrusted tells whether a boot may have had its place from the disk although the policy is stricter: while the fleet is founded.
func (p *partition) bootsTrusted() bool {
	return p.c.identity.policy.Restart != wire.RestartTrustDisk && !p.group.founded
}

// adopt takes the raft id that the majority has bound to this incarnation, as a leader says. It begins with an empty log, so no id is taken that this
// incarnation may have had before. One that had its place from the disk gives that up: the others have founded the fleet while it was down.
func (p *partition) adopt(w world, id uint64) error {
	if id <= max(p.id, p.past) || p.node != nil && !p.bootsTrusted() {
		return nil
	}
	if p.node != nil {
		p.giveUp()
	}
	p.id, p.world = id, w
	return p.start(0, 0, nil)
}

// tickPeers seeks sessions with all slots, forgets what is over, and asks to be admitted.
func (c *Core) tickPeers() {
	ps := &c.peers
	clear(ps.answered)
	ps.handshakes = slices.DeleteFunc(ps.handshakes, func(h *handshake) bool { return c.elapsed-h.at > handshakeMs })
	ps.links = slices.DeleteFunc(ps.links, func(l *link) bool { return c.elapsed-l.heard > forgetMs || !c.admits(l.slot, l.serial) })
	c.tickJoin()
	if len(c.parts) == 0 || c.stopping {
		return
	}
	lonely := c.lonely()
	for _, s := range c.parts[0].group.slots {
		if s.number != c.place.slot {
			c.seek(s.number, lonely)
		}
	}
	for _, l := range ps.links {
		c.want(l)
	}
}

// lonely tells whether this core misses a leader.
func (c *Core) lonely() bool {
	return slices.ContainsFunc(c.parts, func(p *partition) bool { return p.node == nil || p.leader == 0 })
}

// seek begins a handshake with a slot of which nothing was heard lately. One that misses a leader does so now and then all the same: what it hears may be another
// incarnation than the one that leads.
func (c *Core) seek(n Slot, lonely bool) {
	l := c.peers.find(func(l *link) bool { return l.slot == n && (!lonely || c.elapsed-l.sought < silentMs) }, c.elapsed)
	if l != nil && c.elapsed-l.heard < silentMs {
		return
	}
	for _, h := range c.peers.handshakes {
		if h.accepted == nil && h.to == n && c.elapsed-h.at < helloMs {
			return
		}
	}
	if h, err := c.hello(n); err == nil {
		c.peers.handshakes = append(c.peers.handshakes, h)
		c.emit(Send{n, h.hello})
	}
}

// want asks the other side to be admitted, wherever it leads.
func (c *Core) want(l *link) {
	if l.wanted != 0 && c.elapsed-l.wanted < wantMs {
		return
	}
	l.wanted = max(c.elapsed, 1)
	quiet := true
	for _, p := range c.parts {
		if p.node == nil || p.bootsTrusted() {
			quiet = false
			p.put(l, itemWant, nil)
		}
	}
	if quiet && len(l.queue) == 0 {
		l.put(itemHost, c.host) // so that both sides know of each other's life and time
	}
}

// slot returns what this core knows of a slot of the fleet.
func (c *Core) slot(n Slot) *slot { return c.parts[0].group.slot(n) }

// tellPeers tells the host who else is in the fleet, when that has changed.
func (c *Core) tellPeers() {
	if len(c.parts) == 0 {
		return
	}
	var members []Member
	for _, s := range c.parts[0].group.slots {
		if s.number != c.place.slot {
			members = append(members, Member{s.number, s.host})
		}
	}
	same := func(a, b Member) bool { return a.Slot == b.Slot && string(a.Host) == string(b.Host) }
	if !slices.EqualFunc(members, c.told, same) {
		c.told = members
		c.emit(Peers{members})
	}
}
