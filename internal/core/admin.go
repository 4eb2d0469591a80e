// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"

	"github.com/coffer-backup/coffer/wire"
)

// admin is an operator's command that waits for its entry of the log.
type admin struct {
	id     uint64
	ticket []byte // what it is told then
	until  uint64 // elapsed
}

const adminMs = 10_000

// admin does an operator's command. It changes who is in the fleet, and reaches no account.
func (c *Core) admin(in Admin) {
	if len(c.parts) == 0 || c.stopping {
		c.refuseAdmin(in.ID, "this replica is not in a fleet yet, or stops")
		return
	}
	if in.Command == AdminTransfer {
		c.adminTransfer(in)
		return
	}
	p := c.parts[0]
	if !p.ready {
		c.refuseAdmin(in.ID, c.leaderHint(p))
		return
	}
	ch, ticket, refusal := c.adminChange(in)
	if refusal != "" {
		c.refuseAdmin(in.ID, refusal)
		return
	}
	c.nextRequest++
	if p.proposeChange(c.nextRequest, ch) != nil {
		c.refuseAdmin(in.ID, "too much is under way: try again")
		return
	}
	c.admins[c.nextRequest] = admin{in.ID, ticket, c.elapsed + adminMs}
}

// adminChange returns the change of the group that a command wants.
func (c *Core) adminChange(in Admin) (ch *change, ticket []byte, refusal string) {
	g := &c.parts[0].group
	if in.Slot == 0 || in.Slot >= FirstStranger {
		return nil, nil, "a slot has a number from 1 to 32767"
	}
	switch in.Command {
	case AdminInvite:
		if g.slot(in.Slot) == nil && len(g.slots) >= maxSlots || len(g.invites) >= maxInvites {
			return nil, nil, fmt.Sprintf("a fleet has at most %d slots, and %d open tickets", maxSlots, maxInvites)
		}
		if in.Slot == c.place.slot {
			return nil, nil, "this is the slot of the replica that leads: transfer the leadership of partition 0 first"
		}
		t := c.newTicket(in.Slot)
		return &change{kind: changeInvite, slot: in.Slot, ticket: ticketHash(t.secret), expires: c.parts[0].now + inviteMs}, t.encode(), ""
	case AdminRemove:
		switch {
		case g.slot(in.Slot) == nil:
			return nil, nil, fmt.Sprintf("there is no slot %d", in.Slot)
		case in.Slot == c.place.slot:
			return nil, nil, "this is the slot of the replica that leads: transfer the leadership of partition 0 first"
		}
		return &change{kind: changeRemove, slot: in.Slot}, nil, ""
	}
	return nil, nil, "unknown command"
}

// newTicket makes a ticket, with this core and as many others to ask as have room.
func (c *Core) newTicket(s Slot) *joinTicket {
	t := &joinTicket{fleet: c.identity.fleet, slot: s, secret: c.entropy.bytes32(), key: c.identity.join.private.PublicKey().Bytes()}
	t.members = []Member{{c.place.slot, c.host}}
	for _, o := range c.parts[0].group.slots {
		if room := MaxTicket - len(t.encode()); o.number != s && o.number != c.place.slot && len(o.host)+4 <= room {
			t.members = append(t.members, Member{o.number, o.host})
		}
	}
	return t
}

func (c *Core) leaderHint(p *partition) string {
	if s := p.group.slotOf(p.leader); s != 0 && s != c.place.slot {
		return fmt.Sprintf("slot %d leads partition %d: ask there", s, p.number)
	}
	return fmt.Sprintf("nobody is known to lead partition %d at the moment: try again", p.number)
}

// adminTransfer hands leadership over. It is done when the other one leads, which Leads tells.
func (c *Core) adminTransfer(in Admin) {
	led, begun := 0, 0
	for _, p := range c.parts {
		if !in.All && p.number != in.Partition || !p.ready {
			continue
		}
		led++
		status := p.node.Status()
		if in.Slot == 0 && p.handOver(&status) || in.Slot != 0 && p.handTo(&status, in.Slot) {
			begun++
		}
	}
	switch {
	case led == 0 && in.All, led == begun && led > 0:
		c.emit(Told{ID: in.ID})
	case led == 0:
		if int(in.Partition) >= len(c.parts) {
			c.refuseAdmin(in.ID, fmt.Sprintf("the fleet has %d partitions", len(c.parts)))
			return
		}
		c.refuseAdmin(in.ID, c.leaderHint(c.parts[in.Partition]))
	default:
		c.refuseAdmin(in.ID, fmt.Sprintf("%d of %d partitions have no other voter that could lead: try again when all replicas are up to date", led-begun, led))
	}
}

