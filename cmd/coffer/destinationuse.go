// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer/destination"
	"github.com/coffer-backup/coffer/internal/keystore"
)

// use adds a destination to those of this device's backup. Run again, it changes nothing.
func (a *app) use(dir string, secrets keystore.Store, text string) error {
	d, err := a.openDevice(dir, secrets)
	if err != nil {
		return err
	}
	config, err := d.Config()
	if err != nil || slices.Contains(config.Destinations, text) {
		return err
	}
	found, err := d.AddDestination(a.ctx, text)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.ID != config.Archive {
			a.remark("note: another archive is there, %s; it is left alone", f.ID)
		}
	}
	return nil
}

// sayNext says what can be done with a destination that has been added.
func (c *destinationAddCmd) sayNext(a *app, known destination.Known) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	own, err := ownDestinations(d)
	switch {
	case err != nil:
		return err
	case c.Use:
		fmt.Fprintln(a.out, "The next backup brings the archive there: coffer backup")
	case len(own) == 0:
		fmt.Fprintf(a.out, "Next: coffer init SOURCE --to %s --key\n", shellQuote(known.Destination))
	case !slices.Contains(own, known.Destination):
		fmt.Fprintf(a.out, "To back up there, too: coffer destination add --use %s\n", shellQuote(known.Destination))
	}
	return nil
}
