// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer"
)

const (
	stateNone    = "none"    // no login, or nothing in the vault
	stateUnknown = "unknown" // the vault could not be asked
)

// vaultPart is what status says of the vault. Asking uses no guess.
type vaultPart struct {
	coffer.VaultStatus
	GuessesLeft  *int       `json:"guesses_left"` // null where there is nothing to guess at, or it is unknown
	VaultProblem *jsonError `json:"vault_problem,omitempty"`
}

func isLoggedIn(d *coffer.Device) bool {
	login, err := d.LoggedIn()
	return err == nil && !login.LoggedOut
}

// askVault returns what went wrong, which is part of the status, too.
func (p *vaultPart) askVault(a *app, d *coffer.Device) error {
	p.State, p.Registrations = stateNone, []coffer.RegistrationStatus{}
	login, err := d.LoggedIn()
	if errors.Is(err, coffer.ErrNotLoggedIn) || login.LoggedOut && !login.HasPassword {
		return nil
	}
	p.State, p.Login = stateUnknown, login
	if err == nil {
		var status coffer.VaultStatus
		if status, err = d.VaultStatus(a.ctx); err == nil {
			p.VaultStatus = status
		}
	}
	if err != nil {
		p.VaultProblem = a.problemJSON(err)
		return err
	}
	if p.State != stateNone {
		p.GuessesLeft = &p.VaultStatus.GuessesLeft
	}
	return nil
}

// vaultStatus is the status of a device that has nothing but a login.
func (a *app) vaultStatus(d *coffer.Device) error {
	var p vaultPart
	problem := p.askVault(a, d)
	if a.cli.JSON {
		if err := a.answer(p); err != nil {
			return err
		}
	} else if !a.cli.Quiet {
		a.row("Chat store", "none is set up on this device")
		p.show(a)
	}
	return problem
}

func (p *vaultPart) show(a *app) {
	if p.URL == "" {
		return
	}
	a.row("Vault", "%s, account %s, %s device", printable(p.URL), printable(p.Account), printable(p.Role))
	a.row("Password", "%s", p.line())
	if p.LastGuessAt != nil {
		a.row("Last guess", "%s", clock(*p.LastGuessAt))
	}
	for _, r := range p.Registrations {
		if r.State == "retained" && r.Expires != nil {
			a.row("Previous", "another key is kept until %s: coffer restore --previous --from DEST --to DIR", clock(*r.Expires))
		}
	}
	if (p.State == "live" || p.State == "retained") && p.HasPassword && !p.Mine {
		a.row("", "It is not, or not for long, the one of this device's archive. Set one for that: %s", a.initCommand("--password"))
	}
	if p.Unfinished {
		a.row("", "The setting of a password was interrupted. The next coffer backup finishes it.")
	}
}

func (p *vaultPart) line() string {
	switch p.State {
	case stateNone:
		return "none is set"
	case stateUnknown:
		return "unknown, the vault could not be asked"
	case "live":
	case "exhausted":
		return "exhausted: no guess is left, and the vault destroys the key within minutes"
	case "destroyed":
		return "destroyed: too many wrong passwords, the vault's copy of the key is gone for ever"
	default:
		return p.State
	}
	line := fmt.Sprintf("live, %d of %d guesses left", p.VaultStatus.GuessesLeft, p.Budget)
	if p.LockedUntil != nil {
		line += fmt.Sprintf("; the next is allowed at %s, in %s", clock(*p.LockedUntil), ago(time.Until(*p.LockedUntil)))
	}
	return line
}