func (p *partition) handTo(status *raft.Status, s Slot) bool {
	for _, m := range p.group.members {
		if m.slot == s && p.group.voter(m.id) && p.transfer(status, m.id) {
			return true
		}
	}
	return false
}

func (c *Core) refuseAdmin(id uint64, text string) { c.emit(Told{ID: id, Refusal: text}) }

// changed ends an operator's command whose change is applied.
func (c *Core) changed(n uint64) {
	if a, ok := c.admins[n]; ok {
		delete(c.admins, n)
		c.emit(Told{ID: a.id, Ticket: a.ticket})
	}
}

// expireAdmins gives up what was not applied.
func (c *Core) expireAdmins() {
	for n := c.firstAdmin; n <= c.nextRequest; n++ {
		a, ok := c.admins[n]
		if ok && a.until > c.elapsed {
			return
		}
		if ok {
			delete(c.admins, n)
			c.refuseAdmin(a.id, "it may or may not have been done: see the status, and try again")
		}
		c.firstAdmin = n + 1
	}
}

// Role is what a replica is in a partition.
type Role uint8

// The roles. The numbers are part of the stream's protocol.
const (
	RoleNone      Role = 0 // not admitted
	RoleLearner   Role = 1 // is being caught up, and has no vote
	RoleFollower  Role = 2
	RoleCandidate Role = 3
	RoleLeader    Role = 4 // and everything of earlier terms is applied
)

// Stats are counts and states for an operator. None tells anything about one account.
type Stats struct {
	Slot        Slot
	Incarnation [8]byte // the first bytes of this boot's public key
	Accounts    uint64
	Epoch       uint64 // number of the key that seals the log
	Serving     bool   // this replica takes part in every partition, and each has a leader
	Founded     bool   // every partition takes requests
	Partitions  []PartitionStats

	Unerased     uint64     // milliseconds for which something that was destroyed may have been readable here; 0: nothing is
	Others       []Unerased // the same of the others
	ErasedWithin uint64     // milliseconds after which somebody should look why
}

// PartitionStats is what this replica knows of a partition.
type PartitionStats struct {
	Partition                            wire.Partition
	Role                                 Role
	Leader                               Slot
	Term, Applied, Committed, LogEntries uint64
	Voters, Learners                     []Slot
	Lag                                  uint64 // entries that the slowest voter is behind, at the leader
}

// News returns a number that grows whenever a partition has other members, or another leader: Stats is worth looking at then.
func (c *Core) News() uint64 { return c.news }

// Serving is Stats's, at less cost.
func (c *Core) Serving() bool {
	return len(c.parts) > 0 && !slices.ContainsFunc(c.parts, func(p *partition) bool { return !p.serving() })
}

// serving tells whether this replica takes part, and a leader is known, that takes requests if it is this one.
func (p *partition) serving() bool {
	leader := p.group.slotOf(p.leader)
	return p.node != nil && leader != 0 && (leader != p.c.place.slot || p.ready)
}

// Stats returns the counts of this moment.
func (c *Core) Stats() Stats {
	s := Stats{Slot: c.place.slot, Epoch: c.epoch.number, Serving: c.Serving(), Founded: len(c.parts) > 0}
	copy(s.Incarnation[:], c.place.incarnation[:])
	for _, p := range c.parts {
		k := p.stats()
		s.Partitions = append(s.Partitions, k)
		s.Accounts += p.ledger.count
		s.Founded = s.Founded && p.group.founded
	}
	s.Unerased, s.Others, s.ErasedWithin = c.unerased(), c.othersUnerased(), erasedWithin*c.config.RotateMs
	return s
}

func (p *partition) stats() PartitionStats {
	s := PartitionStats{Partition: p.number, Leader: p.group.slotOf(p.leader), Applied: p.applied}
	for _, id := range p.group.conf.GetVoters() {
		s.Voters = append(s.Voters, p.group.slotOf(id))
	}
	for _, id := range p.group.conf.GetLearners() {
		s.Learners = append(s.Learners, p.group.slotOf(id))
	}
	if p.node == nil {
		return s
	}
	s.LogEntries = p.lastIndex - min(p.lastIndex, p.base)
	status := p.node.BasicStatus()
	s.Term, s.Committed = status.GetTerm(), status.GetCommit()
	switch {
	case p.ready:
		s.Role = RoleLeader
		s.Lag = p.lag()
	case !p.group.voter(p.id):
		s.Role = RoleLearner
	case status.RaftState == raft.StateFollower:
		s.Role = RoleFollower
	default:
		s.Role = RoleCandidate
	}
	return s
}

func (p *partition) lag() (most uint64) {
	for id, pr := range p.node.Status().Progress {
		if p.group.voter(id) {
			most = max(most, p.lastIndex-min(p.lastIndex, pr.Match))
		}
	}
	return most
}
