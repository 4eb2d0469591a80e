// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// An Observation is what Config.Observe is shown, one of the types below. It is for checkers
// that run beside a core in tests: it holds secrets, and a runner never asks for it.
type Observation any

type (
	// Applied is one operation of a partition's log, after it was applied.
	Applied struct {
		Partition     wire.Partition
		Index         uint64
		Now           wire.UnixMs
		Policy        *wire.Policy
		Account       wire.AccountID
		Before, After string // the account, encoded
		Op            ledger.Op
		Outcome       ledger.Outcome
	}

	// Evaluating is an evaluation that is handed to a worker: its answer may leave the core from here on.
	Evaluating struct {
		Partition wire.Partition
		Account   wire.AccountID
		Charged   *ledger.Charged
		Element   wire.ElementDigest // of what is evaluated
	}

	// Configured is a group as a core holds it from some index on.
	Configured struct {
		Partition        wire.Partition
		Index            uint64
		Self             uint64 // the raft id that this core uses
		Founded          bool
		Voters, Learners []Seat
	}

	// Seat is a member: a raft id and the incarnation that may use it, zero where that is not known.
	Seat struct {
		ID          uint64
		Slot        Slot
		Incarnation Incarnation
	}
)

func (c *Core) observe(o Observation) {
	if c.config.Observe != nil {
		c.config.Observe(o)
	}
}

// observeGroup shows who is in a partition's group, after a change.
func (p *partition) observeGroup() {
	p.c.news++
	if p.c.config.Observe == nil {
		return
	}
	seats := func(ids []uint64) (list []Seat) {
		for _, id := range ids {
			s := Seat{ID: id}
			if m := p.group.member(id); m != nil {
				s.Slot, s.Incarnation = m.slot, m.incarnation
			}
			list = append(list, s)
		}
		return list
	}
	p.c.observe(Configured{p.number, p.applied, p.id, p.group.founded, seats(p.group.conf.GetVoters()), seats(p.group.conf.GetLearners())})
}
