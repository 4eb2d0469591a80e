// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"

	"github.com/coffer-backup/coffer"
)

// The switch between key and password, on a device that is set up: the archive and its key stay as they are, and only who
// else keeps the key changes. So nothing is uploaded again.

// isSetUp says whether the command names what this device backs up already, and nothing else that it could mean.
func (c *initCmd) isSetUp(d *coffer.Device) bool {
	config, err := d.Config()
	return err == nil && samePath(c.Source, config.Source) && sameDestinations(c.To, config.Destinations) &&
		!c.Beside && c.ExcludeFile == "" && len(c.Exclude)+len(c.Database) == 0
}

func samePath(path, absolute string) bool {
	abs, err := filepath.Abs(path)
	return err == nil && abs == absolute
}

func (c *initCmd) protect(a *app, d *coffer.Device, setup coffer.Setup) error {
	if c.Password {
		return c.toPassword(a, d)
	}
	if login, err := d.LoggedIn(); err == nil && login.HasPassword {
		return c.toKey(a, d)
	}
	return fmt.Errorf("%w: %s to %s", coffer.ErrEnabled, setup.Source, allOf(c.To))
}

// toPassword sets a password where there is none, or none any more.
func (c *initCmd) toPassword(a *app, d *coffer.Device) error {
	if _, err := mayRegister(d); err != nil {
		return err
	}
	status, err := d.VaultStatus(a.ctx)
	if err != nil {
		return err
	}
	if status.Mine && !status.Unfinished {
		return outcome{codeExists, "a password is set for this archive already", "Change it: coffer password change"}
	}
	if c.KeyFile != "" {
		if err := mustNotExist(c.KeyFile); err != nil {
			return err
		}
	}
	pass, err := c.readNew(a, d, c.PasswordFile, "--password-file")
	if err != nil {
		return err
	}
	if err := c.setPassword(a, d, pass); err != nil {
		return err
	}
	key, _, err := d.Key(a.ctx)
	if err != nil {
		return err
	}
	defer key.Wipe()
	c.done = "Protected by the password now, nothing is uploaded again"
	return c.report(a, d, key)
}

func (c *initCmd) setPassword(a *app, d *coffer.Device, pass string) error {
	set, err := d.SetPassword(a.ctx, pass, coffer.PasswordOptions{AllowWeak: c.WeakPassword})
	if err == nil {
		c.set = &set
		a.warnPrevious(set)
	}
	return err
}

// toKey removes the password, after the user has the key.
func (c *initCmd) toKey(a *app, d *coffer.Device) error {
	if err := a.canHandOver(c.KeyFile); err != nil {
		return err
	}
	if _, err := mayRegister(d); err != nil {
		return err
	}
	key, where, err := d.Key(a.ctx)
	if err != nil {
		return err
	}
	defer key.Wipe()
	written, err := a.keyFileHolds(c.KeyFile, key)
	if err != nil {
		return err
	}
	if err := a.handOver(key, c.ShowKey); err != nil {
		return err
	}
	if c.KeyFile != "" && !written {
		if err := writeKeyFile(c.KeyFile, key); err != nil {
			return fmt.Errorf("the password stays, because the key file could not be written: %w", err)
		}
	}
	if _, err := d.RemovePassword(a.ctx, false); err != nil {
		return err
	}
	if a.cli.JSON {
		result := map[string]any{"password_removed": true, "key_at": where}
		if c.ShowKey {
			result["key"] = key.Digits()
		}
		return a.answer(result)
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "The vault has deleted the key, and only the 64 digits open the archive elsewhere. Nothing is uploaded again.\nThis device keeps its copy in %s.\n", where)
	}
	return nil
}
