// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"
	"google.golang.org/protobuf/proto"

	"github.com/coffer-backup/coffer/wire"
)

// A snapshot goes to a replica that is too far behind for the log. It is made while it is sent: raft's message, with the group at the base index,
// comes first, then the buckets one after the other as they are by then, each with the index up to which it is applied. What a bucket
// has from after the base is committed, so the receiver meets those entries again in the log and skips them. It goes in chunks, of which only
// a window is under way.
const (
	chunkSize    = 128 << 10
	chunkWindow  = 8
	chunkAgainMs = 1_000  // without progress, after which the window is sent again
	transferMs   = 10_000 // and after which the transfer is given up: raft begins another
	maxOutgoing  = 64     // chunks of all transfers at once: 8 large ones, or many small ones
	maxLagFactor = 4      // of the log's bound, after which a transfer is given up that holds the log back
	maxBucket    = 64 << 20
)

type transferID [8]byte

// outgoing is a snapshot that is being sent.
type outgoing struct {
	to      uint64
	id      transferID
	base    uint64
	buffer  []byte   // that is not cut into chunks
	next    int      // bucket
	window  [][]byte // sent, and not acknowledged
	first   uint64   // number of the first one of the window
	ended   bool     // all is in the window
	at, got uint64   // elapsed at the last sending, and at the last progress
}

// makeSnapshot gives raft what a snapshot begins with.
func (p *partition) makeSnapshot() (*raftpb.Snapshot, error) {
	var b cryptobyte.Builder
	b.AddUint64(uint64(p.clock))
	p.group.add(&b)
	index, term := p.applied, p.termOf(p.applied)
	return &raftpb.Snapshot{Data: b.BytesOrPanic(), Metadata: &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: p.group.conf}}, nil
}

// beginOutgoing begins to send a snapshot to who a message of raft's is for.
func (p *partition) beginOutgoing(l *link, m *raftpb.Message) {
	under := 0
	for _, o := range p.c.parts {
		for _, t := range o.outgoing {
			under += t.chunks()
		}
	}
	body, err := proto.Marshal(m)
	if l == nil || err != nil || under+chunkWindow > maxOutgoing {
		p.node.ReportSnapshot(m.GetTo(), raft.SnapshotFailure)
		return
	}
	p.outgoing = slices.DeleteFunc(p.outgoing, func(o *outgoing) bool { return o.to == m.GetTo() })
	o := &outgoing{to: m.GetTo(), base: m.GetSnapshot().GetMetadata().GetIndex(), got: p.c.elapsed}
	p.c.entropy.fill(o.id[:])
	o.buffer = binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	o.buffer = append(o.buffer, body...)
	p.outgoing = append(p.outgoing, o)
	p.pump(o)
}

// chunks is how many a transfer may hold from now on.
func (o *outgoing) chunks() int {
	if o.ended {
		return len(o.window)
	}
	return chunkWindow
}

// pump fills the window.
func (p *partition) pump(o *outgoing) {
	l := p.sessionOf(o.to)
	if l == nil {
		return
	}
	for len(o.window) < chunkWindow && !o.ended {
		for len(o.buffer) < p.c.stepBytes(chunkSize) && o.next < len(p.ledger.list) {
			o.buffer = appendBucket(o.buffer, o.next, &p.ledger.list[o.next])
			o.next++
		}
		n := min(len(o.buffer), p.c.stepBytes(chunkSize))
		o.ended = n == len(o.buffer) && o.next == len(p.ledger.list)
		o.window = append(o.window, o.buffer[:n:n])
		o.buffer = o.buffer[n:]
		p.sendChunk(l, o, len(o.window)-1)
	}
}

func appendBucket(to []byte, n int, b *bucket) []byte {
	if len(b.accounts) == 0 {
		return to
	}
	encoded := b.encode()
	to = binary.BigEndian.AppendUint16(to, uint16(n))
	to = binary.BigEndian.AppendUint32(to, uint32(len(encoded)))
	return append(to, encoded...)
}

