// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/destination"
)

// advice is the next step, as a command wherever there is one.
func (a *app) advice(cause coffer.Cause, err error) string {
	from := a.fromFlag()
	switch cause {
	case coffer.CauseWrongKey:
		switch {
		case errors.Is(err, format.ErrKeyDigits):
			return "A key has 64 digits, 0-9 and a-f; spaces, dashes and case do not matter."
		case errors.Is(err, archive.ErrKeyReplaced) && a.from != "":
			return "The key was changed since. Use the one that coffer key change showed."
		case a.from == "":
			return "The key was changed elsewhere, or this device's copy is wrong. Give it the right one: " + a.adoptCommand()
		}
		return "Compare the digits with your written copy or the recovery kit, and run the same command again. Nothing was written, and no attempt is counted."
	case coffer.CauseNoKey:
		return "Give this device the key again: " + a.adoptCommand()
	case coffer.CauseKeysLocked:
		return a.unlockAdvice()
	case coffer.CauseUnreachable:
		if errors.Is(err, destination.ErrNoHelper) {
			return "Install coffer-rclone, which comes with coffer, then run the same command again. Nothing is lost."
		}
		if isRemote(a.destinationText()) {
			return "Is the network there, and the address right? Run the same command again later. Nothing is lost."
		}
		return "Connect or mount it, then run the same command again. Nothing is lost."
	case coffer.CauseDenied:
		if text := a.destinationText(); isRemote(text) {
			if a.command != nil && strings.HasPrefix(a.command.Path(), "destination add") {
				return "Compare the user or the id, and the secret, then run the same command again."
			}
			return "Log in again, if the password or key was changed, or the login has ended: coffer destination add " + shellQuote(text)
		}
		return "Check who may read and write there, then run the same command again."
	case coffer.CauseDamaged:
		return "See what is affected: coffer verify --read-all" + from + "\n" +
			"  Mend it from another copy: " + a.repairCommand() + "\n" +
			"  Get back all that is whole: coffer restore --keep-going" + from + " --to DIR"
	case coffer.CauseVersion:
		return "Install a newer coffer."
	case coffer.CauseBusy:
		return "Wait until it has ended, then run the same command again."
	case coffer.CauseLocked:
		return "Wait until it has ended. If that run is dead: coffer unlock" + from
	case coffer.CauseConcurrent:
		return "Run the same command again."
	case coffer.CauseInterrupted:
		return "What was finished is kept. Run the same command again to continue."
	case coffer.CauseFull:
		return "Make room there, or forget old snapshots (coffer prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12). Nothing is lost; the next run continues."
	case coffer.CauseDiskFull:
		return "Make room on this device, then run the same command again to continue."
	case coffer.CauseNotEnabled:
		return "Set it up: coffer init SOURCE --to DEST --key\n  Or name an archive: --from DEST"
	case coffer.CauseNoArchive:
		return "The destination answers, but the archive is not there. Is the right disk mounted? See: coffer archive list" + from
	case coffer.CauseNoSnapshot:
		return "See which there are: coffer snapshots" + from
	case coffer.CauseNoPath:
		return "See what there is: coffer ls latest" + from + "\n  Or look for it everywhere: coffer find NAME" + from
	case coffer.CauseOccupied:
		return "Restore into an empty folder, or replace what is there: --overwrite"
	case coffer.CauseRolledBack:
		return "Somebody or something has put back an older state of the destination, so the newest snapshots are missing.\n" +
			"  If you did that yourself, or to read what is left: " + a.acceptOlder(from)
	case coffer.CauseEnabled:
		return "See: coffer status\n  Stop it first: coffer disable. Another COFFER_HOME is another device."
	case coffer.CauseSource:
		return "Is the disk of the chat store mounted? If it has moved: coffer init NEW_SOURCE --to DEST --adopt"
	case coffer.CauseRules:
		return "How patterns are written: coffer help excludes"
	case coffer.CausePower, coffer.CauseNetwork:
		return "It is tried again every hour. To back up now: coffer backup"
	case coffer.CauseDestination:
		return "How destinations are written: coffer help destinations"
	}
	return a.vaultAdvice(cause, err)
}

// unlockAdvice is for secrets that lie in a keyring, where nobody is to unlock it.
func (a *app) unlockAdvice() string {
	home, add := "COFFER_HOME="+shellQuote(a.stateDir()), ""
	if text := a.destinationText(); isRemote(text) {
		add = " " + home + " coffer destination add " + shellQuote(text) + ", then"
	}
	return "Unlock it, or log in, and run the same command again. For runs where nobody is logged in:" + add + " " + home + " " + a.adoptCommand() + " keeps the secrets in files."
}

