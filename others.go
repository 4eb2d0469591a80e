// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer/archive"
)

// Others are this device's destinations beside the one at which its archive is open, for a change of the archive inside of Exclusive, such as a prune.
type Others struct {
	ps   *places
	main *place
}

// Others opens the other destinations and brings the archive, which was opened by Open, to where it follows all that can be read there.
// With one destination there are none, and all this does nothing. Close it before the archive.
func (d *Device) Others(ctx context.Context, a *archive.Archive, progress *archive.Progress) (*Others, error) {
	c, err := d.Config()
	if err != nil || len(c.Destinations) == 1 || a.ID() != c.Archive {
		return &Others{}, err
	}
	ps, err := d.openPlaces(ctx, c, false)
	if err != nil {
		return nil, err
	}
	o := &Others{ps: ps}
	for _, p := range ps.list {
		if p.store != nil && p.store.String() == a.Destination() {
			p.close()
			p.archive, p.err, o.main = a, nil, p
		}
	}
	if o.main == nil { // it was opened somewhere else
		ps.close()
		return &Others{}, nil
	}
	if err := ps.lead(ctx, o.main, progress); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// Archives are the others that can be read.
func (o *Others) Archives() (all []*archive.Archive) {
	if o.main == nil {
		return nil
	}
	for _, p := range o.ps.list {
		if p != o.main && p.archive != nil {
			all = append(all, p.archive)
		}
	}
	return all
}

// Spread brings the others to the state that the archive has now. With sweep what has been pruned is deleted there, too. It returns what came of
// each; what failed is caught up by the next backup.
func (o *Others) Spread(ctx context.Context, sweep bool, progress *archive.Progress) []DestinationRun {
	if o.main == nil {
		return nil
	}
	o.ps.follow(ctx, o.main, sweep, progress)
	return o.ps.outcomes()
}

// Close closes what Others has opened, and not the archive that it was given.
func (o *Others) Close() {
	if o.main == nil {
		return
	}
	for _, p := range o.ps.list {
		if p != o.main {
			p.close()
		}
	}
}

// AddDestination adds a destination to a device that is set up; what is missing there is made. The next backup brings the archive to it. It
// returns what archives are there: a copy of the device's own, which may be older, is continued; another one is left alone, and the
// archive comes beside it.
//
// Errors: ErrNotEnabled, ErrBusy, ErrDestination also if it is one of the device's already, those of the destination.
func (d *Device) AddDestination(ctx context.Context, destination string) ([]archive.Found, error) {
	unlock, err := d.lock("destination add")
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, err := d.Config()
	if err != nil {
		return nil, err
	}
	if destination, err = d.o.CanonicalDestination(destination); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(c.Destinations, func(have string) bool { return samePlace(have, destination) }); i >= 0 {
		return nil, fmt.Errorf("%w that is new: the backup goes to %s already", ErrDestination, c.Destinations[i])
	}
	if rel, ok := below(destination, c.Source); isFolder(destination) && ok && rel == "." {
		return nil, fmt.Errorf("%w: %s is the chat store itself", ErrDestination, destination)
	}
	store, err := d.o.OpenDestination(ctx, destination, true)
	if err != nil {
		return nil, err
	}
	found, err := archive.Find(ctx, store)
	if err != nil {
		return nil, err
	}
	if err := d.forgetSeen(c, destination); err != nil { // what was seen there in an earlier life does not count
		return nil, err
	}
	c.Destinations = append(c.Destinations, destination)
	return found, d.saveConfig(c)
}

// RemoveDestination takes a destination out of the device's set-up. What is stored there stays. The last one cannot be removed; Disable is for that.
//
// Errors: ErrNotEnabled, ErrBusy, ErrDestination if it is none of the device's or the last one.
func (d *Device) RemoveDestination(destination string) error {
	unlock, err := d.lock("destination remove")
	if err != nil {
		return err
	}
	defer unlock()
	c, err := d.Config()
	if err != nil {
		return err
	}
	if destination, err = d.o.CanonicalDestination(destination); err != nil {
		return err
	}
	i := slices.Index(c.Destinations, destination)
	switch {
	case i < 0:
		return fmt.Errorf("%w of this device's backup: %s", ErrDestination, destination)
	case len(c.Destinations) == 1:
		return fmt.Errorf("%w that can go: %s is the only one of this device's backup", ErrDestination, destination)
	}
	if err := d.forgetSeen(c, ""); err != nil { // which writes down what was seen at the first one, if an older program has left that open
		return err
	}
	if c.KeyChangeAt == destination {
		c.KeyChangeAt = ""
	}
	c.Destinations = slices.Delete(c.Destinations, i, i+1)
	if err := d.saveConfig(c); err != nil {
		return err
	}
	return d.forgetSeen(c, destination)
}

// forgetSeen forgets what was seen at a destination.
func (d *Device) forgetSeen(c Config, destination string) error {
	return d.updateMemory(c, func(m *memory) {
		m.Destinations = slices.DeleteFunc(m.Destinations, func(s seenAt) bool { return s.Destination == destination })
	})
}
