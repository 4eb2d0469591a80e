// SPDX-License-Identifier: Apache-2.0

// Package coffer is what an app embeds: it sets up the encrypted backup of a
// chat store on this device, makes backups, changes the key and turns the backup
// off; and it puts the key into a vault under a password and gets it back on a new
// device. What is in an archive is read with package archive.
//
// It guarantees that an archive is made only when this device holds its key
// durably, that two processes of one device never back up at once, that the
// device refuses a destination that has gone back to an older state, and that a
// crash between any two steps is mended by the next call. With a password, there
// is no moment at which the loss of this device would leave the user with one that
// does not bring the archive back; and a backup never waits for the vault to be there.
//
// It trusts this device: its state directory, its key store, its memory. It
// trusts the destination with nothing, and the vault with what package recovery
// says, once its fleet is pinned. It refuses to replace an archive that is
// already there, and never writes to the chat store.
//
// It links neither SQLite nor anything of a command line. An app that has SQLite
// open passes its own online backup as [Options.CopyDatabase]: a second SQLite in
// one process would drop the locks of the first.
package coffer

import (
	"errors"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
)

// Key is the backup key K. It prints as "(redacted)"; Digits shows it.
type Key = format.Key

// ID names an archive or a device.
type ID = format.ID

// Problem is something that could not be backed up as it should.
type Problem = archive.Problem

// NewKey makes a backup key from the operating system's entropy.
func NewKey() Key { return format.NewKey() }

// ParseKey reads the 64 hexadecimal digits of a key as people type them: case,
// spaces, line ends and dashes do not matter. Errors never quote the text.
func ParseKey(text string) (Key, error) { return format.ParseKey(text) }

// Errors of a device. Those of an archive are in package archive, those of a
// destination in package blob; [CauseOf] sorts all of them.
var (
	// ErrNotEnabled means that no backup is set up on this device.
	ErrNotEnabled = errors.New("no backup is set up on this device")

	// ErrEnabled means that a backup is set up on this device already.
	ErrEnabled = errors.New("a backup is already set up on this device")

	// ErrBusy means that another process works on this device's state. The error
	// that wraps it names the process.
	ErrBusy = errors.New("another process of this device is at work")

	// ErrNoKey means that the key store has no key under the name asked for.
	ErrNoKey = errors.New("this device has no copy of the key")

	// ErrKeysLocked means that the key store does not give what it keeps now, such as a keyring where nobody is logged in. A KeyStore wraps it.
	ErrKeysLocked = errors.New("this device's secrets cannot be had now")

	// ErrSource means that the chat store is not there or is no folder.
	ErrSource = errors.New("cannot back up this source")

	// ErrRules means that an exclude pattern, an exclude file or a database pattern cannot be used.
	ErrRules = errors.New("cannot use these rules")

	// ErrDestination means that the text names no destination that we can use.
	ErrDestination = errors.New("not a destination")

	// ErrState means that the state directory holds something that this program did not write
	// or is too old to read.
	ErrState = errors.New("the state of this device cannot be used")
)
