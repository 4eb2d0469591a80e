// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/wire"
)

// incarnationCheck checks INV-INCARNATION: in no configuration do two incarnations of a slot vote, no raft id is used by two incarnations once the
// fleet is founded under a policy that forbids it, and no two cores lead one partition in one term. And that every replica has the same
// configuration at the same index.
type incarnationCheck struct {
	strict  bool             // boots have no vote
	leaders map[reign]string // core that leads
	users   map[seat][8]byte
	configs map[place]core.Configured
	newest  map[wire.Partition]core.Configured
}

type reign struct {
	partition wire.Partition
	term      uint64
}

// seat is a raft id of a partition.
type seat struct {
	partition wire.Partition
	id        uint64
}

func newIncarnationCheck(strict bool) *incarnationCheck {
	return &incarnationCheck{
		strict, map[reign]string{}, map[seat][8]byte{}, map[place]core.Configured{}, map[wire.Partition]core.Configured{},
	}
}

// configured takes notice of a configuration that a core has.
func (c *incarnationCheck) configured(o *core.Configured) error {
	slots := map[core.Slot]bool{}
	for _, v := range o.Voters {
		if v.Slot != 0 && slots[v.Slot] {
			return fmt.Errorf("INV-INCARNATION is broken: partition %d, index %d: two incarnations of slot %d vote", o.Partition, o.Index, v.Slot)
		}
		slots[v.Slot] = true
	}
	at := place{o.Partition, o.Index}
	old, known := c.configs[at]
	if known && (!slices.Equal(old.Voters, o.Voters) || !slices.Equal(old.Learners, o.Learners) || old.Founded != o.Founded) {
		return fmt.Errorf("two configurations of partition %d at index %d: %v and %v", o.Partition, o.Index, old, *o)
	}
	c.configs[at] = *o
	if o.Index >= c.newest[o.Partition].Index {
		c.newest[o.Partition] = *o
	}
	return nil
}

// uses takes notice of who uses a raft id.
func (c *incarnationCheck) uses(o *core.Configured, who [8]byte) error {
	if !c.strict || !o.Founded || o.Self == 0 {
		return nil
	}
	at := seat{o.Partition, o.Self}
	if other, used := c.users[at]; used && other != who {
		return fmt.Errorf("INV-INCARNATION is broken: partition %d: two incarnations use the raft id %d", o.Partition, o.Self)
	}
	c.users[at] = who
	return nil
}

// saw takes notice of what a core, named by its start, says of itself after a step.
func (c *incarnationCheck) saw(start string, v view) error {
	for _, p := range v.parts {
		if !p.leads {
			continue
		}
		at := reign{p.partition, p.term}
		if other, led := c.leaders[at]; led && other != start {
			return fmt.Errorf("two cores lead partition %d in term %d: %s and %s", p.partition, p.term, other, start)
		}
		c.leaders[at] = start
	}
	return nil
}

// quorum tells whether those of the newest configurations' voters that pass a test are a majority everywhere.
func (c *incarnationCheck) quorum(lives func(core.Seat) bool) bool {
	for _, o := range c.newest {
		n := 0
		for _, v := range o.Voters {
			if lives(v) {
				n++
			}
		}
		if n <= len(o.Voters)/2 {
			return false
		}
	}
	return true
}
