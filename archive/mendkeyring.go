// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/blob"
)

// mendKeyring makes both copies of the keyring equal to the one that was opened, and returns the names of those it wrote.
func (a *Archive) mendKeyring(ctx context.Context) (mended []string, err error) {
	for copy := 1; copy <= keyCopies; copy++ {
		name := keyName(a.id, a.keyring.Epoch(), copy)
		data, err := readAll(ctx, a.store, name, maxKeyring)
		switch {
		case err == nil && bytes.Equal(data, a.wrapped):
			continue
		case err != nil && !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, ErrDamaged):
			return mended, fmt.Errorf("read %s: %w", name, err)
		}
		if err := a.delete(ctx, name); err != nil {
			return mended, err
		}
		if err := a.put(ctx, name, a.wrapped); err != nil {
			return mended, err
		}
		mended = append(mended, name)
	}
	return mended, nil
}

// dropKeyrings removes the newest keyrings if they are damaged and no head needs them: then they are what is left of a key change
// that tore them and was never finished.
func (r *repair) dropKeyrings(ctx context.Context) error {
	a := r.a
	if a.replaced == nil {
		return nil
	}
	names, err := a.listHeads(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := a.readHead(ctx, n); err != nil {
			return fmt.Errorf("the newest keyring is damaged, and head %s may need it; fetch it from another destination: %w", n, err)
		}
	}
	epochs, err := a.listEpochs(ctx)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		for copy := 1; e > a.keyring.Epoch() && copy <= keyCopies; copy++ {
			name := keyName(a.id, e, copy)
			if err := a.delete(ctx, name); err != nil {
				return err
			}
			r.report.Dropped = append(r.report.Dropped, name)
		}
	}
	a.replaced = nil
	return nil
}

// FetchKeyring mends an archive's keyrings, both copies, from another destination that has them. It needs no key: a keyring
// object says itself whether it is whole, and a forged one does not open. It returns the names of the objects it wrote. To be
// used when Open fails with ErrDamaged; Repair does the rest.
func FetchKeyring(ctx context.Context, store, other blob.Store, id ID) (mended []string, err error) {
	store, other = guard(store), guard(other)
	a := &Archive{store: store, id: id}
	epochs, err := a.listEpochs(ctx)
	if err != nil {
		return nil, err
	}
	looked := map[string]bool{} // what is listed twice is read once
	for info, err := range other.List(ctx, id.String()+"/"+dirKeys) {
		if err != nil {
			return mended, fmt.Errorf("look for the keyring at the other destination: %w", err)
		}
		epoch, ok := parseKeyName(id, info.Name)
		if !ok || looked[info.Name] || len(epochs) > 0 && epoch < epochs[0] { // of an earlier key, which has been shut out here
			continue
		}
		looked[info.Name] = true
		good, err := readAll(ctx, other, info.Name, maxKeyring)
		if err == nil {
			err = checkKeyring(id, epoch, good)
		}
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return mended, err
		}
		have, err := readAll(ctx, store, info.Name, maxKeyring)
		if err == nil && checkKeyring(id, epoch, have) == nil {
			continue
		}
		if err != nil && !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, ErrDamaged) {
			return mended, err
		}
		if err := store.Delete(ctx, info.Name); err != nil && !errors.Is(err, blob.ErrNotFound) {
			return mended, fmt.Errorf("delete %s: %w", info.Name, err)
		}
		if err := store.Put(ctx, info.Name, good); err != nil {
			return mended, fmt.Errorf("write %s: %w", info.Name, err)
		}
		mended = append(mended, info.Name)
	}
	return mended, nil
}
