// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"context"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// Rebind binds the keys of a folder to config.PCRs as they are now, or to none. The keys stay what they are. It must
// run while the machine is still as the keys ask, so: rebind to none, upgrade, rebind. The
// folder must not be open. After an interruption it can be run again.
func Rebind(ctx context.Context, config Config) error {
	f, err := folder.Open(config.Folder)
	if err != nil {
		return in(config, err)
	}
	defer f.Close()
	if err := rebound(ctx, config, f, config.dial); err != nil {
		return in(config, err)
	}
	return nil
}

func rebound(ctx context.Context, config Config, f files, open opener) error {
	if err := checkPCRs(config.PCRs); err != nil {
		return err
	}
	s := &Sealer{turn: make(chan struct{}, 1), files: f, dial: open}
	a, err := readAnchor(f, anchorName)
	if err != nil {
		return err
	}
	if a == nil {
		return ErrUnfinished
	}
	s.anchor = a
	now := config
	now.PCRs = a.PCRs
	if err := a.binds(now); err != nil {
		return err
	}
	operators, err := config.operatorsAuth()
	if err != nil {
		return err
	}
	defer clear(operators)
	s.auth = a.auth(operators)
	return s.with(ctx, func(k *keys) error {
		if err := s.settle(k.chip, config); err != nil {
			return err
		}
		if err := s.undefineReplaced(k.chip, config, a); err != nil {
			return err
		}
		made := newAnchor(k.chip.name, a.AsksAuth, config.PCRs)
		made.Replaces = a
		// The table of the old index stays beside until the new anchor counts.
		if err := s.hang(k.chip, config, made, operators, k.table, nextTable); err != nil {
			return err
		}
		if err := rename(f, nextTable, tableName); err != nil {
			return err
		}
		return s.undefineReplaced(k.chip, config, made)
	})
}

// undefineReplaced removes the index that a rebind came from. Until then the keys could be had under the old binding, too.
func (s *Sealer) undefineReplaced(c *chip, config Config, a *anchor) error {
	if a.Replaces == nil {
		return nil
	}
	owners, err := config.ownersAuth()
	if err != nil {
		return err
	}
	defer clear(owners)
	if err := c.undefine(a.Replaces, owners); err != nil {
		return err
	}
	a.Replaces = nil
	return writeAnchor(s.files, anchorName, a)
}
