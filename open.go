// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"

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
		options, err := d.archiveOptions(c, acceptOlder)
		if err != nil {
			return nil, err
		}
		a, err := archive.Open(ctx, store, c.Archive, key, options)
		if err == nil || !id.IsZero() || !errors.Is(err, archive.ErrWrongKey) && !errors.Is(err, archive.ErrNoArchive) {
			return a, err
		}
	}
	return d.openLearned(ctx, store, id, key, archive.Options{Clock: d.o.Clock, Device: format.NewID(), AllowOlder: acceptOlder})
}
