// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/coffer-backup/coffer/wire"
)

// Unseal opens an epoch key with the sealer's key of that id.
type Unseal func(keyID string, sealed, aad []byte) ([]byte, error)

// Create makes a new fleet under a policy, and its first replica, in slot 1. Host is what its host tells of itself, at most MaxHostInfo bytes.
// The epoch key, number 1, comes sealed with EpochAAD(1).
func Create(config Config, policy *wire.Policy, host []byte, first NewEpoch) (*Core, []Effect, error) {
	if err := policy.Check(); err != nil {
		return nil, nil, err
	}
	c := newCore(config, host)
	c.epoch = newEpochKey(1, first.KeyID, first.Sealed, first.Key)
	c.identity = identity{secret: c.entropy.bytes32(), epoch: 1, generation: 1, policy: *policy}
	c.entropy.fill(c.identity.fleet[:])
	if err := c.identity.derive(); err != nil {
		return nil, nil, err
	}
	c.place = newPlace(c.entropy.bytes32())
	c.place.take(&c.identity, founderSlot, firstIndex, c.entropy.bytes32())
	for n := range policy.Partitions {
		p := newPartition(c, wire.Partition(n))
		p.found()
		c.parts = append(c.parts, p)
	}
	if err := c.begin(); err != nil {
		return nil, nil, err
	}
	manifest := c.manifestRecord(c.newManifest(c.marks()))
	c.manifest.digest = sha256.Sum256(manifest.Value)
	c.persist(Persist{Puts: append([]Record{manifest}, c.stateRecords()...)}, unsynced{})
	effects, err := c.Step()
	return c, effects, err
}

const founderSlot = 1

// found makes a group of one.
func (p *partition) found() {
	p.id, p.base, p.lastIndex, p.applied = firstIndex, firstIndex, firstIndex, firstIndex
	p.baseTerm = 1
	p.hard = hardState{term: 1, commit: firstIndex}
	p.group.conf = &raftpb.ConfState{Voters: []uint64{firstIndex}}
	p.group.members = []member{{firstIndex, founderSlot, firstIndex, p.c.place.incarnation}}
	p.group.founded = p.c.identity.policy.Restart == wire.RestartTrustDisk
	if p.number == 0 {
		p.group.slots = []slot{{number: founderSlot, serial: firstIndex, credential: p.c.place.credentialPublic(), host: p.c.host}}
	}
}

// stateRecords are raft's state of every partition that this replica is admitted to.
func (c *Core) stateRecords() (records []Record) {
	for _, p := range c.parts {
		if p.id != 0 {
			records = append(records, p.stateRecord())
		}
	}
	return records
}

// EpochAAD returns what an epoch key is sealed with.
func EpochAAD(number uint64) []byte { return epochAAD(number) }

func newCore(config Config, host []byte) *Core {
	if config.RotateEntries == 0 {
		config.RotateEntries = defaultRotateEntries
	}
	if config.RotateMs == 0 {
		config.RotateMs = defaultRotateMs
	}
	c := &Core{config: config, entropy: newEntropy(config.Seed), host: host[:min(len(host), MaxHostInfo)], requests: map[uint64]*request{},
		admins: map[uint64]admin{}, peers: peers{answered: map[Slot]int{}}, sessions: sessions{byAccount: map[wire.AccountID]*session{}}}
	c.incarnation = c.entropy.uint64()
	c.loginSecret = c.entropy.bytes32()
	return c
}

// begin starts raft in the partitions that this replica is admitted to.
func (c *Core) begin() error {
	c.manifest.epoch = c.epoch
	for _, p := range c.parts {
		p.now, p.clockAt = p.clock, p.clock
		c.manifest.at = max(c.manifest.at, p.clock)
		if p.id != 0 {
			if err := p.start(p.base, p.baseTerm, p.loaded); err != nil {
				return err
			}
			p.loaded = nil
		}
	}
	return nil
}

// A Loader takes the records of a replica, in key order, and makes its core.
type Loader struct {
	c      *Core
	unseal Unseal
	m      *manifest
	next   *epochKey // being switched to when the replica stopped
	marks  map[uint32]bucketMark
	last   []byte // key of the last record
	parts  []loadedPart

	farewell *openedFarewell // nil: there was none, or it was used
}

