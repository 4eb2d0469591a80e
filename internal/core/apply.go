// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// A command is what an entry of the log holds: an operation on an account, a change of the group, or neither, and then it only tells the time.
type command struct {
	reading     wire.UnixMs // the proposer's clock
	incarnation uint64      // the core that proposed it, and
	request     uint64      // the request or operator's command it works on, 0 for none
	account     wire.AccountID
	op          ledger.Op
	change      *change
}

// What a command holds, as its encoding says.
const (
	holdsNothing = 0
	holdsOp      = 1
	holdsChange  = 2
)

func (m *command) encode() []byte {
	var b cryptobyte.Builder
	b.AddUint64(uint64(m.reading))
	b.AddUint64(m.incarnation)
	b.AddUint64(m.request)
	switch {
	case m.op != nil:
		b.AddUint8(holdsOp)
		b.AddBytes(m.account[:])
		b.AddBytes(ledger.AppendOp(nil, m.op))
	case m.change != nil:
		b.AddUint8(holdsChange)
		m.change.add(&b)
	default:
		b.AddUint8(holdsNothing)
	}
	return b.BytesOrPanic()
}

func decodeCommand(encoded []byte) (*command, error) {
	m, s := new(command), cryptobyte.String(encoded)
	var holds uint8
	ok := s.ReadUint64((*uint64)(&m.reading)) && s.ReadUint64(&m.incarnation) && s.ReadUint64(&m.request) && s.ReadUint8(&holds)
	switch {
	case ok && holds == holdsNothing:
		ok = s.Empty()
	case ok && holds == holdsOp && s.CopyBytes(m.account[:]):
		var err error
		m.op, err = ledger.ParseOp(s)
		ok = err == nil
	case ok && holds == holdsChange:
		m.change = new(change)
		ok = m.change.read(&s)
	default:
		ok = false
	}
	if !ok {
		return nil, damaged("a command cannot be read")
	}
	return m, nil
}

// propose puts an operation into the log. Its request, if any, goes on in committed when it is committed.
func (p *partition) propose(request uint64, account wire.AccountID, op ledger.Op) error {
	m := command{reading: p.now, incarnation: p.c.incarnation, request: request, account: account, op: op}
	return p.node.Propose(m.encode())
}

// proposeChange puts a change of the group into the log.
func (p *partition) proposeChange(request uint64, ch *change) error {
	m := command{reading: p.now, incarnation: p.c.incarnation, request: request, change: ch}
	return p.node.Propose(m.encode())
}

// apply applies committed entries.
func (p *partition) apply(m *raftpb.Message) error {
	for _, e := range m.GetEntries() {
		if err := p.applyEntry(e); err != nil {
			return err
		}
	}
	for _, r := range m.GetResponses() {
		if err := p.node.Step(r); err != nil {
			return err
		}
	}
	return nil
}

func (p *partition) applyEntry(e *raftpb.Entry) error {
	p.applied = e.GetIndex()
	if e.GetType() == raftpb.EntryConfChange {
		return p.applyConfChange(e)
	}
	if len(e.GetData()) == 0 { // a new leader's first entry: everything of earlier terms is applied
		p.becomeReady(e.GetTerm())
		return nil
	}
	m, err := decodeCommand(e.GetData())
	if err != nil {
		return err
	}
	p.clock = max(p.clock, m.reading)
	p.now = max(p.now, p.clock)
	switch {
	case m.change != nil:
		p.applyChange(m)
		return nil
	case m.op == nil:
		return nil
	}
	b := &p.ledger.list[p.c.identity.bucketOf(m.account)]
	if p.applied <= b.applied {
		return nil // the snapshot has it; then no request of this incarnation waits for it
	}
	out, err := p.applyOp(b, m)
	if err != nil {
		return err
	}
	if m.incarnation == p.c.incarnation && m.request != 0 {
		p.c.committed(m.request, out)
	}
	return nil
}

