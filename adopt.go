// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/internal/durable"
)

// Adopt sets up this device to continue an archive that is there already: what
// one does after a restore on a new phone. Nothing is uploaded again. A zero id
// means the one archive at the destination that the key opens. On a device that is set up for the same
// archive it replaces source, destination, rules and key, so it also serves after a move of either.
// It returns the archive's head; that it is the newest one is unproven, unless RecoverKey has learned of the archive. After
// RecoverKey with the same key, its registration becomes this device's own, and, on the same Device, its password the one that CheckPassword knows.
//
// Errors: ErrEnabled if the device is set up for another archive, ErrBusy, ErrSource, ErrDestination,
// those of archive.Open and of the destination.
func (d *Device) Adopt(ctx context.Context, s Setup, id ID, key Key) (archive.Head, error) {
	unlock, err := d.lock("init")
	if err != nil {
		return archive.Head{}, err
	}
	defer unlock()
	if err := d.check(&s); err != nil {
		return archive.Head{}, err
	}
	old, err := d.Config()
	if err != nil && !errors.Is(err, ErrNotEnabled) {
		return archive.Head{}, err
	}
	c := d.config(s)
	if err == nil {
		c.Device, c.Created = old.Device, old.Created
		if id.IsZero() {
			id = old.Archive
		} else if id != old.Archive {
			return archive.Head{}, fmt.Errorf("%w, for the archive %s", ErrEnabled, old.Archive)
		}
	}
	c.Archive = id
	opened, err := d.openToAdopt(ctx, c, s.AcceptOlder, key)
	if err != nil {
		return archive.Head{}, err
	}
	defer opened.close()
	main := opened.newest(false)
	c.Archive = main.archive.ID()
	if err := d.o.Keys.Save(keyName(c), key); err != nil {
		return archive.Head{}, err
	}
	// An unfinished change of the key is settled by the key that was given.
	if err := d.o.Keys.Delete(nextKeyName(c)); err != nil {
		return archive.Head{}, err
	}
	if err := ifLoggedIn(d.updateVault(func(s *vaultState) {
		s.adopt(&key)
		d.addCheck(s.Registration)
	})); err != nil {
		return archive.Head{}, err
	}
	if err := d.saveConfig(c); err != nil {
		return archive.Head{}, err
	}
	for _, p := range opened.list {
		if p.archive != nil && p.archive.ID() == c.Archive {
			if err := d.remember(c, p.text, p.archive.Head(), false); err != nil {
				return archive.Head{}, err
			}
		}
	}
	return main.archive.Head(), nil
}

// openToAdopt opens the archive at the destinations of a set-up. One of them must have it, in a state that is not older than this device has seen or
// the vault knows; others may be behind, or have nothing yet.
func (d *Device) openToAdopt(ctx context.Context, c Config, acceptOlder bool, key Key) (*places, error) {
	ps := &places{d: d, c: c, older: acceptOlder}
	for _, text := range c.Destinations {
		p := &place{text: text}
		ps.list = append(ps.list, p)
		if p.store, p.err = d.o.OpenDestination(ctx, text, len(ps.list) > 1); p.err != nil {
			ps.close()
			return nil, p.err
		}
		options, err := d.optionsAt(c, text, acceptOlder)
		if err != nil {
			ps.close()
			return nil, err
		}
		options.OnHead = nil // not before it is known which archive it is
		p.archive, p.err = d.openLearned(ctx, p.store, c.Archive, key, options)
	}
	if ps.newest(false) == nil {
		return nil, ps.failure()
	}
	return ps, nil
}

// Disable makes this device forget its archive: its set-up, its copy of the key, what it has
// seen, its cache. The archive itself stays, and opens with the key that the user wrote down. A registration at the vault stays,
// too: RemovePassword, before, deletes it.
//
// Errors: ErrNotEnabled, ErrBusy, those of the KeyStore.
func (d *Device) Disable() error {
	unlock, err := d.lock("disable")
	if err != nil {
		return err
	}
	defer unlock()
	c, err := d.Config()
	if err != nil && !c.Pending {
		return err
	}
	for _, name := range []string{nextKeyName(c), keyName(c)} {
		if err := d.o.Keys.Delete(name); err != nil {
			return err
		}
	}
	if err := ifLoggedIn(d.updateVault((*vaultState).forget)); err != nil {
		return err
	}
	// Last goes what names the rest, so that a crash leaves something to disable.
	for _, name := range []string{"cache", "tmp", headFile, historyFile} {
		if err := os.RemoveAll(filepath.Join(d.dir, name)); err != nil {
			return err
		}
	}
	return durable.Remove(filepath.Join(d.dir, configFile))
}
