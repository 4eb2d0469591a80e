// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

// accountCheck has ledger's checkers look at the one log that logCheck sees: at each operation by itself (CheckStep), and at each account's whole
// life (History), in which every charged guess counts as one that is evaluated.
type accountCheck struct {
	histories map[wire.AccountID]*ledger.History
}

func newAccountCheck() *accountCheck { return &accountCheck{map[wire.AccountID]*ledger.History{}} }

func (c *accountCheck) applied(o *core.Applied) error {
	before, err := ledger.Decode(o.Before)
	if err != nil {
		return err
	}
	after, err := ledger.Decode(o.After)
	if err != nil {
		return err
	}
	if err := ledger.CheckStep(o.Policy, o.Now, before, after, o.Op, o.Outcome); err != nil {
		return err
	}
	h := c.histories[o.Account]
	if h == nil {
		h = new(ledger.History)
		c.histories[o.Account] = h
	}
	if op, ok := o.Op.(*ledger.Prove); ok && o.Outcome.Proved != nil {
		h.Proved(op.ID)
	}
	if err := h.Saw(after); err != nil {
		return err
	}
	if charged := o.Outcome.Charged; charged != nil {
		return h.Evaluated(charged)
	}
	return nil
}