// destinationText is the destination that a command is about, if that is known.
func (a *app) destinationText() string {
	if a.place != "" {
		return a.place
	}
	if a.from != "" {
		return a.from
	}
	if d, err := a.device(); err == nil {
		if config, err := d.Config(); err == nil {
			return config.Destinations[0]
		}
	}
	return ""
}

// otherWays is what is left where the password cannot bring the key back.
const otherWays = "With the 64-digit key: the same command with --key-file FILE. A device that has the key still: coffer key show"

// vaultAdvice is the next step after what the vault says.
func (a *app) vaultAdvice(cause coffer.Cause, err error) string {
	switch cause {
	case coffer.CauseWrongPassword:
		if errors.Is(err, coffer.ErrOtherPassword) {
			return "Forgotten? This device has the key still, so that you can set another: " + a.initCommand("--key") + "\n  and then: " + a.initCommand("--password")
		}
		return "Think before the next try: coffer status says how many guesses are left. " + otherWays
	case coffer.CauseTooEarly:
		return "Run the same command again then. " + otherWays
	case coffer.CauseDestroyed:
		return otherWays + "\n  There, a new password can be set: " + a.initCommand("--password")
	case coffer.CauseNoRegistration:
		return "Is it the right account? coffer status\n  " + otherWays
	case coffer.CauseNotPrimary:
		return "Run it on the account's primary device, or log in as that: coffer login URL --account NAME --role primary"
	case coffer.CauseLogin:
		return "Log in: " + a.loginCommand()
	case coffer.CauseVault:
		return "Run the same command again later. Backups go on meanwhile."
	case coffer.CauseWeakPassword:
		return "If you insist: --weak-password"
	case coffer.CauseFleet:
		return "Nothing was sent to it. If its operator published that fingerprint: " + a.loginCommand() + " --fingerprint F"
	case coffer.CauseNotTaken:
		return "Run the same command again."
	case coffer.CauseReplaced:
		return "See what the vault keeps now: coffer status\n  To put this device's key in its place again: " + a.initCommand("--password")
	case coffer.CauseVaultURL:
		return "Example: coffer login https://vault.example --account NAME"
	case coffer.CauseHasPassword:
		return "Remove it first: " + a.initCommand("--key")
	}
	return ""
}

func (a *app) loginCommand() string {
	url, account := "URL", "NAME"
	if d, err := a.device(); err == nil {
		if login, err := d.LoggedIn(); err == nil {
			url, account = shellQuote(login.URL), shellQuote(login.Account)
		}
	}
	return "coffer login " + url + " --account " + account
}

func (a *app) fromFlag() string {
	if a.from == "" {
		return ""
	}
	return " --from " + shellQuote(a.from)
}

func (a *app) repairCommand() string {
	if a.from == "" {
		return "coffer repair --from OTHER_DEST"
	}
	return "coffer repair --from OTHER_DEST --to " + shellQuote(a.from)
}

// acceptOlder names the flag, with a command that has it.
func (a *app) acceptOlder(from string) string {
	if a.command != nil && slices.ContainsFunc(a.command.Flags, func(f *kong.Flag) bool { return f.Name == "accept-older" }) {
		return "--accept-older"
	}
	return "coffer restore --accept-older" + from + " --to DIR\n  To go on from it: coffer backup --accept-older"
}

// adoptCommand gives this device its archive's key again.
func (a *app) adoptCommand() string { return a.initCommand("--adopt") }

// initCommand is init with the set-up of this device, where there is one.
func (a *app) initCommand(how string) string {
	source, to := "SOURCE", "--to DEST"
	if d, err := a.device(); err == nil {
		if config, err := d.Config(); err == nil {
			source, to = shellQuote(config.Source), toFlags(config.Destinations)
		}
	}
	return "coffer init " + source + " " + to + " " + how
}

// toFlags names destinations as init takes them.
func toFlags(destinations []string) string {
	flags := make([]string, len(destinations))
	for i, text := range destinations {
		flags[i] = "--to " + shellQuote(text)
	}
	return strings.Join(flags, " ")
}

func (a *app) stateDir() string {
	dir, _, err := a.home()
	if err != nil {
		return "DIR"
	}
	return dir
}
