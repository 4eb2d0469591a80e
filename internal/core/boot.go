// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/coffer-backup/coffer/wire"
)

// Unseal opens an epoch key with the sealer's key of that id.
type Unseal func(keyID string, sealed, aad []byte) ([]byte, error)

// Create makes a new fleet of one replica under a policy. The epoch key, number 1, comes sealed with EpochAAD(1).
func Create(config Config, policy *wire.Policy, first NewEpoch) (*Core, []Effect, error) {
	if err := checkPolicy(policy); err != nil {
		return nil, nil, err
	}
	c := newCore(config)
	c.epoch = newEpochKey(1, first.KeyID, first.Sealed, first.Key)
	c.identity = identity{secret: c.entropy.bytes32(), epoch: 1, generation: 1, policy: *policy}
	c.entropy.fill(c.identity.fleet[:])
	m := c.newManifest(1, 1)
	if err := c.start(m, hardState{term: 1, commit: 1}, nil); err != nil {
		return nil, nil, err
	}
	c.persist(Persist{Puts: []Record{c.manifestRecord(m), c.stateRecord()}}, unsynced{})
	effects, err := c.Step()
	return c, effects, err
}

// checkPolicy refuses what one replica cannot keep: the descriptor would promise it to clients.
func checkPolicy(p *wire.Policy) error {
	switch {
	case p.Restart != wire.RestartTrustDisk:
		return fmt.Errorf("a fleet of one replica can have the restart policy %v only, and %v is asked for", wire.RestartTrustDisk, p.Restart)
	case p.Partitions != 1:
		return fmt.Errorf("a fleet of one replica has one partition, and %d are asked for", p.Partitions)
	}
	return p.Check()
}

// EpochAAD returns what an epoch key is sealed with.
func EpochAAD(number uint64) []byte { return epochAAD(number) }

func newCore(config Config) *Core {
	if config.RotateEntries == 0 {
		config.RotateEntries = defaultRotateEntries
	}
	if config.RotateMs == 0 {
		config.RotateMs = defaultRotateMs
	}
	c := &Core{config: config, entropy: newEntropy(config.Seed), requests: map[uint64]*request{},
		sessions: sessions{byAccount: map[wire.AccountID]*session{}}}
	c.incarnation = c.entropy.uint64()
	c.loginSecret = c.entropy.bytes32()
	return c
}

// start makes the raft node and, in a group of one, the leader.
func (c *Core) start(m *manifest, hard hardState, log []*raftpb.Entry) error {
	if err := c.identity.derive(); err != nil {
		return err
	}
	c.manifest = manifestMark{base: m.base, epoch: c.epoch, at: m.clock}
	c.applied, c.clock, c.now, c.clockAt, c.hard = m.base, m.clock, m.clock, m.clock, hard
	c.lastIndex = m.base + uint64(len(log))
	c.storage = raft.NewMemoryStorage()
	snapshot := &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		Index: &m.base, Term: &m.term, ConfState: &raftpb.ConfState{Voters: m.voters}}}
	if err := c.storage.ApplySnapshot(snapshot); err != nil {
		return err
	}
	if err := c.storage.Append(log); err != nil {
		return err
	}
	if err := c.storage.SetHardState(hard.raft()); err != nil {
		return err
	}
	var err error
	c.node, err = raft.NewRawNode(&raft.Config{
		ID: raftNode, ElectionTick: electionTicks, HeartbeatTick: 1,
		Storage: c.storage, Applied: m.base, AsyncStorageWrites: true,
		MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: 4 << 20, MaxUncommittedEntriesSize: maxUncommitted, MaxInflightMsgs: 64,
		CheckQuorum: true, PreVote: true, ReadOnlyOption: raft.ReadOnlySafe, DisableProposalForwarding: true, Logger: quiet{},
	})
	if err != nil {
		return err
	}
	return c.node.Campaign()
}

// A Loader takes the records of a replica, in key order, and makes its core.
type Loader struct {
	c      *Core
	unseal Unseal
	m      *manifest
	next   *epochKey // being switched to when the replica stopped
	marks  map[uint16]bucketMark
	last   []byte          // key of the last record
	state  [2]*sealedState // of the manifest's epoch and the next
	logs   [2][]*raftpb.Entry
}

type sealedState struct {
	hard      hardState
	lastIndex uint64
}

// NewLoader returns a Loader that has seen nothing.
func NewLoader(config Config, unseal Unseal) *Loader {
	return &Loader{c: newCore(config), unseal: unseal}
}

// Add takes the next record.
func (l *Loader) Add(r Record) error {
	if l.last != nil && bytes.Compare(l.last, r.Key) >= 0 {
		return damaged("the records are not in their order")
	}
	l.last = bytes.Clone(r.Key)
	switch key := string(r.Key); {
	case key == keyManifest:
		return l.addManifest(r)
	case l.m == nil:
		return damaged("there is no manifest")
	case key == keyNextEpoch:
		next, _, rest, err := openEpoch(r.Value, l.unseal)
		if err != nil {
			return err
		}
		if len(rest) != 0 || next.number != l.c.epoch.number+1 {
			return damaged("the next epoch does not follow the last one")
		}
		l.next = &next
		return nil
	case bytes.HasPrefix(r.Key, []byte(prefixBucket)) && len(key) == len(prefixBucket)+10:
		return l.addBucket(r)
	case bytes.HasPrefix(r.Key, []byte(prefixLog)) && len(key) == len(prefixLog)+16:
		return l.addEntry(r)
	case bytes.HasPrefix(r.Key, []byte(prefixState)) && len(key) == len(prefixState)+8:
		return l.addState(r)
	}
	return damaged("there is a record that no vault writes")
}

