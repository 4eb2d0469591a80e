// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/coffer-backup/coffer"
)

type loginCmd struct {
	URL         string `arg:"" name:"url" help:"Address of the vault, such as https://vault.example."`
	Account     string `placeholder:"NAME" help:"The account to log in as; the vault's issuer decides."`
	Role        string `enum:"primary,companion," default:"" placeholder:"ROLE" help:"primary or companion. Only an account's primary device may set, change or delete a password."`
	Fingerprint string `placeholder:"F" help:"The vault's fingerprint as its operator published it; every other vault is refused."`
	Forget      bool   `help:"Let go of a password that was set at another account or vault; it stays there."`
}

func (loginCmd) Help() string {
	return "A password keeps its key in a vault, and the vault must know whose it is. Without --fingerprint the vault that answers first is taken on trust, and every " +
		"later login must find the same.\n\n" + examples("coffer login https://vault.example --account alice --fingerprint '4f1c 09aa ...'")
}

func (c *loginCmd) Run(a *app) error {
	d, err := a.deviceToSetUp()
	if err != nil {
		return err
	}
	login, err := d.Login(a.ctx, coffer.LoginOptions{
		URL: c.URL, Account: c.Account, Role: c.Role, Fingerprint: c.Fingerprint, Forget: c.Forget, Prompt: a.showCode,
	})
	if err != nil {
		return err
	}
	return a.showLogin(login)
}

// showCode also speaks with --quiet: without it nobody could log in. What it shows comes from the network.
func (a *app) showCode(url, code string) {
	fmt.Fprintf(a.err, "To approve this device open %s and compare the code: %s\n", printable(url), printable(code))
}

// tiers says what holds a vault, and what that does not protect against.
var tiers = map[string]string{
	"software": "by software. Not protected against: whoever has the vault's whole disk, or is root on a live core's machine",
	"pkcs11":   "by a hardware security module. Not protected against: root on a live core's machine",
	"tpm2":     "by a TPM. Not protected against: root on a live core's machine",
}

func tierText(tier string) string {
	if text, ok := tiers[tier]; ok {
		return text
	}
	return fmt.Sprintf("by %s, which this program does not know: ask the operator what it protects against", printable(tier))
}

func (a *app) showLogin(l coffer.Login) error {
	if l.Restart == "trust-disk" {
		a.warn("this vault has the restart policy trust-disk, for development and single machines: whoever puts an older copy of its disk back gets the guesses back that were used since")
	}
	if a.cli.JSON {
		return a.answer(struct {
			coffer.Login
			FirstSeen bool   `json:"first_seen"`
			Sealed    string `json:"sealed"`
		}{l, l.FirstSeen, tierText(l.Tier)})
	}
	if a.cli.Quiet {
		return nil
	}
	fmt.Fprintf(a.out, "Logged in as %s, %s device, at %s.\n", printable(l.Account), printable(l.Role), printable(l.URL))
	for _, row := range [][2]string{{"Fleet", l.Fleet}, {"Fingerprint", l.Fingerprint}, {"Sealed", tierText(l.Tier)}, {"Restarts", l.Restart}} {
		fmt.Fprintf(a.out, "%-12s %s\n", row[0], row[1])
	}
	if l.FirstSeen {
		fmt.Fprintln(a.out, "This device trusts that vault from now on. Compare its fingerprint with what its operator published.")
	}
	fmt.Fprintln(a.out, "Next: coffer init SOURCE --to DEST --password. Where a device was lost: coffer restore --from DEST --to DIR")
	return nil
}

type logoutCmd struct{}

func (logoutCmd) Help() string {
	return "This device forgets its login. Backups go on; the password stays in the vault, and works on any device that logs in."
}

func (c *logoutCmd) Run(a *app) error {
	d, err := a.device()
	if err != nil {
		return err
	}
	login, err := d.LoggedIn()
	if err == nil {
		err = d.Logout(a.ctx)
	}
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"logged_out": true, "account": login.Account, "url": login.URL})
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Logged out of %s at %s.\n", printable(login.Account), printable(login.URL))
	}
	return nil
}
