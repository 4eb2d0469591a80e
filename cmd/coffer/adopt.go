// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
)

// adopt goes on with an archive that is there, with its key or the password that brings it back.
func (c *initCmd) adopt(a *app, d *coffer.Device, setup coffer.Setup) error {
	a.from = c.To[0]
	id, err := parseArchiveID(c.Archive)
	if err != nil {
		return err
	}
	var head archive.Head
	key, err := keyFlags{KeyFile: c.KeyFile, PasswordFile: c.PasswordFile, Previous: c.Previous}.try(a, d, func(key coffer.Key) error {
		head, err = d.Adopt(a.ctx, setup, id, key)
		return err
	})
	if err != nil {
		return err
	}
	defer key.Wipe()
	if err := c.keepPassword(a, d); err != nil {
		return fmt.Errorf("this device goes on with the archive, but the vault will forget the password, so run the same command again: %w", err)
	}
	if config, err := d.Config(); err == nil {
		a.remarkFreshness("The archive's newest state is", config.Archive, head)
	}
	c.done, c.KeyFile = "Continuing", "" // which is read here, not written
	return c.report(a, d, key)
}

// keepPassword registers a key anew, under the password that brought it back, where the vault keeps it only for a while.
func (c *initCmd) keepPassword(a *app, d *coffer.Device) error {
	if !c.Previous || a.recoveredWith == "" { // the digits were typed instead
		return nil
	}
	c.WeakPassword = true // it was judged when it was set
	return c.setPassword(a, d, a.recoveredWith)
}

// parseArchiveID reads --archive; empty is the zero id.
func parseArchiveID(text string) (coffer.ID, error) {
	if text == "" {
		return coffer.ID{}, nil
	}
	id, err := format.ParseID(text)
	if err != nil {
		return id, usageError{fmt.Errorf("--archive: %w", err)}
	}
	return id, nil
}
