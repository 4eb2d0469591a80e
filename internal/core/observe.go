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
)

func (c *Core) observe(o Observation) {
	if c.config.Observe != nil {
		c.config.Observe(o)
	}
}
