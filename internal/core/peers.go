// SPDX-License-Identifier: Apache-2.0

package core

import "slices"

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
	c.tellErasure(l)
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
