// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"
	"google.golang.org/protobuf/proto"
)

// What a frame carries.
const (
	itemRaft  = 1 // partition, a message of raft's
	itemChunk = 2 // a part of a snapshot
	itemAck   = 3 // how much of it is there
	itemWant  = 4 // a partition that the sender is not admitted to
	itemHost  = 5 // what the sender's host tells of itself
	itemPlace = 6 // the raft id that the receiver's incarnation has in a partition, from its leader

	itemErasure = 7 // for how long something that was destroyed may have been readable at the sender
)

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
	if kind == itemErasure {
		c.heardErasure(l, body)
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
