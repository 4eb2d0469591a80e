// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/sha256"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/coffer-backup/coffer/wire"
)

// A snapshot and the change of the epoch key are one thing, a rotation, in four steps. A crash after any of
// them loses nothing: until the last one is durable the old manifest, its key and all it needs are there.
//
//  1. At the base of each partition, the index applied at this moment, the log goes over to the new epoch's key: what is in the log
//     after the base is sealed again. The first write has the record of the new key, and the last one of a partition raft's state: without
//     that, what is sealed again does not count.
//  2. Every bucket that changed since it was last written is sealed under a key of its own and written, a few at a time, while
//     requests go on. It notes the index up to which it is applied, so that a boot does not apply an entry to it twice.
//  3. The new manifest replaces the old one, in one write that removes the old log and the old versions of the buckets.
//  4. The sealer destroys the old epoch's key. What it sealed - replaced buckets' keys, old log entries - is gone for ever.
//
// A snapshot that came from a leader is installed by a rotation, too: all its buckets are new, its log is empty, and the new manifest has it.
type rotation struct {
	marks    []partMark
	installs []*install // of each partition, or nil
	todo     []bucketID // to write
	replaced []Range    // their old versions
	writing  bool       // buckets are handed out and not yet durable
	waiting  bool       // for the new key before step 1, or for the end of step 3
}

type bucketID struct {
	p *partition
	n uint16
}

var (
	rotationStep = 1 << 20 // bytes of buckets or entries handed out at a time; tests make it small
	maxPersist   = 4 << 20
)

const keepEntries = 1 << 14 // of the log, all partitions together, in memory for replicas that are a little behind

// wantsRotation tells whether it is time for a rotation.
func (c *Core) wantsRotation() bool {
	if c.rotation != nil || c.epoch.number == 0 {
		return false
	}
	if c.rotateSoon {
		return true
	}
	var log uint64
	var now wire.UnixMs
	for _, p := range c.parts {
		if p.node != nil {
			log += p.applied - p.base
		}
		now = max(now, p.now)
	}
	return log > 0 && (log >= c.config.RotateEntries || uint64(now-min(now, c.manifest.at)) >= c.config.RotateMs && c.anyDirty())
}

func (c *Core) anyDirty() bool {
	return slices.ContainsFunc(c.parts, func(p *partition) bool {
		return slices.ContainsFunc(p.ledger.list, func(b bucket) bool { return b.dirty })
	})
}

// askRotation asks for a new epoch's key.
func (c *Core) askRotation() {
	c.rotation = &rotation{waiting: true}
	c.emit(Rotate{c.epoch.number + 1, epochAAD(c.epoch.number + 1)})
}

func (c *Core) startRotation(in NewEpoch) error {
	c.epoch = newEpochKey(c.epoch.number+1, in.KeyID, in.Sealed, in.Key)
	c.beginRotation()
	return nil
}

// beginRotation is step 1.
func (c *Core) beginRotation() {
	c.rotateSoon = false
	c.erasure.rotationBegins(c.changedFrom())
	r := &rotation{replaced: c.abandoned}
	c.abandoned = nil
	c.rotation = r
	for _, p := range c.parts {
		r.installs = append(r.installs, p.install)
		if p.install != nil {
			r.replaced = append(r.replaced, p.swap()...)
		}
	}
	r.marks = c.marks()
	w := resealing{c: c, next: Persist{Puts: []Record{{[]byte(keyNextEpoch), c.epoch.head()}}}}
	for i, p := range c.parts {
		if p.id != 0 && r.installs[i] == nil {
			w.reseal(p)
		}
		for n := range p.ledger.list {
			if p.ledger.list[n].dirty {
				r.todo = append(r.todo, bucketID{p, uint16(n)})
			}
		}
	}
	w.hand()
}

// marks are the partitions as they are applied now.
func (c *Core) marks() []partMark {
	marks := make([]partMark, len(c.parts))
	for i, p := range c.parts {
		m := partMark{group: p.group.clone()}
		if p.id != 0 {
			m.id, m.base, m.term, m.clock = p.id, p.applied, p.termOf(p.applied), p.clock
		}
		marks[i] = m
	}
	return marks
}

// termOf returns the term of an applied entry: it is in the storage, or the last snapshot's.
func (p *partition) termOf(index uint64) uint64 {
	if p.storage == nil || index == p.base {
		return p.baseTerm
	}
	term, _ := p.storage.Term(index)
	return term
}

// resealing collects what step 1 writes, in writes of a bounded size.
type resealing struct {
	c    *Core
	next Persist
	size int
}

func (w *resealing) reseal(p *partition) {
	for _, e := range p.tail(p.applied) {
		key := keyLog(p.number, w.c.epoch.number, e.GetIndex())
		w.add(Record{key, w.c.seal(w.c.epoch.log, encodeEntry(e), w.c.identity.fleet[:], key)})
	}
	w.add(p.stateRecord())
}

