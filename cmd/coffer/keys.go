// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/recovery"
)

// keyFlags say where the key of an archive comes from: a file, the user's hand, or the vault with the password.
type keyFlags struct {
	KeyFile      string `placeholder:"FILE" help:"File with the 64 digits, - for standard input. Without it: this device's copy if the archive is its own, else you are asked."`
	PasswordFile string `placeholder:"FILE" help:"File with the password, - for standard input: the vault brings the key back. Without it you are asked, once logged in."`
	Previous     bool   `help:"The password is that of the key before the one in the vault now, kept for a grace period."`
}

// try calls use with the key until it is right, and returns it. A password is tried once: each guess counts.
func (f keyFlags) try(a *app, d *coffer.Device, use func(coffer.Key) error) (coffer.Key, error) {
	login, err := d.LoggedIn()
	loggedIn := err == nil && !login.LoggedOut
	switch asked := f.PasswordFile != "" || f.Previous; {
	case f.KeyFile != "" && asked:
		return coffer.Key{}, usagef("--key-file does not go with --password-file and --previous")
	case f.KeyFile != "" || !asked && !loggedIn:
		return a.tryKeys(f.KeyFile, use)
	case !loggedIn:
		return coffer.Key{}, coffer.ErrNotLoggedIn
	case login.Role == "companion":
		return coffer.Key{}, recovery.ErrNotPrimary
	}
	return f.recover(a, d, use)
}

func (f keyFlags) recover(a *app, d *coffer.Device, use func(coffer.Key) error) (coffer.Key, error) {
	if f.PasswordFile == "" && !a.interactive() {
		return coffer.Key{}, usagef("the password or the key is needed, and there is no terminal to ask on; give --password-file FILE or --key-file FILE, - for standard input")
	}
	pass, err := a.password(f.PasswordFile, "--password-file", "Password of the backup (not shown; Enter alone to type the 64 digits instead): ")
	if err != nil {
		return coffer.Key{}, err
	}
	if pass == "" {
		return a.tryKeys("", use)
	}
	r, err := a.recoverKey(d, pass, f.Previous)
	if err != nil {
		return coffer.Key{}, err
	}
	a.remark("The password is right, and the vault gave the key back. Guesses left: %d.", r.GuessesLeft)
	a.known = r.Freshness
	if err := use(r.Key); err != nil {
		r.Key.Wipe()
		if errors.Is(err, archive.ErrWrongKey) {
			err = outcome{codeWrongKey, "the password is right, but the key that it brings back opens no archive there",
				"Is it the right destination and account? coffer status\n  An earlier set-up's: the same command with --previous"}
		}
		return coffer.Key{}, err
	}
	a.recoveredWith = pass
	return r.Key, nil
}

// recoverKey makes one guess. Where the answer to it got lost, a person may have it asked for again; only this process can.
func (a *app) recoverKey(d *coffer.Device, pass string, previous bool) (*coffer.Recovery, error) {
	for {
		r, err := d.RecoverKey(a.ctx, pass, coffer.RecoverOptions{Previous: previous})
		if _, lost := errors.AsType[*recovery.MaybeCounted](err); !lost || !a.interactive() || a.ctx.Err() != nil {
			return r, err
		}
		fmt.Fprintf(a.err, "%s.\n", escaped(err.Error()))
		if _, noAnswer := a.ask("Press Enter to ask again for the answer to the same guess, which is free (Ctrl-C ends it): "); noAnswer != nil {
			return nil, err
		}
	}
}

// remarkFreshness says whether a state of an archive is known to be the newest.
func (a *app) remarkFreshness(what string, id coffer.ID, head archive.Head) {
	proof := "The key alone cannot prove that there is no newer one."
	for _, known := range a.known {
		if known.Archive == id && known.Generation <= head.Generation {
			proof = fmt.Sprintf("The vault knows of none newer than generation %d.", known.Generation)
		}
	}
	a.remark("%s of %s (generation %d). %s", what, clock(head.Time), head.Generation, proof)
}

// tries is how often a person may mistype a key; a file is read once.
const tries = 3

// tryKeys calls use with the key of the file, or with what the user types until it is not wrong. It returns the key that was right.
func (a *app) tryKeys(file string, use func(coffer.Key) error) (coffer.Key, error) {
	for try := 1; ; try++ {
		var key coffer.Key
		var err error
		if file != "" {
			key, err = a.readKeyFile(file)
		} else {
			key, err = a.askKey()
		}
		if err == nil {
			err = use(key)
		}
		if err == nil {
			return key, nil
		}
		key.Wipe()
		wrong := errors.Is(err, archive.ErrWrongKey) || errors.Is(err, format.ErrKeyDigits)
		if !wrong || file != "" || try == tries {
			return coffer.Key{}, err
		}
		fmt.Fprintf(a.err, "%s. Try again.\n", escaped(err.Error()))
	}
}
