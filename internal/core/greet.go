// SPDX-License-Identifier: Apache-2.0

package core

import "slices"

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
