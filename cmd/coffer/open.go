// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
)

// fromFlags name an archive: this device's own, or any other with its key or its password.
type fromFlags struct {
	From string `placeholder:"DEST" help:"Destination of the archive; without it, this device's own."`
	keyFlags
	Archive string `placeholder:"ID" help:"Which archive, if the key opens several there."`
	olderFlag

	passDamaged bool       `kong:"-"` // open also where the newest state cannot be read
	copyOf      blob.Store `kong:"-"` // destination with a copy, from which the keyring may be fetched
}

type olderFlag struct {
	AcceptOlder bool `help:"Go on although the destination is older than this device has seen."`
}

// try opens with open, and if only the newest state is damaged and the command can do with an older one, once more with that.
func (f *fromFlags) try(a *app, open func(acceptOlder bool) (*archive.Archive, error)) (*archive.Archive, error) {
	arch, err := open(f.AcceptOlder)
	if f.copyOf != nil && (errors.Is(err, archive.ErrDamaged) || errors.Is(err, archive.ErrNoArchive)) {
		if fetchErr := f.fetchKeyring(a); errors.Is(fetchErr, archive.ErrNoArchive) {
			return nil, err
		} else if fetchErr != nil {
			return nil, fmt.Errorf("%w (%w)", err, fetchErr)
		}
		arch, err = open(f.AcceptOlder)
	}
	if !f.passDamaged || f.AcceptOlder || !errors.Is(err, archive.ErrDamaged) {
		return arch, err
	}
	older, olderErr := open(true)
	if olderErr != nil {
		return nil, err
	}
	a.unreadable = fmt.Errorf("the newest state of the archive cannot be read: %w", err)
	if head := older.Head(); head.Generation > 0 {
		a.warn("%v; the newest that can be read is generation %d of %s", a.unreadable, head.Generation, clock(head.Time))
	} else {
		a.warn("%v; no other can be read", a.unreadable)
	}
	return older, nil
}

// fetchKeyring mends what an archive cannot be opened without. The archive must still be there in part.
func (f *fromFlags) fetchKeyring(a *app) error {
	id, err := parseArchiveID(f.Archive)
	if err != nil {
		return err
	}
	if f.From == "" {
		d, err := a.device()
		if err != nil {
			return err
		}
		config, err := d.Config()
		if err != nil {
			return err
		}
		id = config.Archive
	}
	store, found, err := a.findArchives(f.From)
	if err != nil {
		return err
	}
	target, err := pick(found, id)
	if err != nil {
		return err
	}
	fetched, err := archive.FetchKeyring(a.ctx, store, f.copyOf, target.ID)
	for _, name := range fetched {
		a.remark("note: fetched %s", name)
	}
	return err
}

// open opens the archive. The key is checked before anything else is read.
func (f *fromFlags) open(a *app) (*archive.Archive, error) {
	id, err := parseArchiveID(f.Archive)
	if err != nil {
		return nil, err
	}
	d, err := a.device()
	if err != nil {
		return nil, err
	}
	if f.From == "" && f.keyFlags == (keyFlags{}) && f.Archive == "" {
		return opened(a)(f.try(a, func(older bool) (*archive.Archive, error) { return d.Open(a.ctx, older) }))
	}
	destinations, err := f.destinations(d)
	if err != nil {
		return nil, err
	}
	a.from = destinations[0]
	if f.keyFlags == (keyFlags{}) {
		if arch, err := f.openOwn(a, d, destinations[0], id); arch != nil || err != nil {
			return opened(a)(arch, err)
		}
	}
	var arch *archive.Archive
	key, err := f.keyFlags.try(a, d, func(key coffer.Key) (err error) {
		arch, err = f.openFirst(a, destinations, func(text string, older bool) (*archive.Archive, error) {
			return d.OpenAt(a.ctx, text, id, key, older)
		})
		return err
	})
	key.Wipe()
	return opened(a)(arch, err)
}

// openFirst opens the archive at the first destination that has it.
func (f *fromFlags) openFirst(a *app, destinations []string, open func(text string, older bool) (*archive.Archive, error)) (arch *archive.Archive, err error) {
	var first error
	for _, text := range destinations {
		arch, err = f.try(a, func(older bool) (*archive.Archive, error) { return open(text, older) })
		if err == nil {
			if first != nil {
				a.warn("%v; reading from %s", first, printable(text))
			}
			return arch, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// destinations are the one that was named, or else this device's.
func (f *fromFlags) destinations(d *coffer.Device) ([]string, error) {
	if f.From != "" {
		return []string{f.From}, nil
	}
	config, err := d.Config()
	return config.Destinations, err
}

// destination is the one that was named, or else this device's, the first of several.
func (f *fromFlags) destination(d *coffer.Device) (string, error) {
	all, err := f.destinations(d)
	if err != nil {
		return "", err
	}
	return all[0], nil
}

// openOwn opens the archive with this device's copy of the key if it is the device's own. It returns nil and
// nil if it is not, or cannot be told.
func (f *fromFlags) openOwn(a *app, d *coffer.Device, destination string, id coffer.ID) (*archive.Archive, error) {
	config, err := d.Config()
	if err != nil || !id.IsZero() && id != config.Archive {
		return nil, nil
	}
	key, _, err := d.Key(a.ctx)
	if err != nil {
		return nil, nil
	}
	defer key.Wipe()
	arch, err := f.try(a, func(older bool) (*archive.Archive, error) {
		return d.OpenAt(a.ctx, destination, config.Archive, key, older)
	})
	if errors.Is(err, archive.ErrNoArchive) || errors.Is(err, archive.ErrWrongKey) {
		return nil, nil
	}
	return arch, err
}

// opened passes on what Open returned, after its notices.
func opened(a *app) func(*archive.Archive, error) (*archive.Archive, error) {
	return func(arch *archive.Archive, err error) (*archive.Archive, error) {
		if err == nil {
			a.notices(arch.Notices())
		}
		return arch, err
	}
}

// ownArchive reports whether this device has seen states of an archive before.
func (a *app) ownArchive(id coffer.ID) bool {
	d, err := a.device()
	if err != nil {
		return false
	}
	config, err := d.Config()
	return err == nil && config.Archive == id
}

// own opens this device's archive for a command that changes it, while nobody else on this device does.
// Its other destinations are then brought to the same state.
func (a *app) own(operation string, flags fromFlags, f func(*archive.Archive, *coffer.Others) error) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	if _, err := d.Config(); err != nil {
		return err
	}
	return d.Exclusive(operation, func() error {
		arch, err := flags.open(a)
		if err != nil {
			return err
		}
		defer arch.Close()
		others, err := d.Others(a.ctx, arch, nil)
		if err != nil {
			return err
		}
		defer others.Close()
		err = f(arch, others)
		if spread := others.Spread(a.ctx, true, nil); err == nil {
			err = a.partial(spread)
		}
		if notice := d.TellVault(a.ctx, arch.Head()); notice != "" {
			a.warn("%s", notice)
		}
		return err
	})
}
