// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/recovery"
)

type passwordCmd struct {
	Change passwordChangeCmd `cmd:"" help:"Set another password; the old one stops working at once."`
	Check  passwordCheckCmd  `cmd:"" help:"Say whether you still know the password. Uses no guess."`
}

// newPasswordFlags say how a new password is judged.
type newPasswordFlags struct {
	WeakPassword bool `help:"Take the password although it is easy to guess."`
}

// readNew reads a new password and judges it. On a device that cannot set one it does not ask.
func (f newPasswordFlags) readNew(a *app, d *coffer.Device, file, flag string) (string, error) {
	login, err := mayRegister(d)
	if err != nil {
		return "", err
	}
	return a.newPassword(file, flag, func(pass string) error {
		err := coffer.JudgePassword(pass, login.Account, "coffer")
		if f.WeakPassword && errors.Is(err, coffer.ErrWeakPassword) {
			return nil
		}
		return err
	})
}

// mayRegister tells beforehand what the vault would say after a question: that nobody is logged in, or a companion.
func mayRegister(d *coffer.Device) (coffer.Login, error) {
	login, err := d.LoggedIn()
	switch {
	case err != nil:
		return login, err
	case login.LoggedOut:
		return login, coffer.ErrNotLoggedIn
	case login.Role == "companion":
		return login, recovery.ErrNotPrimary
	}
	return login, nil
}

type passwordChangeCmd struct {
	PasswordFile    string `placeholder:"FILE" help:"File with the password that is set, - for standard input."`
	NewPasswordFile string `placeholder:"FILE" help:"File with the new one, - for standard input; where both are -, it is the second line."`
	newPasswordFlags
}

func (passwordChangeCmd) Help() string {
	return "The key and the archive stay as they are; nothing is uploaded again.\n\n" + examples("coffer password change")
}

func (c *passwordChangeCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	if _, err := d.Config(); err != nil {
		return err
	}
	if login, err := mayRegister(d); err != nil {
		return err
	} else if !login.HasPassword {
		return a.noPassword()
	}
	if _, err := a.askForPassword(d, c.PasswordFile); err != nil {
		return err
	}
	pass, err := c.readNew(a, d, c.NewPasswordFile, "--new-password-file")
	if err != nil {
		return err
	}
	set, err := d.ChangePassword(a.ctx, "", pass, coffer.PasswordOptions{AllowWeak: c.WeakPassword})
	if err != nil {
		return err
	}
	return a.showPasswordSet(set, "The password is changed; the old one works no more. The key and the archive are as they were.")
}

// askForPassword wants the password that is set, and tests it on this device. Where it was not set here but only recovered, the device
// cannot tell, and its copy of the key has to do as a proof.
func (a *app) askForPassword(d *coffer.Device, file string) (pass string, err error) {
	err = a.retry(file, func() error {
		if pass, err = a.password(file, "--password-file", "Password of the backup (it is not shown): "); err != nil {
			return err
		}
		if err = d.CheckPassword(pass); errors.Is(err, coffer.ErrNoCheck) {
			a.warn("the password was not set on this device, which therefore cannot test it, and goes by its copy of the key")
			if file == "" {
				return a.typedAgain(pass)
			}
			return nil
		}
		return err
	})
	return pass, err
}

func (a *app) noPassword() error {
	return outcome{codeNoRegistration, "no password was set on this device", "Set one: " + a.initCommand("--password") + "\n  What the vault keeps: coffer status"}
}

type passwordCheckCmd struct {
	PasswordFile string `placeholder:"FILE" help:"File with the password, - for standard input. Without it you are asked."`
}

func (passwordCheckCmd) Help() string {
	return "Do it now and then, so that you do not forget it. This device tests it by itself: nobody is asked, and nothing counts the attempts."
}

func (c *passwordCheckCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	err = a.retry(c.PasswordFile, func() error {
		pass, err := a.password(c.PasswordFile, "--password-file", "Password of the backup (it is not shown): ")
		if err != nil {
			return err
		}
		return d.CheckPassword(pass)
	})
	if errors.Is(err, coffer.ErrNoCheck) {
		return a.noPassword()
	} else if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"right": true})
	}
	if !a.cli.Quiet {
		fmt.Fprintln(a.out, "Right: this is the password. No guess was used.")
	}
	return nil
}

func (a *app) showPasswordSet(set coffer.PasswordSet, text string) error {
	a.warnPrevious(set)
	if a.cli.JSON {
		return a.answer(map[string]any{"password_set": true, "replaced": set.Replaced, "previous_kept_seconds": int64(set.PreviousKept.Seconds())})
	}
	if !a.cli.Quiet {
		fmt.Fprintln(a.out, text)
	}
	return nil
}

func (a *app) warnPrevious(set coffer.PasswordSet) {
	if set.PreviousKept > 0 {
		a.warn("the vault kept another key for this account, and keeps it for %s more. Its own password brings it back: coffer restore --previous --from DEST --to DIR", ago(set.PreviousKept))
	}
}
