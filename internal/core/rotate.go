// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/coffer-backup/coffer/wire"
)

// A snapshot and the change of the epoch key are one thing, a rotation, in four steps. A crash after any of
// them loses nothing: until the last one is durable the old manifest, its key and all it needs are there.
//
//  1. At the base, the index applied at this moment, the log goes over to the new epoch's key: what is in the log
//     after the base is sealed again, in one write with the record of the new key.
//  2. Every bucket that changed since it was last written is sealed under a key of its own and written, a few at a time, while
//     requests go on. It notes the index up to which it is applied, so that a boot does not apply an entry to it twice.
//  3. The new manifest replaces the old one, in one write that removes the old log and the old versions of the buckets.
//  4. The sealer destroys the old epoch's key. What it sealed - replaced buckets' keys, old log entries - is gone for ever.
type rotation struct {
	base, term uint64
	clock      wire.UnixMs // as it was at the base
	todo       []uint16    // buckets to write
	replaced   []Range     // their old versions
	writing    bool        // buckets are handed out and not yet durable
	waiting    bool        // for the new key before step 1, for readiness after a boot, or for the end of step 3
}

var rotationStep = 1 << 20 // bytes of buckets handed out at a time; tests make it small

// wantsRotation tells whether it is time for a rotation.
func (c *Core) wantsRotation() bool {
	log := c.applied - c.manifest.base
	return c.rotation == nil && log > 0 &&
		(log >= c.config.RotateEntries || uint64(c.now-c.manifest.at) >= c.config.RotateMs && c.anyDirty())
}

func (c *Core) anyDirty() bool {
	return slices.ContainsFunc(c.ledger.list[:], func(b bucket) bool { return b.dirty })
}

// askRotation asks for a new epoch's key.
func (c *Core) askRotation() {
	c.rotation = &rotation{waiting: true}
	c.emit(Rotate{c.epoch.number + 1, epochAAD(c.epoch.number + 1)})
}

// startRotation is step 1.
func (c *Core) startRotation(in NewEpoch) error {
	c.epoch = newEpochKey(c.epoch.number+1, in.KeyID, in.Sealed, in.Key)
	c.rotation = c.newRotation()
	p := c.logRecords(c.tail(c.rotation.base))
	p.Deletes = nil
	p.Puts = append(p.Puts, Record{[]byte(keyNextEpoch), c.epoch.head()})
	c.persist(p, unsynced{})
	return nil
}

func (c *Core) newRotation() *rotation {
	r := &rotation{base: c.applied, clock: c.clock}
	r.term, _ = c.storage.Term(r.base) // an applied entry is in the storage, or the last snapshot's
	for n := range c.ledger.list {
		if c.ledger.list[n].dirty {
			r.todo = append(r.todo, uint16(n))
		}
	}
	return r
}

// tail returns the log after an index as it was last handed out for storage: what is durable, and over it what is not yet.
func (c *Core) tail(base uint64) (tail []*raftpb.Entry) {
	if last, _ := c.storage.LastIndex(); last > base {
		tail, _ = c.storage.Entries(base+1, last+1, 1<<62) // base is at or after the last snapshot
		tail = slices.Clone(tail)
	}
	for _, u := range c.unsynced {
		for _, e := range u.entries {
			if i := e.GetIndex(); i > base {
				tail = append(tail[:min(i-base-1, uint64(len(tail)))], e)
			}
		}
	}
	return tail
}

// advanceRotation does the next part of step 2, or step 3.
func (c *Core) advanceRotation() {
	r := c.rotation
	if r == nil || r.waiting || r.writing {
		return
	}
	if len(r.todo) == 0 {
		c.finishRotation()
		return
	}
	var p Persist
	for size := 0; len(r.todo) > 0 && size < rotationStep; r.todo = r.todo[1:] {
		record, replaced := c.writeBucket(r.todo[0])
		p.Puts = append(p.Puts, record)
		r.replaced = append(r.replaced, replaced...)
		size += len(record.Value)
	}
	r.writing = true
	c.persist(p, unsynced{then: func() { r.writing = false }})
}

// writeBucket seals a bucket under a fresh key, which makes the old version unreadable as soon as the old key table is.
func (c *Core) writeBucket(n uint16) (Record, []Range) {
	b := &c.ledger.list[n]
	var replaced []Range
	if b.epoch != 0 && b.epoch != c.epoch.number {
		old := keyBucket(n, b.epoch)
		replaced = append(replaced, Range{old, after(old)})
	}
	b.dirty, b.epoch, b.key = false, c.epoch.number, c.entropy.bytes32()
	b.applied = c.applied
	record := Record{Key: keyBucket(n, b.epoch)}
	plain := b.encode()
	defer clear(plain)
	// The key seals this one record, so the nonce may be fixed.
	record.Value = newGCM(b.key).Seal(nil, make([]byte, 12), plain, bucketAAD(c.identity.fleet, record.Key))
	return record, replaced
}

func openBucket(key [32]byte, fleet wire.FleetID, r Record) ([]byte, error) {
	plain, err := newGCM(key).Open(nil, make([]byte, 12), r.Value, bucketAAD(fleet, r.Key))
	if err != nil {
		return nil, damaged("a bucket was changed")
	}
	return plain, nil
}

func bucketAAD(fleet wire.FleetID, key []byte) []byte {
	return joined([][]byte{[]byte(wire.DomainBucket), fleet[:], key})
}

// finishRotation is step 3.
func (c *Core) finishRotation() {
	r, old := c.rotation, c.manifest.epoch
	r.waiting = true
	m := c.newManifest(r.base, r.term)
	m.clock = r.clock
	p := Persist{
		Deletes: append(r.replaced,
			Range{[]byte(keyNextEpoch), after([]byte(keyNextEpoch))},
			Range{keyLog(0, 0), keyLog(c.epoch.number, r.base+1)},
			Range{keyState(0), keyState(c.epoch.number)}),
		// Raft's state, too: its stored commit may be older than the base, if the writes since only moved it.
		Puts: []Record{c.manifestRecord(m), c.stateRecord()},
	}
	mark := manifestMark{base: r.base, epoch: c.epoch, at: c.now}
	c.persist(p, unsynced{then: func() {
		c.manifest, c.rotation = mark, nil
		_ = c.storage.Compact(r.base) // it fails only if that was done before
		c.emit(Retire{old.keyID})     // step 4
	}})
}

func (c *Core) newManifest(base, term uint64) *manifest {
	i := &c.identity
	m := &manifest{
		fleet: i.fleet, secret: i.secret, epoch: i.epoch, generation: i.generation, partition: i.partition, policy: i.policy,
		base: base, term: term, clock: c.clock, voters: []uint64{raftNode},
	}
	for n := range c.ledger.list {
		if b := &c.ledger.list[n]; b.epoch != 0 {
			m.buckets = append(m.buckets, bucketMark{uint16(n), b.epoch, b.key})
		}
	}
	return m
}

func (c *Core) manifestRecord(m *manifest) Record {
	head := c.epoch.head()
	plain := m.encode()
	defer clear(plain)
	return Record{[]byte(keyManifest), append(head, c.seal(c.epoch.manifest, plain, []byte(wire.DomainManifest), head)...)}
}
