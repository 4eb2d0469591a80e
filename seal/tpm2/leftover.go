// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// Remove destroys all keys of a folder, its index in the TPM, and its files. It asks for no auth value but the owner's.
func Remove(ctx context.Context, config Config) error {
	f, err := folder.Open(config.Folder)
	if err != nil {
		return in(config, err)
	}
	defer f.Close()
	if err := removed(ctx, config, f, config.dial); err != nil {
		return in(config, err)
	}
	return nil
}

func removed(ctx context.Context, config Config, f files, open opener) error {
	s := &Sealer{files: f}
	c, err := connect(ctx, open)
	if err != nil {
		return err
	}
	defer c.close()
	if err := s.settle(c, config); err != nil {
		return err
	}
	a, err := readAnchor(s.files, anchorName)
	if err != nil {
		return err
	}
	if a != nil {
		if err := s.undefineReplaced(c, config, a); err != nil {
			return err
		}
		// From here on it is what an interrupted Create leaves.
		if err := rename(s.files, anchorName, nextAnchor); err != nil {
			return err
		}
		if err := s.settle(c, config); err != nil {
			return err
		}
	}
	for _, name := range []string{tableName, nextTable} {
		if err := s.files.Remove(name); err != nil {
			return err
		}
	}
	return s.files.Sync()
}

// Indexes lists what looks like an index of this driver, in use or left behind by a folder that was deleted
// without Remove: the TPM does not know which.
func Indexes(ctx context.Context, config Config) ([]Index, error) {
	c, err := connect(ctx, config.dial)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.indexes()
}

// RemoveIndex removes one of Indexes, and what was sealed under it is lost for ever. Nothing else is removed. The index of a folder
// that is there goes with Remove.
func RemoveIndex(ctx context.Context, config Config, index Index) error {
	c, err := connect(ctx, config.dial)
	if err != nil {
		return err
	}
	defer c.close()
	ours, err := c.indexes()
	if err != nil {
		return err
	}
	if !slices.Contains(ours, index) {
		return fmt.Errorf("%v is no index of this driver's", index)
	}
	name, err := c.nameAt(tpm2.TPMHandle(index))
	if err != nil {
		return err
	}
	owners, err := config.ownersAuth()
	if err != nil {
		return err
	}
	defer clear(owners)
	return c.remove(tpm2.NamedHandle{Handle: tpm2.TPMHandle(index), Name: tpm2.TPM2BName{Buffer: name}}, owners)
}

func (c *chip) indexes() (ours []Index, err error) {
	handles, err := c.handles(firstIndex)
	if err != nil {
		return nil, err
	}
	for _, handle := range handles {
		if uint32(handle)&^indexMask != firstIndex {
			continue
		}
		public, err := tpm2.NVReadPublic{NVIndex: handle}.Execute(c.tpm)
		if errors.Is(err, tpm2.TPMRCHandle) {
			continue // gone by now
		} else if err != nil {
			return nil, err
		}
		if there, err := public.NVPublic.Contents(); err == nil && looksOurs(there) {
			ours = append(ours, Index(handle))
		}
	}
	return ours, nil
}

func looksOurs(there *tpm2.TPMSNVPublic) bool {
	a := anchor{Index: Index(there.NVIndex), AsksAuth: !there.Attributes.NoDA, Policy: there.AuthPolicy.Buffer}
	want := a.public(there.Attributes.Written)
	return slices.Equal(tpm2.Marshal(*there), tpm2.Marshal(want))
}

// naming adds to ErrNVFull what could be removed.
func (c *chip) naming(err error) error {
	if !errors.Is(err, ErrNVFull) {
		return err
	}
	ours, listing := c.indexes()
	if listing != nil || len(ours) == 0 {
		return err
	}
	return fmt.Errorf("%w; those like ours: %v; remove those that no folder's anchor names", err, ours)
}
