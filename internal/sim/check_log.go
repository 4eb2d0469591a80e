// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// logCheck checks state machine safety: what is applied at an index of a partition is the same on every replica, in every incarnation, for ever; and
// what it is applied to is what the indexes before it left, also after a snapshot.
type logCheck struct {
	entries map[place]entry
	latest  map[wire.AccountID]state
}

type place struct {
	partition wire.Partition
	index     uint64
}

type entry struct {
	account       wire.AccountID
	now           wire.UnixMs
	op            []byte
	before, after string
}

type state struct {
	place   place
	encoded string
}

func newLogCheck() *logCheck {
	return &logCheck{map[place]entry{}, map[wire.AccountID]state{}}
}

// applied takes notice of an operation, and tells whether no replica had applied it before.
func (c *logCheck) applied(o *core.Applied) (first bool, err error) {
	at := place{o.Partition, o.Index}
	new := entry{o.Account, o.Now, ledger.AppendOp(nil, o.Op), o.Before, o.After}
	if old, ok := c.entries[at]; ok {
		return false, old.compare(at, new)
	}
	last, known := c.latest[o.Account]
	switch {
	case known && last.place.partition != o.Partition:
		return true, fmt.Errorf("INV-ACCOUNT is broken: %x lives in partitions %d and %d", o.Account[:4], last.place.partition, o.Partition)
	case known && last.place.index > o.Index:
		return true, fmt.Errorf("the log of partition %d has an entry at %d which was skipped before %d", o.Partition, o.Index, last.place.index)
	case last.encoded != o.Before:
		return true, fmt.Errorf("partition %d, index %d: the account is not what index %d left", o.Partition, o.Index, last.place.index)
	}
	c.entries[at], c.latest[o.Account] = new, state{at, o.After}
	return true, nil
}

func (e entry) compare(at place, other entry) error {
	switch {
	case e.account != other.account || !bytes.Equal(e.op, other.op):
		return fmt.Errorf("two logs: partition %d, index %d has two operations", at.partition, at.index)
	case e.now != other.now:
		return fmt.Errorf("two logs: partition %d, index %d is applied at %d and at %d", at.partition, at.index, e.now, other.now)
	case e.before != other.before || e.after != other.after:
		return fmt.Errorf("two states: partition %d, index %d makes different accounts", at.partition, at.index)
	}
	return nil
}