func (p *partition) sendChunk(l *link, o *outgoing, i int) {
	o.at = p.c.elapsed
	var b cryptobyte.Builder
	b.AddBytes(o.id[:])
	b.AddUint64(o.first + uint64(i))
	b.AddUint8(bit(o.ended && i == len(o.window)-1))
	b.AddBytes(o.window[i])
	p.put(l, itemChunk, b.BytesOrPanic())
}

// takeAck takes how much of a transfer is there.
func (p *partition) takeAck(l *link, body cryptobyte.String) {
	var id transferID
	var next uint64
	if !body.CopyBytes(id[:]) || !body.ReadUint64(&next) {
		return
	}
	i := slices.IndexFunc(p.outgoing, func(o *outgoing) bool { return o.id == id })
	if i < 0 {
		return
	}
	o := p.outgoing[i]
	if m := p.group.member(o.to); m == nil || !p.speaksFor(l, m) || next <= o.first || next > o.first+uint64(len(o.window)) {
		return
	}
	o.window, o.first, o.got = o.window[next-o.first:], next, p.c.elapsed
	if p.pump(o); o.ended && len(o.window) == 0 {
		p.outgoing = slices.Delete(p.outgoing, i, i+1)
		p.node.ReportSnapshot(o.to, raft.SnapshotFinish)
	}
}

// tickTransfers sends again what seems to be lost, and gives up what makes no progress or holds the log back for too long.
func (p *partition) tickTransfers() {
	if in := p.incoming; in != nil && p.install == nil && p.c.elapsed-in.at > transferMs {
		p.incoming = nil
	}
	p.outgoing = slices.DeleteFunc(p.outgoing, func(o *outgoing) bool {
		lag := p.applied - min(p.applied, o.base)
		if p.c.elapsed-o.got > transferMs || lag > maxLagFactor*p.c.config.RotateEntries {
			p.node.ReportSnapshot(o.to, raft.SnapshotFailure)
			return true
		}
		return false
	})
	for _, o := range p.outgoing {
		l := p.sessionOf(o.to)
		if l == nil || p.c.elapsed-o.at < chunkAgainMs {
			continue
		}
		for i := range o.window {
			p.sendChunk(l, o, i)
		}
		p.pump(o)
	}
}

// incoming is a snapshot that is being received.
type incoming struct {
	from    Incarnation
	id      transferID
	next    uint64 // chunk
	at      uint64 // elapsed
	buffer  []byte
	message *raftpb.Message // once it is there
	ledger  buckets
	stepped bool // raft has been told
}

// takeChunk takes a part of a snapshot, from a leader.
func (p *partition) takeChunk(l *link, body cryptobyte.String) error {
	var id transferID
	var n uint64
	var last uint8
	if !body.CopyBytes(id[:]) || !body.ReadUint64(&n) || !body.ReadUint8(&last) || len(body) > chunkSize || p.node == nil || p.install != nil {
		return nil
	}
	in := p.incoming
	if in == nil || in.id != id || in.from != l.incarnation {
		if n != 0 {
			return nil
		}
		in = &incoming{from: l.incarnation, id: id, ledger: newBuckets(uint16(len(p.ledger.list)))}
		p.incoming = in
	}
	if n == in.next && !in.stepped {
		in.next++
		in.at = p.c.elapsed
		in.buffer = append(in.buffer, body...)
		if !in.read(p) {
			p.incoming = nil // no core of this version sends that
			return nil
		}
		if last == 1 && len(in.buffer) == 0 && in.message != nil {
			if err := p.received(l, in); err != nil {
				return err
			}
		}
	}
	p.put(l, itemAck, binary.BigEndian.AppendUint64(id[:], in.next))
	return nil
}

