// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"golang.org/x/crypto/cryptobyte"
)

// hardState is raft's term, vote and commit index.
type hardState struct{ term, vote, commit uint64 }

func (h hardState) raft() *raftpb.HardState {
	return &raftpb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}
}

// unsynced is what waits for a Persist to be durable. Whatever depends on that durability is in here and nowhere else, and
// only the matching Durable takes it out.
type unsynced struct {
	seq       uint64
	entries   []*raftpb.Entry
	hard      hardState
	responses []*raftpb.Message // to raft, that the entries are stored
	then      func()            // or nil
}

// persist hands records out for storage.
func (c *Core) persist(p Persist, u unsynced) {
	c.lastSeq++
	p.Seq, u.seq = c.lastSeq, c.lastSeq
	u.hard = c.hard
	c.unsynced = append(c.unsynced, u)
	c.emit(p)
}

// durable lets go what waited for a Persist.
func (c *Core) durable(seq uint64) error {
	if len(c.unsynced) == 0 || c.unsynced[0].seq != seq {
		return fmt.Errorf("core: the host says that write %d is durable, out of turn", seq)
	}
	u := c.unsynced[0]
	c.unsynced = c.unsynced[1:]
	if err := c.storage.Append(u.entries); err != nil {
		return err
	}
	if err := c.storage.SetHardState(u.hard.raft()); err != nil {
		return err
	}
	for _, m := range u.responses {
		if err := c.node.Step(m); err != nil {
			return err
		}
	}
	if u.then != nil {
		u.then()
	}
	return nil
}

// drain does what raft wants done, until it wants nothing more.
func (c *Core) drain() error {
	for c.node.HasReady() {
		ready := c.node.Ready()
		for _, m := range ready.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				c.append(m)
			case raft.LocalApplyThread:
				if err := c.apply(m); err != nil {
					return err
				}
			default:
				return fmt.Errorf("core: a message to node %d, in a group of one", m.GetTo())
			}
		}
		for _, r := range ready.ReadStates {
			c.readable(binary.BigEndian.Uint64(r.RequestCtx), r.Index)
		}
	}
	return nil
}

// append hands entries and raft's state out for storage. A message that nobody waits for
// only moves the commit index: that is stored with the next one, because it can be found out again.
func (c *Core) append(m *raftpb.Message) {
	if m.Term != nil && m.GetTerm() != 0 {
		c.hard = hardState{m.GetTerm(), m.GetVote(), m.GetCommit()}
	}
	if len(m.GetResponses()) == 0 && len(m.GetEntries()) == 0 {
		return
	}
	c.persist(c.logRecords(m.GetEntries()), unsynced{entries: m.GetEntries(), responses: m.GetResponses()})
}

// logRecords seals entries, and raft's state with the new last index.
func (c *Core) logRecords(entries []*raftpb.Entry) (p Persist) {
	if len(entries) > 0 {
		if first := entries[0].GetIndex(); first <= c.lastIndex { // another leader's entries replace some
			p.Deletes = append(p.Deletes, Range{keyLog(c.epoch.number, first), keyLog(c.epoch.number+1, 0)})
		}
		c.lastIndex = entries[len(entries)-1].GetIndex()
	}
	for _, e := range entries {
		key := keyLog(c.epoch.number, e.GetIndex())
		p.Puts = append(p.Puts, Record{key, c.seal(c.epoch.log, encodeEntry(e), c.identity.fleet[:], key)})
	}
	p.Puts = append(p.Puts, c.stateRecord())
	return p
}

func (c *Core) stateRecord() Record {
	var b cryptobyte.Builder
	for _, v := range []uint64{c.hard.term, c.hard.vote, c.hard.commit, c.lastIndex} {
		b.AddUint64(v)
	}
	key := keyState(c.epoch.number)
	return Record{key, c.seal(c.epoch.log, b.BytesOrPanic(), c.identity.fleet[:], key)}
}

func decodeState(encoded []byte) (h hardState, lastIndex uint64, err error) {
	s := cryptobyte.String(encoded)
	if !s.ReadUint64(&h.term) || !s.ReadUint64(&h.vote) || !s.ReadUint64(&h.commit) || !s.ReadUint64(&lastIndex) || !s.Empty() {
		return h, 0, damaged("raft's state cannot be read")
	}
	return h, lastIndex, nil
}

func encodeEntry(e *raftpb.Entry) []byte {
	var b cryptobyte.Builder
	b.AddUint64(e.GetTerm())
	b.AddUint64(e.GetIndex())
	b.AddUint8(uint8(e.GetType()))
	b.AddBytes(e.GetData())
	return b.BytesOrPanic()
}

func decodeEntry(encoded []byte) (*raftpb.Entry, error) {
	s := cryptobyte.String(encoded)
	var term, index uint64
	var kind uint8
	if !s.ReadUint64(&term) || !s.ReadUint64(&index) || !s.ReadUint8(&kind) || kind != uint8(raftpb.EntryNormal) {
		return nil, damaged("a log entry cannot be read")
	}
	t := raftpb.EntryType(kind)
	return &raftpb.Entry{Term: &term, Index: &index, Type: &t, Data: append([]byte(nil), s...)}, nil
}

// quiet keeps raft from writing logs, and lets its broken invariants stop the core.
type quiet struct{}

func (quiet) Debug(...any)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Error(...any)            {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Info(...any)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Fatal(v ...any)          { panic(fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) {
	panic(fmt.Sprintf(f, v...))
}
func (quiet) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
