// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"github.com/coffer-backup/coffer/wire"
)

// A slot's new incarnation takes the place of the old one in steps, each an entry of the log, one at a time:
//
//	admit      its raft id is the index of this entry
//	learner    it gets the log and has no vote
//	remove     the slot's old id, once the new one has caught up
//	promote    it votes
//
// So at most one incarnation of a slot can vote (INV-INCARNATION). Each step follows from the committed state alone: a leader
// that dies in between leaves the next one to its successor. A slot that was taken out of the fleet goes the same way, without a successor.

// proposed is what a leader has proposed and not seen applied, so that it is not proposed at every tick.
type proposed struct {
	until  uint64 // elapsed
	admits []Incarnation
}

const (
	proposeMs   = 2000 // after which a step that was not applied is proposed again
	caughtUp    = 256  // entries that a learner may be behind when it is promoted
	minFounders = 3    // voters with which a fleet under the policy majority begins to serve
)

// wanted notes that an incarnation asks to be admitted.
func (p *partition) wanted(l *link) {
	s := p.c.slot(l.slot)
	if !p.ready || s == nil || s.serial != l.serial {
		return
	}
	if m := p.placeOf(l); m != nil {
		p.put(l, itemPlace, binary.BigEndian.AppendUint64(nil, m.id))
		return
	}
	known := slices.ContainsFunc(p.group.members, func(m member) bool { return p.speaksFor(l, &m) })
	if known || slices.Contains(p.proposed.admits, l.incarnation) || len(p.group.members) >= maxMembers-1 {
		return
	}
	if p.proposeChange(0, &change{kind: changeAdmit, slot: l.slot, serial: l.serial, incarnation: l.incarnation}) == nil {
		p.proposed.admits = append(p.proposed.admits, l.incarnation)
		p.proposed.until = p.c.elapsed + proposeMs
	}
}

// placeOf returns the member whose raft id a session's other side is to take: only the incarnation that it is bound to, because another may have
// answered under it; where boots are trusted, the slot's last, because a replica that did has it from its disk.
func (p *partition) placeOf(l *link) *member {
	for i := range slices.Backward(p.group.members) {
		m := &p.group.members[i]
		if m.incarnation == l.incarnation || p.c.identity.policy.Restart == wire.RestartTrustDisk && p.speaksFor(l, m) {
			return m
		}
	}
	return nil
}

// tellPlace tells a member that it was admitted, before it asks again.
func (p *partition) tellPlace(m *member) {
	if l := p.c.peers.find(func(l *link) bool { return l.incarnation == m.incarnation }, p.c.elapsed); p.ready && l != nil {
		p.put(l, itemPlace, binary.BigEndian.AppendUint64(nil, m.id))
	}
}

// reconcile proposes the next step towards the members that there should be. It runs at the leader, at every tick.
func (p *partition) reconcile() {
	if p.c.elapsed < p.proposed.until {
		return
	}
	p.proposed.admits = nil
	if cc := p.nextConfChange(); cc != nil {
		if p.node.ProposeConfChange(cc) == nil {
			p.proposed.until = p.c.elapsed + proposeMs
		}
		return
	}
	if !p.group.founded {
		p.towardsFounding()
	}
}

// nextConfChange returns the next change of raft's configuration, or nil.
func (p *partition) nextConfChange() *raftpb.ConfChange {
	if p.settled() {
		return nil
	}
	status := p.node.Status()
	for i := range p.group.members {
		m := &p.group.members[i]
		voter, learner := p.group.voter(m.id), p.group.learner(m.id)
		switch successor := p.successor(m); {
		case !voter && (p.gone(m) || successor != nil):
			return confChange(raftpb.ConfChangeRemoveNode, m.id)
		case voter && (p.gone(m) || ruleRemoveFirst && successor != nil && p.isReady(&status, successor.id)):
			if m.id == p.id {
				p.handOver(&status) // a leader does not take itself out
			} else if p.quorumWithout(&status, m.id) {
				return confChange(raftpb.ConfChangeRemoveNode, m.id)
			}
		case !voter && !learner:
			return confChange(raftpb.ConfChangeAddLearnerNode, m.id)
		case learner && (!ruleRemoveFirst || !p.votesFor(m.slot)) && p.isReady(&status, m.id):
			return confChange(raftpb.ConfChangeAddNode, m.id)
		}
	}
	return nil
}

// settled tells whether every member votes and is to do so. It is cheaper than raft's status, and nearly always so.
func (p *partition) settled() bool {
	for i := range p.group.members {
		if m := &p.group.members[i]; !p.group.voter(m.id) || p.successor(m) != nil || p.gone(m) {
			return false
		}
	}
	return true
}

func confChange(t raftpb.ConfChangeType, id uint64) *raftpb.ConfChange {
	return &raftpb.ConfChange{Type: &t, NodeId: &id}
}

// successor returns the newest incarnation that was admitted to a member's slot after it, or nil.
func (p *partition) successor(m *member) *member {
	for i := len(p.group.members) - 1; i >= 0; i-- {
		if o := &p.group.members[i]; o.slot == m.slot {
			if o.id > m.id {
				return o
			}
			return nil
		}
	}
	return nil
}

// gone tells whether a member's slot was taken out of the fleet.
func (p *partition) gone(m *member) bool {
	return p.c.slot(m.slot) == nil && p.c.parts[0].applied >= m.serial // else this core may not know of it yet
}

