// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
)

// OpenArchive opens an archive with the key alone, as one does on a new device:
// nothing of this device is read or written. A zero id means the one archive at the destination that the key
// opens. That its head is the newest one is unproven: show its date to the user.
//
// Errors: ErrDestination, archive.ErrWrongKey before anything else is read, the others of
// archive.Open, those of the destination.
func OpenArchive(ctx context.Context, destination string, id ID, key Key) (*archive.Archive, error) {
	store, err := OpenDestination(ctx, destination, false)
	if err != nil {
		return nil, err
	}
	return archive.Open(ctx, store, id, key, archive.Options{Device: format.NewID()})
}

// Open opens the device's archive for reading, checks each destination against what this device has seen there, and remembers what is
// newer. Of several destinations it is the one with the newest state; what the archive's notices say of the others is for people. What
// that one has damaged is read from the others. With acceptOlder a destination that has gone back is opened all the same; what is
// remembered stays.
//
// To change the archive, open it inside of Exclusive, and call Spread afterwards.
//
// Errors: ErrNotEnabled, ErrNoKey, those of archive.Open and of the destinations.
func (d *Device) Open(ctx context.Context, acceptOlder bool) (*archive.Archive, error) {
	c, err := d.Config()
	if err != nil {
		return nil, err
	}
	s, err := d.survey(ctx, c, acceptOlder)
	if err != nil {
		return nil, err
	}
	if s.Archive == nil {
		return nil, s.Err
	}
	return s.Archive, nil
}

func (d *Device) openWith(ctx context.Context, c Config, destination, keyName string, acceptOlder bool) (*archive.Archive, error) {
	key, err := d.o.Keys.Load(keyName)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	options, err := d.archiveOptions(c, destination, acceptOlder)
	if err != nil {
		return nil, err
	}
	store, err := d.o.OpenDestination(ctx, destination, false)
	if err != nil {
		return nil, err
	}
	return archive.Open(ctx, store, c.Archive, key, options)
}

// OpenAt opens an archive at any destination as this device. If it is the device's own archive, also where it lies at
// another destination, what the device has seen of it counts, as in Open; the id may then be zero even if
// other archives lie beside it. Of another archive counts what RecoverKey has learned.
//
// Errors: those of OpenArchive, and archive.ErrRolledBack.
func (d *Device) OpenAt(ctx context.Context, destination string, id ID, key Key, acceptOlder bool) (*archive.Archive, error) {
	store, err := d.o.OpenDestination(ctx, destination, false)
	if err != nil {
		return nil, err
	}
	c, err := d.Config()
	if err != nil && !errors.Is(err, ErrNotEnabled) {
		return nil, err
	}
	if err == nil && (id.IsZero() || id == c.Archive) {
		options, err := d.optionsAt(c, destination, acceptOlder)
		if err != nil {
			return nil, err
		}
		a, err := archive.Open(ctx, store, c.Archive, key, options)
		if err == nil {
			sayLag(a, options.Newest)
		}
		if err == nil || !id.IsZero() || !errors.Is(err, archive.ErrWrongKey) && !errors.Is(err, archive.ErrNoArchive) {
			return a, err
		}
	}
	return d.openLearned(ctx, store, id, key, archive.Options{Clock: d.o.Clock, Device: format.NewID(), AllowOlder: acceptOlder})
}

// optionsAt opens the device's archive at any destination. One where nothing was seen yet is held against the newest state seen anywhere.
func (d *Device) optionsAt(c Config, destination string, acceptOlder bool) (archive.Options, error) {
	if one, err := d.o.CanonicalDestination(destination); err == nil {
		destination = one
	}
	options, err := d.archiveOptions(c, destination, acceptOlder)
	if err == nil && options.Seen.Generation == 0 {
		options.Seen = options.Newest
	}
	return options, err
}

// sayLag says that a destination has not gone back, and is behind another one.
func sayLag(a *archive.Archive, newest archive.Head) {
	if head := a.Head(); head.Generation < newest.Generation {
		a.Notice(fmt.Sprintf("%s is behind: it has generation %d of the archive, and the newest that this device has seen, elsewhere, is generation %d of %s",
			a.Destination(), head.Generation, newest.Generation, newest.Time.Local().Format("2 January 2006 15:04")))
	}
}
