// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"
	"github.com/coffer-backup/coffer"
)

// The exit codes. They are promised to scripts: a number never changes its meaning.
const (
	codeOK          = 0
	codeFailed      = 1
	codeUsage       = 2
	codeWrongKey    = 3
	codeUnreachable = 4
	codeDamaged     = 5
	codeLocked      = 6
	codeInterrupted = 7
	codeDiskFull    = 8
	codeNotThere    = 9
	codeOccupied    = 10
	codeRolledBack  = 11
	codeIncomplete  = 12
	codeTooOld      = 13
	codeExists      = 14

	codeWrongPassword  = 15
	codeTooEarly       = 16
	codeDestroyed      = 17
	codeNoRegistration = 18
	codeNotPrimary     = 19
	codeLogin          = 20
	codeVault          = 21
	codeWeakPassword   = 22
	codeFleet          = 23
	codeHasPassword    = 24
	codeReplaced       = 25
	codePartial        = 26
)

// exitCodes explains them, in order, for help and the reference.
var exitCodes = []string{
	"done",
	"failed for another reason; the message says which",
	"the command line is wrong, or names a source (init), pattern or exclude file that cannot be used, or a question came up and there is no terminal to ask on",
	"wrong key, or this device's copy of the key, or its credentials for a destination, cannot be had (a locked keyring)",
	"the destination cannot be reached, or refuses access",
	"the archive is damaged; what could be done was done",
	"locked: another process or another device is at work",
	"interrupted; run again to continue",
	"disk full, here or at the destination",
	"not there: nothing is set up, no archive, no snapshot, no such path",
	"files are in the way of a restore",
	"the destination is older than this device has seen",
	"the snapshot is written, but some files are not whole in it (changed while read, or unreadable)",
	"status: the last backup is older than --max-age, or one that was scheduled is a day late",
	"init: an archive or a set-up exists already",
	"wrong password; the message says whether a guess was used, and how many are left",
	"too early for the next guess; none was used",
	"too many wrong passwords: the vault has destroyed its copy of the key, or does so within minutes",
	"the vault keeps no key for this account, or no password was set on this device",
	"only the account's primary device may do this",
	"not logged in to the vault, or the login has expired",
	"the vault does not answer; backups go on",
	"the new password is too weak, or no password at all",
	"the vault is not the one that this device trusts",
	"the key is in the vault under a password, which would be lost",
	"the password was set, and another device of the account has put another key in its place since",
	"done, but not at every destination; the next backup catches up those that failed",
}

var causeCodes = map[coffer.Cause]int{
	coffer.CauseWrongKey:    codeWrongKey,
	coffer.CauseNoKey:       codeWrongKey,
	coffer.CauseKeysLocked:  codeWrongKey,
	coffer.CauseUnreachable: codeUnreachable,
	coffer.CauseDenied:      codeUnreachable,
	coffer.CauseDamaged:     codeDamaged,
	coffer.CauseBusy:        codeLocked,
	coffer.CauseLocked:      codeLocked,
	coffer.CauseConcurrent:  codeLocked,
	coffer.CauseInterrupted: codeInterrupted,
	coffer.CauseFull:        codeDiskFull,
	coffer.CauseDiskFull:    codeDiskFull,
	coffer.CauseNotEnabled:  codeNotThere,
	coffer.CauseNoArchive:   codeNotThere,
	coffer.CauseNoSnapshot:  codeNotThere,
	coffer.CauseNoPath:      codeNotThere,
	coffer.CauseOccupied:    codeOccupied,
	coffer.CauseRolledBack:  codeRolledBack,
	coffer.CauseExists:      codeExists,
	coffer.CauseEnabled:     codeExists,
	coffer.CauseDestination: codeUsage,
	coffer.CauseRules:       codeUsage,

	coffer.CauseWrongPassword:  codeWrongPassword,
	coffer.CauseTooEarly:       codeTooEarly,
	coffer.CauseDestroyed:      codeDestroyed,
	coffer.CauseNoRegistration: codeNoRegistration,
	coffer.CauseNotPrimary:     codeNotPrimary,
	coffer.CauseLogin:          codeLogin,
	coffer.CauseVault:          codeVault,
	coffer.CauseWeakPassword:   codeWeakPassword,
	coffer.CauseFleet:          codeFleet,
	coffer.CauseHasPassword:    codeHasPassword,
	coffer.CauseReplaced:       codeReplaced,
	coffer.CauseVaultURL:       codeUsage,
}

// What the command line itself has to say, beside the causes of package coffer.
type (
	// usageError is a command line that makes no sense.
	usageError struct{ error }

	// outcome is a run that did its work and has a code of its own, with its own advice.
	outcome struct {
		code int
		what string
		todo string
	}
)

func (e usageError) Unwrap() error { return e.error }
func (o outcome) Error() string    { return o.what }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// explain prints what happened and what to do, and returns the exit code. It is the one place where errors become codes.
func (a *app) explain(err error) int {
	code, cause, todo := a.judge(err)
	fmt.Fprintf(a.err, "coffer: %s\n", escaped(err.Error()))
	if todo != "" {
		fmt.Fprintf(a.err, "  %s\n", todo)
	}
	if a.cli.JSON && !a.answered {
		a.answer(map[string]any{"error": jsonError{code, cause, escaped(err.Error()), todo}})
	}
	return code
}

type jsonError struct {
	Code    int          `json:"code"`
	Cause   coffer.Cause `json:"cause"`
	Message string       `json:"message"`
	Todo    string       `json:"todo,omitempty"`
}

func (a *app) judge(err error) (code int, cause coffer.Cause, todo string) {
	if o, ok := errors.AsType[outcome](err); ok {
		return o.code, "outcome", o.todo
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return codeUsage, "usage", "See: " + a.usageOf(err)
	}
	cause = coffer.CauseOf(err)
	code, ok := causeCodes[cause]
	if !ok {
		code = codeFailed
	}
	return code, cause, a.advice(cause, err)
}

// usageOf names the help that fits: that of the command, as far as the parser came.
func (a *app) usageOf(err error) string {
	if a.command != nil {
		return "coffer " + a.command.Path() + " --help"
	}
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context.Selected() != nil {
		return "coffer " + parse.Context.Selected().Path() + " --help"
	}
	return "coffer help"
}

// answer prints the one JSON document of a run.
func (a *app) answer(v any) error {
	a.answered = true
	if len(a.warned) > 0 {
		var err error
		if v, err = a.withWarnings(v); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// withWarnings adds to a document's notices what was said on standard error.
func (a *app) withWarnings(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var document map[string]json.RawMessage
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	var notices []string
	if there, ok := document["notices"]; ok {
		if err := json.Unmarshal(there, &notices); err != nil {
			return nil, err
		}
	}
	document["notices"], err = json.Marshal(append(notices, a.warned...))
	return document, err
}
