// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

const maxKeyring = 64 << 10

// openKeyring finds the newest keyring that the key opens. Each epoch has two copies; one of them is enough.
func (a *Archive) openKeyring(ctx context.Context, key Key) error {
	epochs, err := a.listEpochs(ctx)
	if err != nil {
		return err
	}
	if len(epochs) == 0 {
		return ErrNoArchive
	}
	var wrong, broken error
	for _, epoch := range epochs {
		kr, err := a.readKeyring(ctx, epoch, key)
		switch {
		case err == nil:
			if wrong != nil {
				a.replaced = errKeyReplaced
			} else {
				a.replaced = broken // nil, or the newest keyring is damaged: reading is safe, writing under an old epoch is not
			}
			a.keyring, a.older = kr, epochs[len(epochs)-1] < epoch
			return nil
		case errors.Is(err, ErrWrongKey):
			wrong = err
		case errors.Is(err, ErrDamaged):
			broken = err
		default:
			return err
		}
	}
	if wrong != nil && broken != nil {
		return fmt.Errorf("%w, or the right one for a keyring that cannot be read: %w", wrong, broken)
	}
	return cmp.Or(wrong, broken)
}

// listEpochs returns the epochs that have a keyring, newest first.
func (a *Archive) listEpochs(ctx context.Context) ([]uint32, error) {
	var epochs []uint32
	for info, err := range a.store.List(ctx, a.name(dirKeys, "")) {
		if err != nil {
			return nil, fmt.Errorf("look for the archive's keyring: %w", err)
		}
		if e, ok := parseKeyName(a.id, info.Name); ok && !slices.Contains(epochs, e) {
			epochs = append(epochs, e)
		}
	}
	slices.Sort(epochs)
	slices.Reverse(epochs)
	return epochs, nil
}

func (a *Archive) readKeyring(ctx context.Context, epoch uint32, key Key) (*format.Keyring, error) {
	var first error
	for copy := 1; copy <= keyCopies; copy++ {
		kr, err := a.readKeyringCopy(ctx, epoch, copy, key)
		if err == nil || !lost(err) && !errors.Is(err, ErrVersion) { // an altered byte can look like a newer version
			return kr, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (a *Archive) readKeyringCopy(ctx context.Context, epoch uint32, copy int, key Key) (*format.Keyring, error) {
	name := keyName(a.id, epoch, copy)
	data, err := readAll(ctx, a.store, name, maxKeyring)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fmt.Errorf("%w: keyring %s is missing", ErrDamaged, name)
	}
	if err != nil {
		return nil, &objectError{name, err}
	}
	kr, err := format.UnwrapKeyring(a.id, key, data)
	if err == nil && kr.Epoch() != epoch {
		err = fmt.Errorf("%w: it is of epoch %d", ErrDamaged, kr.Epoch())
	}
	if err == nil {
		a.wrapped = data
	}
	if err != nil && !errors.Is(err, ErrWrongKey) {
		err = fmt.Errorf("keyring %s: %w", name, err)
	}
	return kr, err
}

// putKeyring stores a keyring under a key. Who finds the first copy there already has lost against another device, unless it is
// his own: a repeated Put whose first answer was lost.
func (a *Archive) putKeyring(ctx context.Context, kr *format.Keyring, key Key) error {
	data := kr.Wrap(key)
	for copy := 1; copy <= keyCopies; copy++ {
		name := keyName(a.id, kr.Epoch(), copy)
		err := a.store.Put(ctx, name, data)
		if errors.Is(err, blob.ErrExists) {
			if there, err2 := readAll(ctx, a.store, name, maxKeyring); err2 == nil && bytes.Equal(there, data) {
				err = nil
			}
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		a.addedObjects.Add(1)
		a.addedBytes.Add(int64(len(data)))
	}
	a.keyring, a.wrapped = kr, data
	return nil
}

// checkEpoch refuses to write under a master key that is not the newest: the key may have been changed since the archive was
// opened.
func (a *Archive) checkEpoch(ctx context.Context) error {
	if a.replaced != nil {
		return a.replaced
	}
	epochs, err := a.listEpochs(ctx)
	if err == nil && len(epochs) > 0 && epochs[0] > a.keyring.Epoch() {
		err = errKeyReplaced
	}
	return err
}

var errKeyReplaced = fmt.Errorf("%w: it still opens what was written before the change; use the new key", ErrKeyReplaced)

// ChangeKey makes next the archive's key and adds a new master key for all that is written from now on. Nothing is uploaded
// again. The caller must have stored next durably before.
//
// It does not take back what was given away: whoever has the old key and a copy of the old keyring object reads what was
// written before the change.
//
// A crash leaves both keys working; ChangeKey with the same next, on an archive opened with either, then finishes.
// ErrConcurrent: another device has changed the key meanwhile.
func (a *Archive) ChangeKey(ctx context.Context, next Key) error {
	if err := a.checkHeads(); err != nil {
		return err
	}
	epochs, err := a.listEpochs(ctx)
	if err != nil {
		return err
	}
	if len(epochs) == 0 {
		return ErrNoArchive
	}
	kr, err := a.readKeyring(ctx, epochs[0], next)
	switch {
	case err == nil: // an earlier try came so far
		a.keyring, a.replaced = kr, nil
		if _, err := a.mendKeyring(ctx); err != nil {
			return err
		}
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("the newest keyring is damaged; run repair first: %w", err)
	case !errors.Is(err, ErrWrongKey):
		return err
	case epochs[0] != a.keyring.Epoch():
		return fmt.Errorf("%w: the key was changed by another device", ErrConcurrent)
	case epochs[0] == format.MaxEpochs:
		return fmt.Errorf("the key was changed %d times, which is as often as it can be; begin a new archive", format.MaxEpochs-1)
	default:
		err := a.putKeyring(ctx, a.keyring.Next(), next)
		if errors.Is(err, blob.ErrExists) {
			return fmt.Errorf("%w: the key was changed by another device", ErrConcurrent)
		}
		if err != nil {
			return err
		}
	}
	// The new keyring is durable. From here on the old key is only removed.
	if err := a.commit(ctx, func(*format.Head) error { return nil }); err != nil {
		return err
	}
	return a.removeKeyrings(ctx, a.keyring.Epoch())
}

// removeKeyrings deletes the keyrings of epochs before the given one.
func (a *Archive) removeKeyrings(ctx context.Context, before uint32) error {
	epochs, err := a.listEpochs(ctx)
	if err != nil {
		return err
	}
	for _, e := range epochs {
		for copy := 1; e < before && copy <= keyCopies; copy++ {
			if err := a.delete(ctx, keyName(a.id, e, copy)); err != nil {
				return err
			}
		}
	}
	return nil
}
