// SPDX-License-Identifier: Apache-2.0

package core

import (
	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// A command is what an entry of the log holds.
type command struct {
	reading     wire.UnixMs // the proposer's clock
	incarnation uint64      // the core that proposed it, and
	request     uint64      // the request it works on, 0 for none
	account     wire.AccountID
	op          ledger.Op // nil: the entry only tells the time
}

func (m *command) encode() []byte {
	var b cryptobyte.Builder
	b.AddUint64(uint64(m.reading))
	b.AddUint64(m.incarnation)
	b.AddUint64(m.request)
	if m.op != nil {
		b.AddBytes(m.account[:])
		b.AddBytes(ledger.AppendOp(nil, m.op))
	}
	return b.BytesOrPanic()
}

func decodeCommand(encoded []byte) (*command, error) {
	m, s := new(command), cryptobyte.String(encoded)
	if !s.ReadUint64((*uint64)(&m.reading)) || !s.ReadUint64(&m.incarnation) || !s.ReadUint64(&m.request) {
		return nil, damaged("a command cannot be read")
	}
	if s.Empty() {
		return m, nil
	}
	if !s.CopyBytes(m.account[:]) {
		return nil, damaged("a command cannot be read")
	}
	var err error
	if m.op, err = ledger.ParseOp(s); err != nil {
		return nil, damaged("a command cannot be read")
	}
	return m, nil
}

// propose puts a command into the log. Its request, if any, goes on in finish when the command is committed.
func (c *Core) propose(request uint64, account wire.AccountID, op ledger.Op) error {
	m := command{c.now, c.incarnation, request, account, op}
	return c.node.Propose(m.encode())
}

// apply applies committed entries.
func (c *Core) apply(m *raftpb.Message) error {
	for _, e := range m.GetEntries() {
		if err := c.applyEntry(e); err != nil {
			return err
		}
	}
	for _, r := range m.GetResponses() {
		if err := c.node.Step(r); err != nil {
			return err
		}
	}
	return nil
}

func (c *Core) applyEntry(e *raftpb.Entry) error {
	c.applied = e.GetIndex()
	if len(e.GetData()) == 0 { // a new leader's first entry: everything of earlier terms is applied
		c.becomeReady(e.GetTerm())
		return nil
	}
	m, err := decodeCommand(e.GetData())
	if err != nil {
		return err
	}
	c.clock = max(c.clock, m.reading)
	c.now = max(c.now, c.clock)
	if m.op == nil {
		return nil
	}
	b := &c.ledger.list[c.identity.bucketOf(m.account)]
	if c.applied <= b.applied {
		return nil // the snapshot has it; then no request of this incarnation waits for it
	}
	out, err := c.applyOp(b, m)
	if err != nil {
		return err
	}
	if m.incarnation == c.incarnation && m.request != 0 {
		c.committed(m.request, out)
	}
	return nil
}

func (c *Core) applyOp(b *bucket, m *command) (out ledger.Outcome, err error) {
	before := b.get(m.account)
	a, err := ledger.Decode(before)
	if err != nil {
		return out, err
	}
	out = ledger.Apply(&c.identity.policy, c.clock, a, m.op)
	b.applied = c.applied
	after := string(a.Append(nil))
	c.observe(Applied{c.identity.partition, c.applied, c.clock, &c.identity.policy, m.account, before, after, m.op, out})
	if after != before {
		if b.set(m.account, after) {
			c.ledger.count++
		}
	}
	return out, nil
}

// becomeReady lets requests in, once this core leads and has applied all that was committed before.
func (c *Core) becomeReady(term uint64) {
	if s := c.node.BasicStatus(); s.GetTerm() != term || s.SoftState.Lead != raftNode {
		return
	}
	c.ready = true
	if c.rotation != nil && c.manifest.epoch.number != c.epoch.number { // it was interrupted: see Loader.Finish
		c.rotation = c.newRotation()
	}
}

// tick moves the clocks and does what is due.
func (c *Core) tick(in Tick) error {
	c.reading = in.Now
	c.elapsed += in.ElapsedMs
	c.advanceClock(in)
	c.node.Tick()
	c.expireRequests()
	if !c.ready || c.stopping {
		return nil
	}
	c.sweep()
	if uint64(c.now-c.clockAt) >= clockEntryMs {
		c.clockAt = c.now
		_ = c.propose(0, wire.AccountID{}, nil) // a full log is tried again in a minute
	}
	if c.wantsRotation() {
		c.askRotation()
	}
	return nil
}

// advanceClock follows the runner's readings, at most clockRate times as fast and as slow as its clock runs, and never back. A host that sets
// the time of day forward so wins little against a cooldown, and one that holds it keeps nothing waiting for ever; after a stop the
// vault's clock is late for a while, which makes waits longer and never shorter.
func (c *Core) advanceClock(in Tick) {
	if c.now == 0 { // a new fleet
		c.now, c.clockAt, c.manifest.at = in.Now, in.Now, in.Now
	}
	elapsed := wire.UnixMs(min(in.ElapsedMs, 60_000))
	c.now += min(max(in.Now, c.now+elapsed/clockRate)-c.now, clockRate*elapsed)
}

const (
	sweepBuckets = 16 // looked at in one tick
	sweepLimit   = 64 // accounts proposed in one tick
)

// sweep finds accounts in which something is due, so that it happens without anybody asking for it.
func (c *Core) sweep() {
	for found, n := 0, 0; n < sweepBuckets && found < sweepLimit; n++ {
		for _, a := range c.ledger.list[c.sweepAt].accounts {
			if ledger.NextDeadline(a.encoded) <= c.now {
				found++
				if c.propose(0, a.id, &ledger.Expire{}) != nil {
					return
				}
			}
		}
		c.sweepAt = (c.sweepAt + 1) % bucketCount
	}
}
