// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coffer-backup/coffer"
)

type disableCmd struct {
	PasswordFile string `xor:"proof" placeholder:"FILE" help:"Where a password is set: file with it, - for standard input. Without it you are asked."`
	KeyFile      string `xor:"proof" placeholder:"FILE" help:"Or file with the 64 digits, - for standard input."`
	Override     bool   `xor:"proof" help:"Or neither: the vault then keeps its copy for a grace period, in which the password still works."`
}

func (disableCmd) Help() string {
	return "This device forgets its set-up, its schedule and its copy of the key, and where a password is set, the vault deletes the key. The archive stays, and opens with the key that you wrote " +
		"down. To delete it: coffer archive delete.\n\nWhere nothing is set up, --override deletes the account's key from the vault by the login alone, after the grace period."
}

func (c *disableCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	login, err := d.LoggedIn()
	if err != nil && !errors.Is(err, coffer.ErrNotLoggedIn) {
		return err
	}
	config, err := d.Config()
	if errors.Is(err, coffer.ErrNotEnabled) && c.Override && login.URL != "" {
		return c.deleteByLogin(a, d)
	} else if err != nil {
		return err
	}
	if login.HasPassword {
		if err := c.prove(a, d); err != nil {
			return err
		}
	}
	warning := fmt.Sprintf("This device forgets its copy of the key of archive %s. Without your written copy nobody can ever open the archive again (coffer key check).", config.Archive)
	if login.HasPassword {
		warning = "The password will not bring it back either. " + warning
	}
	if err := a.confirm(warning, "forget"); err != nil {
		return err
	}
	var kept time.Duration
	if login.HasPassword { // first at the vault: afterwards the device could not prove anything
		if kept, err = d.RemovePassword(a.ctx, c.Override); err != nil {
			return fmt.Errorf("nothing was forgotten, because the vault has not deleted the key: %w", err)
		}
	}
	if _, err := a.removeSchedule(d.Dir()); err != nil {
		return fmt.Errorf("the schedule could not be removed, so this device keeps its set-up: %w", err)
	}
	if err := d.Disable(); err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"disabled": true, "archive": config.Archive, "destination": config.Destinations[0], "destinations": config.Destinations, "kept_seconds": int64(kept.Seconds())})
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Done. The archive %s stays at %s.\n", config.Archive, allOf(config.Destinations))
		c.sayKept(a, kept)
		if slices.ContainsFunc(config.Destinations, isRemote) {
			fmt.Fprintln(a.out, "The credentials of its destinations are still kept: coffer destination list, and remove")
		}
		if isLoggedIn(d) {
			fmt.Fprintln(a.out, "This device is still logged in to the vault: coffer logout")
		}
	}
	return nil
}

// prove asks whoever sits here for what only the owner knows.
func (c *disableCmd) prove(a *app, d *coffer.Device) error {
	switch {
	case c.Override:
		return nil
	case c.KeyFile != "":
		own, _, err := d.Key(a.ctx)
		if err != nil {
			return err
		}
		defer own.Wipe()
		key, err := a.readKeyFile(c.KeyFile)
		if err != nil {
			return err
		}
		defer key.Wipe()
		return sameKey(key, own)
	case c.PasswordFile == "" && !a.interactive():
		return usagef("the password or the key is needed, and there is no terminal to ask on; give --password-file FILE or --key-file FILE, or --override without either")
	}
	_, err := a.askForPassword(d, c.PasswordFile)
	return err
}

func (c *disableCmd) deleteByLogin(a *app, d *coffer.Device) error {
	if err := a.confirm("The vault deletes the account's key. Without a written copy, or a device that has it, nobody can ever open that archive again.", "delete"); err != nil {
		return err
	}
	kept, err := d.RemovePassword(a.ctx, true)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"disabled": true, "kept_seconds": int64(kept.Seconds())})
	}
	if !a.cli.Quiet {
		fmt.Fprintln(a.out, "Done. The archive stays.")
		c.sayKept(a, kept)
	}
	return nil
}

func (c *disableCmd) sayKept(a *app, kept time.Duration) {
	if kept > 0 {
		fmt.Fprintf(a.out, "The vault keeps the key for %s more, because nobody has shown that it is his: coffer restore --previous\n", ago(kept))
	}
}