// votesFor tells whether some incarnation of a slot votes.
func (p *partition) votesFor(s Slot) bool {
	return slices.ContainsFunc(p.group.members, func(m member) bool { return m.slot == s && p.group.voter(m.id) })
}

// isReady tells whether a learner has caught up.
func (p *partition) isReady(status *raft.Status, id uint64) bool {
	pr, ok := status.Progress[id]
	return ok && pr.RecentActive && pr.State == tracker.StateReplicate && pr.Match+caughtUp >= p.lastIndex && p.group.learner(id)
}

// quorumWithout tells whether those voters that are alive make a quorum when one is taken out.
func (p *partition) quorumWithout(status *raft.Status, id uint64) bool {
	alive, all := 0, 0
	for _, v := range p.group.conf.GetVoters() {
		if v == id {
			continue
		}
		all++
		if pr := status.Progress[v]; v == p.id || pr.RecentActive {
			alive++
		}
	}
	return alive > all/2
}

// handOver transfers leadership to another voter that is up to date.
func (p *partition) handOver(status *raft.Status) bool {
	for _, v := range p.group.conf.GetVoters() {
		if m := p.group.member(v); v != p.id && m != nil && m.slot != p.c.place.slot && p.transfer(status, v) {
			return true
		}
	}
	return false
}

func (p *partition) transfer(status *raft.Status, id uint64) bool {
	pr, ok := status.Progress[id]
	if !ok || pr.IsLearner || !pr.RecentActive || id == p.id {
		return false
	}
	p.node.TransferLeader(id)
	return true
}

// towardsFounding binds the members to their present incarnations, as long as boots are trusted, and begins to serve when there are enough.
func (p *partition) towardsFounding() {
	all := true
	for _, m := range p.group.members {
		incarnation, known := p.c.place.incarnation, m.id == p.id
		if !known {
			l := p.c.peers.find(func(l *link) bool { return l.slot == m.slot && l.serial == m.serial }, p.c.elapsed)
			if known = l != nil && p.c.elapsed-l.heard < silentMs; known {
				incarnation = l.incarnation
			}
		}
		if all = all && known; known && incarnation != m.incarnation {
			p.proposed.until = p.c.elapsed + proposeMs
			_ = p.proposeChange(0, &change{kind: changeBind, slot: m.slot, id: m.id, incarnation: incarnation})
			return
		}
	}
	if all && len(p.group.conf.GetVoters()) >= minFounders && len(p.group.conf.GetLearners()) == 0 {
		p.proposed.until = p.c.elapsed + proposeMs
		ch := &change{kind: changeFound}
		p.c.entropy.fill(ch.world[:])
		_ = p.proposeChange(0, ch)
	}
}

// applyChange makes a committed change of the group.
func (p *partition) applyChange(m *command) {
	founded := p.group.founded
	p.group.apply(m.change, p.applied, p.clock)
	if p.group.founded && !founded && ruleFoundedAnew {
		p.c.rotateSoon = true // a copy of the disk from before this could be started, and is worth nothing without its key
		if own := p.group.member(p.id); own == nil || own.incarnation != p.c.place.incarnation || p.world != (world{}) && p.world != p.group.world {
			// This boot had its place from a disk that did not know of this yet; the majority knows another incarnation by the id. Or two leaders, of
			// which one was started from a copy of the other's disk, have both written in this log.
			p.surrendered = p.c.identity.policy.Restart != wire.RestartTrustDisk
		}
		p.world = p.group.world
	}
	p.proposed.until = 0
	p.observeGroup()
	if m.change.kind == changeAdmit {
		p.tellLeader() // of whose slot nothing may have been known
		if o := p.group.member(p.applied); o != nil {
			p.tellPlace(o)
		}
	}
	if m.incarnation == p.c.incarnation && m.request != 0 {
		p.c.changed(m.request)
	}
}

func (p *partition) applyConfChange(e *raftpb.Entry) error {
	cc := new(raftpb.ConfChange)
	if err := proto.Unmarshal(e.GetData(), cc); err != nil {
		return damaged("a change of the configuration cannot be read")
	}
	p.group.conf = proto.CloneOf(p.node.ApplyConfChange(cc))
	if cc.GetType() == raftpb.ConfChangeRemoveNode {
		p.group.forget(cc.GetNodeId())
	}
	p.proposed.until = 0
	p.observeGroup()
	return nil
}

// hostChanged has what a peer's host tells of itself remembered.
func (c *Core) hostChanged(l *link, host []byte) {
	p := c.parts[0]
	s := p.group.slot(l.slot)
	if !p.ready || s == nil || s.serial != l.serial || len(host) > MaxHostInfo || string(s.host) == string(host) || p.placeOf(l) == nil || c.elapsed < l.told {
		return
	}
	l.told = c.elapsed + proposeMs
	_ = p.proposeChange(0, &change{kind: changeHost, slot: l.slot, serial: l.serial, host: host})
}

// ownHost does the same for this core's own host, when it leads.
func (c *Core) ownHost() {
	p := c.parts[0]
	s := p.group.slot(c.place.slot)
	if p.ready && s != nil && s.serial == c.place.serial && string(s.host) != string(c.host) && c.elapsed >= p.proposed.until {
		p.proposed.until = c.elapsed + proposeMs
		_ = p.proposeChange(0, &change{kind: changeHost, slot: s.number, serial: s.serial, host: c.host})
	}
}
