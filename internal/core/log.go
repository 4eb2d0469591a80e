// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"

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
	seq   uint64
	log   *appended   // or nil
	after []*appended // of any partition, that need nothing stored but what was handed out before
	then  func()      // or nil
}

// appended is what raft wanted stored of a partition.
type appended struct {
	p         *partition
	storage   *storage // that the partition had then
	entries   []*raftpb.Entry
	hard      hardState
	responses []*raftpb.Message // to raft and to peers: that the entries are stored
}

// persist hands records out for storage.
func (c *Core) persist(p Persist, u unsynced) {
	c.lastSeq++
	p.Seq, u.seq = c.lastSeq, c.lastSeq
	if !ruleDurableFirst && u.log != nil {
		_ = u.log.stored()
		u.log = nil
	}
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
	if u.log != nil {
		if err := u.log.stored(); err != nil {
			return err
		}
	}
	for _, a := range u.after {
		if err := a.stored(); err != nil {
			return err
		}
	}
	if u.then != nil {
		u.then()
	}
	return nil
}

// afterWrites lets go of a at once if all that was handed out is durable, or else with the last of it.
func (c *Core) afterWrites(a *appended) {
	if n := len(c.unsynced); n > 0 {
		c.unsynced[n-1].after = append(c.unsynced[n-1].after, a)
	} else if err := a.stored(); err != nil {
		panic("core: " + err.Error()) // raft asked for it
	}
}

// stored takes what is durable into raft's view, and sends what waited for that.
func (a *appended) stored() error {
	if a.p.storage != a.storage {
		return nil // it was given up since
	}
	if err := a.p.storage.Append(a.entries); err != nil {
		return err
	}
	if err := a.p.storage.SetHardState(a.hard.raft()); err != nil {
		return err
	}
	return a.p.respond(a.responses)
}

func (p *partition) respond(responses []*raftpb.Message) error {
	for _, m := range responses {
		if m.GetTo() != p.id {
			p.send(m)
		} else if err := p.node.Step(m); err != nil {
			return err
		}
	}
	return nil
}

// append hands entries, and raft's term and vote, out for storage. A message that only moves the commit index costs no write: that is
// stored with the next one, because it can be found out again. Who waits for such a message waits for the writes before it. But while the fleet is
// founded each is stored: a boot must know that it was.
func (p *partition) append(m *raftpb.Message) {
	if p.install != nil {
		p.held = append(p.held, m)
		return
	}
	commit := p.hard.commit
	if m.Term != nil && m.GetTerm() != 0 {
		p.hard = hardState{m.GetTerm(), m.GetVote(), m.GetCommit()}
	}
	if m.Snapshot != nil {
		p.hard.commit = commit // the stored log ends before the snapshot until that is installed
		p.beginInstall(m)
		return
	}
	if len(m.GetResponses()) == 0 && len(m.GetEntries()) == 0 {
		return
	}
	a := &appended{p, p.storage, m.GetEntries(), p.hard, m.GetResponses()}
	if len(a.entries) == 0 && p.hard.term == p.handed.term && p.hard.vote == p.handed.vote && !p.bootsTrusted() {
		p.c.afterWrites(a)
		return
	}
	p.handed = p.hard
	p.c.persist(p.logRecords(a.entries), unsynced{log: a})
}

// logRecords seals entries, and raft's state with the new last index.
func (p *partition) logRecords(entries []*raftpb.Entry) (out Persist) {
	c := p.c
	if len(entries) > 0 {
		if first := entries[0].GetIndex(); first <= p.lastIndex { // another leader's entries replace some
			out.Deletes = append(out.Deletes, Range{keyLog(p.number, c.epoch.number, first), keyLog(p.number, c.epoch.number+1, 0)})
		}
		p.lastIndex = entries[len(entries)-1].GetIndex()
	}
	for _, e := range entries {
		key := keyLog(p.number, c.epoch.number, e.GetIndex())
		out.Puts = append(out.Puts, Record{key, c.seal(c.epoch.log, encodeEntry(e), c.identity.fleet[:], key)})
	}
	out.Puts = append(out.Puts, p.stateRecord())
	return out
}

func (p *partition) stateRecord() Record {
	c := p.c
	var b cryptobyte.Builder
	for _, v := range []uint64{p.id, p.hard.term, p.hard.vote, p.hard.commit, p.lastIndex} {
		b.AddUint64(v)
	}
	key := keyState(p.number, c.epoch.number)
	return Record{key, c.seal(c.epoch.log, b.BytesOrPanic(), c.identity.fleet[:], key)}
}

func decodeState(encoded []byte) (id uint64, h hardState, lastIndex uint64, err error) {
	s := cryptobyte.String(encoded)
	if !s.ReadUint64(&id) || !s.ReadUint64(&h.term) || !s.ReadUint64(&h.vote) || !s.ReadUint64(&h.commit) || !s.ReadUint64(&lastIndex) || !s.Empty() {
		return 0, h, 0, damaged("raft's state cannot be read")
	}
	return id, h, lastIndex, nil
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
	if !s.ReadUint64(&term) || !s.ReadUint64(&index) || !s.ReadUint8(&kind) || kind > uint8(raftpb.EntryConfChange) {
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