// loadedPart is what was found of a partition, under the manifest's epoch and the next.
type loadedPart struct {
	state [2]*sealedState
	logs  [2][]*raftpb.Entry
}

type sealedState struct {
	id        uint64
	hard      hardState
	lastIndex uint64
}

// NewLoader returns a Loader that has seen nothing.
func NewLoader(config Config, unseal Unseal) *Loader {
	return &Loader{c: newCore(config, nil), unseal: unseal}
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
	case key == keyFarewell:
		return l.addFarewell(r)
	case bytes.HasPrefix(r.Key, []byte(prefixBucket)) && len(key) == len(prefixBucket)+12:
		return l.addBucket(r)
	case bytes.HasPrefix(r.Key, []byte(prefixLog)) && len(key) == len(prefixLog)+18:
		return l.addEntry(r)
	case bytes.HasPrefix(r.Key, []byte(prefixState)) && len(key) == len(prefixState)+10:
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
	m := l.m
	l.c.epoch = epoch
	l.c.manifest.digest = sha256.Sum256(r.Value)
	l.c.identity = identity{fleet: m.fleet, secret: m.secret, epoch: m.epoch, generation: m.generation, policy: m.policy}
	if err := l.c.identity.derive(); err != nil {
		return err
	}
	l.c.place = m.place
	l.marks = make(map[uint32]bucketMark, len(m.buckets))
	for n := range m.parts {
		l.c.parts = append(l.c.parts, newPartition(l.c, wire.Partition(n)))
	}
	for _, k := range m.buckets {
		l.marks[k.place()] = k
	}
	l.parts = make([]loadedPart, len(m.parts))
	return nil
}

// addBucket takes a bucket that the manifest names; another version of it is left from a snapshot that was not finished.
func (l *Loader) addBucket(r Record) error {
	tail := r.Key[len(prefixBucket):]
	at := bucketMark{partition: partitionOf(tail), number: binary.BigEndian.Uint16(tail[2:]), epoch: binary.BigEndian.Uint64(tail[4:])}
	mark, ok := l.marks[at.place()]
	if !ok || mark.epoch != at.epoch {
		return nil
	}
	delete(l.marks, at.place())
	plain, err := openBucket(mark.key, l.m.fleet, r)
	if err != nil {
		return err
	}
	defer clear(plain)
	p := l.c.parts[mark.partition]
	b := &p.ledger.list[mark.number]
	b.epoch, b.key = mark.epoch, mark.key
	if err := b.decode(plain); err != nil {
		return err
	}
	p.ledger.count += uint64(len(b.accounts))
	return nil
}

func partitionOf(tail []byte) wire.Partition { return wire.Partition(binary.BigEndian.Uint16(tail)) }

// which tells whose log or state record it is, and of which epoch: 0 for the manifest's, 1 for the next. Others are left over.
func (l *Loader) which(tail []byte) (part *loadedPart, mark *partMark, n int, e *epochKey) {
	p, epoch := partitionOf(tail), binary.BigEndian.Uint64(tail[2:])
	if int(p) >= len(l.parts) || l.m.parts[p].id == 0 {
		return nil, nil, 0, nil
	}
	part, mark = &l.parts[p], &l.m.parts[p]
	switch {
	case epoch == l.c.epoch.number:
		return part, mark, 0, &l.c.epoch
	case l.next != nil && epoch == l.next.number:
		return part, mark, 1, l.next
	}
	return nil, nil, 0, nil
}

