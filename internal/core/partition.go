// SPDX-License-Identifier: Apache-2.0

package core

import (
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/coffer-backup/coffer/wire"
)

const (
	electionTicks  = 8 // of 100 ms, and at most twice as many: so soon a dead leader is missed
	heartbeatTicks = 2
	maxMessage     = 256 << 10 // bytes of entries in one message to a peer
	firstIndex     = 1         // of the log that a new fleet begins with, and the raft id of its first member
)

// partition is this replica's part of one Raft group, and the group's accounts. All its work is done by its Core.
type partition struct {
	c      *Core
	number wire.Partition

	node        *raft.RawNode // nil: this incarnation is not admitted
	id          uint64        // raft's, 0 without a node
	past        uint64        // the id that this incarnation had before
	world       world         // that it belongs to; none where boots are trusted, or as long as it knows of none
	storage     *storage      // the log, as far as it is durable
	ready       bool          // leader, and everything of earlier terms is applied
	surrendered bool          // the place is to be given up
	leader      uint64        // raft's id of the leader, as far as it is known
	group       group
	ledger      buckets

	applied     uint64      // index of the last applied entry
	clock       wire.UnixMs // committed: the latest reading in an applied entry
	now         wire.UnixMs // never behind clock
	clockAt     wire.UnixMs // when the clock was last committed
	base        uint64      // of the manifest on stable storage
	baseTerm    uint64
	loaded      []*raftpb.Entry // the log, between load and start
	stoppedHard hardState       // raft's state as it was loaded
	lastIndex   uint64          // of the last entry handed out for storage
	hard        hardState
	handed      hardState // as it was last handed out for storage with entries, or loaded

	reads   []read // that wait for an index to be applied
	sweepAt int

	seen []member // who uses the raft ids that this replica does not know yet

	proposed proposed          // the leader's last steps towards the members that there should be
	outgoing []*outgoing       // snapshots that are sent
	incoming *incoming         // the one that is received
	install  *install          // that raft has taken and that is not durable
	held     []*raftpb.Message // appends that wait for it
}

// storage is raft's view of the log. The snapshot is made when raft wants one.
type storage struct {
	*raft.MemoryStorage
	snapshot func() (*raftpb.Snapshot, error)
}

func (s *storage) Snapshot() (*raftpb.Snapshot, error) { return s.snapshot() }

func newPartition(c *Core, n wire.Partition) *partition {
	return &partition{c: c, number: n, ledger: newBuckets(c.identity.buckets), group: newGroup()}
}

// start makes the raft node. In a group of one it becomes the leader.
func (p *partition) start(base, term uint64, log []*raftpb.Entry) error {
	p.storage = &storage{raft.NewMemoryStorage(), p.makeSnapshot}
	if base > 0 {
		snapshot := &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{Index: &base, Term: &term, ConfState: p.group.conf}}
		if err := p.storage.ApplySnapshot(snapshot); err != nil {
			return err
		}
	}
	if err := p.storage.Append(log); err != nil {
		return err
	}
	if err := p.storage.SetHardState(p.hard.raft()); err != nil {
		return err
	}
	var err error
	p.node, err = raft.NewRawNode(&raft.Config{
		ID: p.id, ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks,
		Storage: p.storage, Applied: base, AsyncStorageWrites: true,
		MaxSizePerMsg: maxMessage, MaxCommittedSizePerReady: 4 << 20, MaxUncommittedEntriesSize: maxUncommitted,
		MaxInflightMsgs: 64, MaxInflightBytes: 4 << 20,
		CheckQuorum: true, PreVote: true, ReadOnlyOption: raft.ReadOnlySafe, DisableProposalForwarding: true,
		StepDownOnRemoval: true, Logger: quiet{},
	})
	if err != nil {
		return err
	}
	p.handed = p.hard
	p.observeGroup()
	if v := p.group.conf.GetVoters(); len(v) == 1 && v[0] == p.id {
		return p.node.Campaign()
	}
	return nil
}

// drain does what raft wants done, until it wants nothing more.
func (p *partition) drain() error {
	for p.node != nil && p.node.HasReady() {
		ready := p.node.Ready()
		if s := ready.SoftState; s != nil {
			p.softState(s)
		}
		for _, m := range ready.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				p.append(m)
			case raft.LocalApplyThread:
				if err := p.apply(m); err != nil {
					return err
				}
			default:
				p.send(m)
			}
		}
		for _, r := range ready.ReadStates {
			p.reads = append(p.reads, readOf(r))
		}
		p.answerReads()
	}
	if p.surrendered {
		p.giveUp()
	}
	if p.install == nil && p.incoming != nil && p.incoming.stepped {
		p.incoming = nil // raft did not want it
	}
	return nil
}

// softState follows who leads.
func (p *partition) softState(s *raft.SoftState) {
	if s.RaftState != raft.StateLeader && p.ready {
		p.ready = false
		p.outgoing = nil
		p.c.refuseAll(p)
	}
	p.c.news++
	if p.leader != s.Lead {
		p.leader = s.Lead
		p.tellLeader()
	}
}

// tellLeader tells the host who leads.
func (p *partition) tellLeader() {
	p.c.emit(Leads{p.number, p.group.slotOf(p.leader)})
}

// step gives raft a message from itself or a peer. What raft refuses is dropped, as the network might have done.
func (p *partition) step(m *raftpb.Message) {
	if p.node != nil {
		_ = p.node.Step(m)
	}
}

// becomeReady lets requests in, once this core leads and has applied all that was committed before. It begins with the time that is
// committed: what it thought of the time until now was its own host's affair. In a new fleet none is, and the first reading is good.
func (p *partition) becomeReady(term uint64) {
	if s := p.node.BasicStatus(); s.GetTerm() == term && s.RaftState == raft.StateLeader && !p.ready {
		p.ready = true
		if p.clock != 0 { // in a new fleet no time is committed, and that of its only core counts; an invitation by 1970's clock has expired
			p.now = p.clock
		}
		p.proposed = proposed{}
		p.c.news++
	}
}

// serves tells whether requests are taken: this core leads, and the fleet was founded.
func (p *partition) serves() bool { return p.ready && p.group.founded }