func (p *partition) applyOp(b *bucket, m *command) (out ledger.Outcome, err error) {
	before := b.get(m.account)
	a, err := ledger.Decode(before)
	if err != nil {
		return out, err
	}
	out = applyOp(&p.c.identity.policy, p.clock, a, m.op)
	b.applied = p.applied
	after := string(a.Append(nil))
	p.c.observe(Applied{p.number, p.applied, p.clock, &p.c.identity.policy, m.account, before, after, m.op, out})
	if after != before {
		if b.set(m.account, after) {
			p.ledger.count++
		}
	}
	return out, nil
}

// tick moves the clocks and does what is due.
func (c *Core) tick(in Tick) error {
	c.reading = in.Now
	c.elapsed += in.ElapsedMs
	for _, p := range c.parts {
		p.advanceClock(in)
		if p.node != nil {
			p.node.Tick()
		}
		p.tickTransfers()
	}
	c.tickPeers()
	c.expireRequests()
	c.expireAdmins()
	if c.stopping || len(c.parts) == 0 {
		return nil
	}
	for _, p := range c.parts {
		p.lead()
	}
	c.sweepPart = (c.sweepPart + 1) % len(c.parts)
	c.parts[c.sweepPart].sweep()
	c.noteChanges()
	if c.wantsRotation() {
		c.askRotation()
	}
	return nil
}

// lead does what only a leader does, now and then.
func (p *partition) lead() {
	if !p.ready {
		return
	}
	if uint64(p.now-p.clockAt) >= clockEntryMs {
		p.clockAt = p.now
		_ = p.propose(0, wire.AccountID{}, nil) // a full log is tried again in a minute
	}
	if p.number == 0 {
		p.c.ownHost()
	}
	p.reconcile()
}

// advanceClock follows the readings of a quorum, at most clockRate times as fast and as slow as the runner's clock runs, and never back. A host that sets
// the time of day forward so wins little against a cooldown, and one that holds it keeps nothing waiting for ever; after a stop the
// vault's clock is late for a while, which makes waits longer and never shorter. Who does not lead believes no reading.
func (p *partition) advanceClock(in Tick) {
	if p.now == 0 && p.base == firstIndex { // a new fleet
		p.now, p.clockAt = in.Now, in.Now
		p.c.manifest.at = max(p.c.manifest.at, in.Now)
	}
	elapsed := wire.UnixMs(min(in.ElapsedMs, 60_000))
	if !p.ready {
		p.now += elapsed
		return
	}
	p.now += min(max(p.quorumReading(), p.now+elapsed/clockRate)-p.now, clockRate*elapsed)
}

// quorumReading returns a time of day that at least as many voters have reached as make a quorum. Who was not heard of lately counts as late:
// waits become longer, never shorter.
func (p *partition) quorumReading() wire.UnixMs {
	voters := p.group.conf.GetVoters()
	readings := make([]wire.UnixMs, 0, len(voters))
	for _, id := range voters {
		switch s := p.sessionOf(id); {
		case id == p.id:
			readings = append(readings, p.c.reading)
		case s != nil:
			readings = append(readings, s.readingNow(p.c.elapsed))
		default:
			readings = append(readings, 0)
		}
	}
	slices.Sort(readings)
	return readings[len(readings)-(len(readings)/2+1)]
}

const (
	sweepBuckets = 16 // looked at in one tick
	sweepLimit   = 64 // accounts proposed in one tick
)

// sweep finds accounts in which something is due, so that it happens without anybody asking for it.
func (p *partition) sweep() {
	if !p.ready {
		return
	}
	for found, n := 0, 0; n < sweepBuckets && found < sweepLimit; n++ {
		for _, a := range p.ledger.list[p.sweepAt].accounts {
			if ledger.NextDeadline(a.encoded) <= p.now {
				found++
				if p.propose(0, a.id, &ledger.Expire{}) != nil {
					return
				}
			}
		}
		p.sweepAt = (p.sweepAt + 1) % len(p.ledger.list)
	}
}