func (l *Loader) addEntry(r Record) error {
	tail := r.Key[len(prefixLog):]
	part, mark, n, e := l.which(tail)
	index := binary.BigEndian.Uint64(tail[10:])
	if e == nil || index <= mark.base {
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
	part.logs[n] = append(part.logs[n], entry)
	return nil
}

func (l *Loader) addState(r Record) error {
	part, _, n, e := l.which(r.Key[len(prefixState):])
	if e == nil {
		return nil
	}
	plain, err := unseal(e.log, r.Value, l.m.fleet[:], r.Key)
	if err != nil {
		return err
	}
	id, hard, last, err := decodeState(plain)
	part.state[n] = &sealedState{id, hard, last}
	return err
}

// Finish returns the core, with its first effects. It refuses a log with a hole or a missing end.
// Host is what its host tells of itself, at most MaxHostInfo bytes.
func (l *Loader) Finish(host []byte) (*Core, []Effect, error) {
	switch {
	case l.m == nil:
		return nil, nil, damaged("there is no manifest")
	case len(l.marks) > 0:
		return nil, nil, damaged("%d buckets are missing", len(l.marks))
	}
	c := l.c
	c.host = host[:min(len(host), MaxHostInfo)]
	c.place.boot(&c.identity, c.entropy.bytes32())
	trusted := c.identity.policy.Restart == wire.RestartTrustDisk || l.farewell != nil
	for n, p := range c.parts {
		mark := &l.m.parts[n]
		if mark.id == 0 {
			p.group.slots = mark.group.slots // so that it finds its peers
			continue
		}
		if ruleBootHasNoVote && !trusted && mark.group.founded || l.parts[n].givenUp(mark) {
			p.group = mark.group
			p.giveUp()
		} else if err := l.finish(p, mark, &l.parts[n]); err != nil {
			return nil, nil, err
		}
	}
	if f := l.farewell; f != nil {
		if err := f.vouches(l); err != nil {
			return nil, nil, err
		}
		c.place.boot(&c.identity, f.bootSeed) // the same incarnation: its key was nowhere else
	}
	if err := c.begin(); err != nil {
		return nil, nil, err
	}
	if c.hasFarewell {
		c.persist(Persist{Deletes: []Range{{[]byte(keyFarewell), after([]byte(keyFarewell))}}}, unsynced{})
	}
	if l.next != nil {
		// The rotation was interrupted: it begins anew, from the same base.
		c.epoch = *l.next
		c.beginRotation()
	}
	effects, err := c.Step()
	return c, effects, err
}

// givenUp tells whether the core had given the manifest's place up already, and had begun anew under another raft id.
func (f *loadedPart) givenUp(mark *partMark) bool {
	return slices.ContainsFunc(f.state[:], func(s *sealedState) bool { return s != nil && s.id != mark.id })
}

// finish takes over what was found of a partition. Under the next epoch's key counts only what its state vouches for: it comes last.
func (l *Loader) finish(p *partition, mark *partMark, found *loadedPart) error {
	state, log := found.state[0], found.logs[0]
	if found.state[1] != nil {
		state, log = found.state[1], merge(log, found.logs[1])
	}
	if state == nil {
		return damaged("raft's state is missing")
	}
	for i, e := range log {
		if e.GetIndex() != mark.base+uint64(i)+1 {
			return damaged("the log has a hole")
		}
	}
	if last := mark.base + uint64(len(log)); last != state.lastIndex || state.hard.commit > last {
		return damaged("the log ends at %d and must end at %d", last, state.lastIndex)
	}
	p.id, p.base, p.baseTerm, p.applied, p.clock, p.group = mark.id, mark.base, mark.term, mark.base, mark.clock, mark.group
	p.world = p.group.world
	p.hard, p.lastIndex, p.loaded, p.stoppedHard = state.hard, state.lastIndex, log, state.hard
	p.hard.commit = max(p.hard.commit, mark.base) // what is in a snapshot was committed
	return nil
}

// giveUp forgets what the disk says of a partition: a disk may be old, so a boot has no vote by it (INV-INCARNATION). The next
// rotation removes it from there, too.
func (p *partition) giveUp() {
	c := p.c
	for n := range p.ledger.list {
		if b := &p.ledger.list[n]; b.epoch != 0 {
			c.abandoned = append(c.abandoned, bucketRange(p.number, uint16(n), b.epoch))
		}
	}
	slots, past := p.group.slots, max(p.id, p.past)
	*p = *newPartition(c, p.number)
	p.group.slots, p.past = slots, past // so that it finds its peers, and takes no id twice
	if r := c.rotation; r != nil && len(r.marks) > 0 {
		r.marks[p.number], r.installs[p.number] = partMark{group: p.group.clone()}, nil
		r.todo = slices.DeleteFunc(r.todo, func(id bucketID) bool { return id.p == p })
	}
	c.rotateSoon = true
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