func (l *Loader) addManifest(r Record) error {
	epoch, head, rest, err := openEpoch(r.Value, l.unseal)
	if err != nil {
		return err
	}
	plain, err := unseal(epoch.manifest, rest, []byte(wire.DomainManifest), head)
	if err != nil {
		return err
	}
	defer clear(plain)
	if l.m, err = decodeManifest(plain); err != nil {
		return err
	}
	if len(l.m.voters) != 1 || l.m.voters[0] != raftNode || checkPolicy(&l.m.policy) != nil {
		return damaged("the manifest is not of a fleet of one")
	}
	m := l.m
	l.c.epoch = epoch
	l.c.identity = identity{fleet: m.fleet, secret: m.secret, epoch: m.epoch, generation: m.generation, policy: m.policy, partition: m.partition}
	l.marks = make(map[uint16]bucketMark, len(m.buckets))
	for _, k := range m.buckets {
		l.marks[k.number] = k
	}
	return nil
}

// addBucket takes a bucket that the manifest names; another version of it is left from a snapshot that was not finished.
func (l *Loader) addBucket(r Record) error {
	tail := r.Key[len(prefixBucket):]
	number, epoch := binary.BigEndian.Uint16(tail), binary.BigEndian.Uint64(tail[2:])
	mark, ok := l.marks[number]
	if !ok || mark.epoch != epoch {
		return nil
	}
	delete(l.marks, number)
	plain, err := openBucket(mark.key, l.m.fleet, r)
	if err != nil {
		return err
	}
	defer clear(plain)
	b := &l.c.ledger.list[number]
	b.epoch, b.key = mark.epoch, mark.key
	if err := b.decode(plain); err != nil {
		return err
	}
	l.c.ledger.count += uint64(len(b.accounts))
	return nil
}

// which tells the epoch of a log or state record: 0 for the manifest's, 1 for the next. Others are left over.
func (l *Loader) which(epoch uint64) (n int, e *epochKey) {
	switch {
	case epoch == l.c.epoch.number:
		return 0, &l.c.epoch
	case l.next != nil && epoch == l.next.number:
		return 1, l.next
	}
	return -1, nil
}

func (l *Loader) addEntry(r Record) error {
	tail := r.Key[len(prefixLog):]
	n, e := l.which(binary.BigEndian.Uint64(tail))
	index := binary.BigEndian.Uint64(tail[8:])
	if e == nil || index <= l.m.base {
		return nil
	}
	plain, err := unseal(e.log, r.Value, l.m.fleet[:], r.Key)
	if err != nil {
		return err
	}
	entry, err := decodeEntry(plain)
	if err != nil {
		return err
	}
	if entry.GetIndex() != index {
		return damaged("a log entry has another's index")
	}
	l.logs[n] = append(l.logs[n], entry)
	return nil
}

func (l *Loader) addState(r Record) error {
	n, e := l.which(binary.BigEndian.Uint64(r.Key[len(prefixState):]))
	if e == nil {
		return nil
	}
	plain, err := unseal(e.log, r.Value, l.m.fleet[:], r.Key)
	if err != nil {
		return err
	}
	hard, last, err := decodeState(plain)
	l.state[n] = &sealedState{hard, last}
	return err
}

// Finish returns the core, with its first effects. It refuses a log with a hole or a missing end.
func (l *Loader) Finish() (*Core, []Effect, error) {
	switch {
	case l.m == nil:
		return nil, nil, damaged("there is no manifest")
	case len(l.marks) > 0:
		return nil, nil, damaged("%d buckets are missing", len(l.marks))
	case l.state[0] == nil || l.next != nil && l.state[1] == nil:
		return nil, nil, damaged("raft's state is missing")
	}
	state, log := *l.state[0], l.logs[0]
	if l.next != nil {
		state = *l.state[1]
		log = merge(log, l.logs[1])
	}
	for i, e := range log {
		if e.GetIndex() != l.m.base+uint64(i)+1 {
			return nil, nil, damaged("the log has a hole")
		}
	}
	if last := l.m.base + uint64(len(log)); last != state.lastIndex || state.hard.commit > last {
		return nil, nil, damaged("the log ends at %d and must end at %d", last, state.lastIndex)
	}
	c := l.c
	state.hard.commit = max(state.hard.commit, l.m.base) // what is in a snapshot was committed
	if err := c.start(l.m, state.hard, log); err != nil {
		return nil, nil, err
	}
	if l.next != nil {
		// The log went over to the next key already. The snapshot begins anew when all of it is applied: then nothing
		// after its base is sealed under the old key alone.
		c.epoch = *l.next
		c.rotation = &rotation{waiting: true}
	}
	effects, err := c.Step()
	return c, effects, err
}

// KeyIDs are the sealer's keys that this core needs. The runner destroys the others.
func (c *Core) KeyIDs() []string {
	if c.manifest.epoch.number == c.epoch.number {
		return []string{c.epoch.keyID}
	}
	return []string{c.manifest.epoch.keyID, c.epoch.keyID}
}

// merge puts the log of a new epoch over that of the old one.
func merge(old, log []*raftpb.Entry) []*raftpb.Entry {
	if len(log) > 0 {
		for i, e := range old {
			if e.GetIndex() >= log[0].GetIndex() {
				old = old[:i]
				break
			}
		}
	}
	return append(old, log...)
}