// read takes whole parts out of the buffer.
func (in *incoming) read(p *partition) bool {
	rest := cryptobyte.String(in.buffer)
	for {
		s := rest
		var number uint16
		var size uint32
		if in.message != nil && !s.ReadUint16(&number) || !s.ReadUint32(&size) {
			break
		}
		if size > maxBucket || int(number) >= len(in.ledger.list) {
			return false
		}
		var part []byte
		if uint64(size) > uint64(len(s)) || !s.ReadBytes(&part, int(size)) {
			break
		}
		if in.message == nil {
			in.message = new(raftpb.Message)
			if proto.Unmarshal(part, in.message) != nil || in.message.GetType() != raftpb.MsgSnap {
				return false
			}
		} else {
			b := &in.ledger.list[number]
			if len(b.accounts) > 0 || b.decode(part) != nil {
				return false
			}
			b.dirty = true
			in.ledger.count += uint64(len(b.accounts))
		}
		rest = s
	}
	in.buffer = append(in.buffer[:0], rest...)
	return true
}

// received gives raft a snapshot that is complete. Raft takes it, or is ahead of it.
func (p *partition) received(l *link, in *incoming) error {
	m := in.message
	if !p.mayUse(l, m.GetFrom()) || m.GetTo() != p.id {
		p.incoming = nil
		return nil
	}
	in.stepped = true
	p.step(m)
	return p.drain()
}

// install is a snapshot that raft has taken. It lasts until the manifest that has it is durable.
type install struct {
	snapshot  *raftpb.Snapshot
	ledger    buckets
	clock     wire.UnixMs
	group     group
	responses []*raftpb.Message
}

// beginInstall has a snapshot made durable by the next rotation, and holds what raft wants stored after it.
func (p *partition) beginInstall(m *raftpb.Message) {
	in := p.incoming
	if in == nil || !in.stepped || in.message.GetSnapshot().GetMetadata().GetIndex() != m.GetSnapshot().GetMetadata().GetIndex() {
		panic("core: raft wants a snapshot stored that did not come")
	}
	s := cryptobyte.String(m.GetSnapshot().GetData())
	p.install = &install{snapshot: m.GetSnapshot(), ledger: in.ledger, responses: m.GetResponses()}
	if !s.ReadUint64((*uint64)(&p.install.clock)) || !p.install.group.read(&s) || !s.Empty() {
		panic("core: a snapshot's group cannot be read")
	}
	p.incoming = nil
	p.c.rotateSoon = true
}

// swap puts what is installed in place of what was there, and returns the records of that.
func (p *partition) swap() (replaced []Range) {
	in, meta := p.install, p.install.snapshot.GetMetadata()
	for n := range p.ledger.list {
		old, b := &p.ledger.list[n], &in.ledger.list[n]
		if old.epoch != 0 {
			replaced = append(replaced, bucketRange(p.number, uint16(n), old.epoch))
		}
		if b.applied = max(b.applied, meta.GetIndex()); !ruleMarkInstalled {
			b.applied = meta.GetIndex()
		}
	}
	p.ledger, p.group = in.ledger, in.group
	if p.group.founded {
		p.world = p.group.world
	}
	p.clock = max(p.clock, in.clock)
	p.now = max(p.now, p.clock)
	p.applied, p.lastIndex = meta.GetIndex(), meta.GetIndex()
	p.base, p.baseTerm = meta.GetIndex(), meta.GetTerm()
	p.hard.commit = max(p.hard.commit, meta.GetIndex())
	p.observeGroup()
	p.tellLeader()
	return replaced
}

// finishInstall tells raft that the snapshot is durable, and stores what came after it.
func (p *partition) finishInstall(in *install) {
	held := p.held
	p.install, p.held = nil, nil
	if err := p.storage.ApplySnapshot(in.snapshot); err != nil {
		panic("core: " + err.Error()) // raft took it, so it is newer than what is there
	}
	if err := p.storage.SetHardState(p.hard.raft()); err != nil {
		panic("core: " + err.Error())
	}
	if err := p.respond(in.responses); err != nil {
		panic("core: " + err.Error())
	}
	for _, m := range held {
		p.append(m)
	}
}
