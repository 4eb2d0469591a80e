// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/recovery"
)

// Cause sorts errors by what the user can do about them. An app maps it to a text, a command line to an exit code.
type Cause string

const (
	CauseOther       Cause = "other"
	CauseWrongKey    Cause = "wrong-key"   // the key does not open the archive, or is not a key
	CauseNoKey       Cause = "no-key"      // this device has lost its copy of the key
	CauseKeysLocked  Cause = "keys-locked" // this device's key, or a destination's credentials, are locked away, as in a keyring at night
	CauseUnreachable Cause = "unreachable" // the destination is not there
	CauseDenied      Cause = "denied"      // the destination refuses access
	CauseDamaged     Cause = "damaged"     // the archive is damaged
	CauseVersion     Cause = "version"     // a newer program made the archive
	CauseBusy        Cause = "busy"        // another process of this device is at work
	CauseLocked      Cause = "locked"      // another device is at work
	CauseInterrupted Cause = "interrupted" // the context ended
	CauseFull        Cause = "full"        // the destination has no room left
	CauseDiskFull    Cause = "disk-full"   // this device has no room left
	CauseNotEnabled  Cause = "not-enabled" // nothing is set up on this device
	CauseEnabled     Cause = "enabled"     // something is set up already
	CauseNoArchive   Cause = "no-archive"  // the destination has no archive
	CauseNoSnapshot  Cause = "no-snapshot" // the archive has no such snapshot
	CauseNoPath      Cause = "no-path"     // the snapshot has no such path
	CauseExists      Cause = "exists"      // the destination has an archive already
	CauseOccupied    Cause = "occupied"    // files are in the way of a restore
	CauseRolledBack  Cause = "rolled-back" // the destination is older than this device has seen
	CauseConcurrent  Cause = "concurrent"  // another run came in between; run again
	CauseSource      Cause = "source"      // the chat store is not there
	CauseRules       Cause = "rules"       // an exclude pattern, an exclude file or a database pattern cannot be used
	CauseDestination Cause = "destination" // the text names no destination
	CausePower       Cause = "power"       // skipped: the device runs on battery
	CauseNetwork     Cause = "network"     // skipped: no Wi-Fi and no cable, or nobody can tell

	CauseWrongPassword  Cause = "wrong-password"    // not the password
	CauseTooEarly       Cause = "too-early"         // the vault does not allow the next guess yet
	CauseDestroyed      Cause = "destroyed"         // too many wrong passwords: the key in the vault is gone
	CauseNoRegistration Cause = "no-registration"   // the vault keeps no key for this account
	CauseNotPrimary     Cause = "not-primary"       // only the account's primary device may do this
	CauseLogin          Cause = "login"             // this device is not logged in at the vault
	CauseVault          Cause = "vault-unavailable" // the vault does not answer now
	CauseWeakPassword   Cause = "weak-password"     // the password is easily guessed, or cannot be one
	CauseFleet          Cause = "fleet-changed"     // the vault is not the one that this device has pinned
	CauseHasPassword    Cause = "has-password"      // the key is in the vault under a password
	CauseNotTaken       Cause = "not-taken"         // the password has not taken effect
	CauseReplaced       Cause = "replaced"          // the password was set, and then another device's took its place
	CauseVaultURL       Cause = "vault-url"         // the text is no address of a vault
)

// causes are in order: the first that an error wraps is its cause. What ended the context made the other errors.
var causes = []struct {
	err   error
	cause Cause
}{
	{context.Canceled, CauseInterrupted},
	{recovery.ErrUnavailable, CauseVault}, // also when an exchange with it took too long, which package http calls a deadline
	{context.DeadlineExceeded, CauseInterrupted},
	{ErrKeysLocked, CauseKeysLocked},
	{ErrNoKey, CauseNoKey},
	{archive.ErrKeyReplaced, CauseWrongKey},
	{archive.ErrWrongKey, CauseWrongKey},
	{format.ErrKeyDigits, CauseWrongKey},
	{archive.ErrRolledBack, CauseRolledBack},
	{archive.ErrNoArchive, CauseNoArchive},
	{archive.ErrNoSnapshot, CauseNoSnapshot},
	{archive.ErrNoPath, CauseNoPath},
	{archive.ErrExists, CauseExists},
	{archive.ErrLocked, CauseLocked},
	{archive.ErrConcurrent, CauseConcurrent},
	{archive.ErrOccupied, CauseOccupied},
	{blob.ErrUnreachable, CauseUnreachable},
	{blob.ErrFull, CauseFull},
	{blob.ErrDenied, CauseDenied},
	{archive.ErrDamaged, CauseDamaged},
	{archive.ErrVersion, CauseVersion},
	{archive.ErrNoSpace, CauseDiskFull},
	{ErrBusy, CauseBusy},
	{ErrNotEnabled, CauseNotEnabled},
	{ErrEnabled, CauseEnabled},
	{ErrSource, CauseSource},
	{ErrRules, CauseRules},
	{ErrDestination, CauseDestination},
	{ErrNotLoggedIn, CauseLogin},
	{ErrHasPassword, CauseHasPassword},
	{ErrWeakPassword, CauseWeakPassword},
	{recovery.ErrPassword, CauseWeakPassword},
	{ErrOtherPassword, CauseWrongPassword},
	{recovery.ErrNotPrimary, CauseNotPrimary},
	{ErrNotTaken, CauseNotTaken},
	{ErrVaultURL, CauseVaultURL},
	{recovery.ErrReplaced, CauseReplaced},
	{recovery.ErrDestroyed, CauseDestroyed},
	{recovery.ErrExhausted, CauseDestroyed},
	{recovery.ErrNoRegistration, CauseNoRegistration},
	{recovery.ErrLogin, CauseLogin},
	{recovery.ErrFleetChanged, CauseFleet},
	{recovery.ErrRace, CauseConcurrent},
}

// CauseOf returns the cause of an error of this module; empty for nil.
func CauseOf(err error) Cause {
	if err == nil {
		return ""
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return c.cause
		}
	}
	if wrong, ok := errors.AsType[*recovery.WrongPassword](err); ok {
		if wrong.Last {
			return CauseDestroyed
		}
		return CauseWrongPassword
	}
	if _, ok := errors.AsType[*recovery.Locked](err); ok {
		return CauseTooEarly
	}
	for _, full := range diskFullErrors {
		if errors.Is(err, full) {
			return CauseDiskFull
		}
	}
	return CauseOther
}
