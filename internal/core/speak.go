// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/coffer-backup/coffer/wire"
)

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