func (w *resealing) add(r Record) {
	w.next.Puts = append(w.next.Puts, r)
	if w.size += len(r.Key) + len(r.Value); w.size >= maxPersist {
		w.hand()
	}
}

func (w *resealing) hand() {
	if len(w.next.Puts) > 0 {
		w.c.persist(w.next, unsynced{})
	}
	w.next, w.size = Persist{}, 0
}

// tail returns the log after an index as it was last handed out for storage: what is durable, and over it what is not yet.
func (p *partition) tail(base uint64) (tail []*raftpb.Entry) {
	if last, _ := p.storage.LastIndex(); last > base {
		tail, _ = p.storage.Entries(base+1, last+1, 1<<62) // base is at or after the last snapshot
		tail = slices.Clone(tail)
	}
	for _, u := range p.c.unsynced {
		if u.log == nil || u.log.storage != p.storage {
			continue
		}
		for _, e := range u.log.entries {
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
	var out Persist
	for size := 0; len(r.todo) > 0 && size < c.stepBytes(rotationStep); r.todo = r.todo[1:] {
		record, replaced := c.writeBucket(r.todo[0])
		out.Puts = append(out.Puts, record)
		r.replaced = append(r.replaced, replaced...)
		size += len(record.Value)
	}
	r.writing = true
	c.persist(out, unsynced{then: func() { r.writing = false }})
}

// writeBucket seals a bucket under a fresh key, which makes the old version unreadable as soon as the old key table is.
func (c *Core) writeBucket(id bucketID) (Record, []Range) {
	b := &id.p.ledger.list[id.n]
	var replaced []Range
	if b.epoch != 0 && b.epoch != c.epoch.number {
		replaced = append(replaced, bucketRange(id.p.number, id.n, b.epoch))
	}
	b.dirty, b.epoch, b.key = false, c.epoch.number, c.entropy.bytes32()
	b.applied = max(b.applied, id.p.applied)
	record := Record{Key: keyBucket(id.p.number, id.n, b.epoch)}
	plain := b.encode()
	defer clear(plain)
	// The key seals this one record, so the nonce may be fixed.
	record.Value = newGCM(b.key).Seal(nil, make([]byte, 12), plain, bucketAAD(c.identity.fleet, record.Key))
	return record, replaced
}

func bucketRange(p wire.Partition, n uint16, epoch uint64) Range {
	key := keyBucket(p, n, epoch)
	return Range{key, after(key)}
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
	manifest := c.manifestRecord(c.newManifest(r.marks))
	out := Persist{
		Deletes: append(r.replaced, Range{[]byte(keyNextEpoch), after([]byte(keyNextEpoch))}),
		// Raft's state, too: its stored commit may be older than the base, if the writes since only moved it.
		Puts: append([]Record{manifest}, c.stateRecords()...),
	}
	mark := manifestMark{epoch: c.epoch, digest: sha256.Sum256(manifest.Value)}
	for i, p := range c.parts {
		n := p.number
		out.Deletes = append(out.Deletes, Range{keyLog(n, 0, 0), keyLog(n, c.epoch.number, r.marks[i].base+1)},
			Range{keyState(n, 0), keyState(n, c.epoch.number)})
		mark.at = max(mark.at, p.now)
	}
	c.persist(out, unsynced{then: func() {
		c.manifest, c.rotation = mark, nil
		for i, p := range c.parts {
			p.rotated(&r.marks[i], r.installs[i])
		}
		c.erasure.key = old.keyID
		c.emit(Retire{old.keyID}) // step 4
	}})
}

// rotated takes notice of a new manifest.
func (p *partition) rotated(mark *partMark, in *install) {
	if mark.id == 0 || p.id != mark.id {
		return // not admitted then
	}
	p.base, p.baseTerm = mark.base, mark.term
	if in != nil {
		p.finishInstall(in)
		return
	}
	keep := max(keepEntries/uint64(len(p.c.parts)), 64)
	for _, o := range p.outgoing {
		keep = max(keep, mark.base-min(mark.base, o.base))
	}
	if mark.base > keep {
		_ = p.storage.Compact(mark.base - keep) // it fails only if that was done before
	}
}

func (c *Core) newManifest(marks []partMark) *manifest {
	i := &c.identity
	m := &manifest{
		fleet: i.fleet, secret: i.secret, epoch: i.epoch, generation: i.generation, policy: i.policy, place: c.place, parts: marks,
	}
	for n, p := range c.parts {
		if marks[n].id == 0 {
			continue
		}
		for k := range p.ledger.list {
			if b := &p.ledger.list[k]; b.epoch != 0 {
				m.buckets = append(m.buckets, bucketMark{p.number, uint16(k), b.epoch, b.key})
			}
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
