// SPDX-License-Identifier: Apache-2.0

// Package pkcs11 is the sealer whose keys are objects in a PKCS#11 token: an HSM, a card, a network HSM's partition.
//
// Each key is an AES-256 key that the token made itself, sensitive, not extractable and not copyable. The token encrypts and
// decrypts with AES-GCM, and Destroy is C_DestroyObject. So copies of the disk, of any age, open nothing without the token, and
// what was sealed under a destroyed key opens for nobody, as far as the token itself can neither be copied nor set back.
//
// It trusts the token, its PKCS#11 module (a library that runs inside this process), the operating system, and whoever can
// read this process's memory. It does not take silence for an answer: that a key is absent, or destroyed, it says only if the
// token shows, after that, the object that this sealer has put there when it was opened (the owner). The next one that opens a copy of
// the folder, on whatever machine, destroys that object first. So of several copies one at most is told that a key that it has seen
// is gone, and a key can be used and destroyed exactly once. It refuses a token other than the one of
// Create, a folder that others can read or that is in use, and it never gives a token a PIN again that the token has refused.
//
// The library that it uses needs cgo. A binary built without it has this package, too, and says so in each call with [ErrNoCgo].
//
// README.md says how to set it up, what it protects against, and what it does not.
package pkcs11

import (
	"errors"
	"fmt"
	"time"

	"github.com/coffer-backup/coffer/seal"
)

// Config says where the keys are, and what it takes to use them.
type Config struct {
	// Folder holds the lock and the anchor, no secrets. It belongs to this driver alone.
	Folder string

	// Module is the absolute path of the token's PKCS#11 library.
	Module string

	// Token is the label of the token. Serial may be empty if only one token has that label.
	Token, Serial string

	// PIN returns the user's PIN. It is asked for when the token is opened, and again when it has to be opened anew after
	// a failure. Its bytes are wiped. It is part of a call, so a person is better asked before.
	PIN func() ([]byte, error)

	// Timeout is how long a call waits for the token; 0 is DefaultTimeout. A call that has reached the token cannot be
	// taken back: it ends when the token answers, and until then the sealer does nothing else.
	Timeout time.Duration
}

// DefaultTimeout is far above what a healthy token takes to make a key.
const DefaultTimeout = 30 * time.Second

// RefusedName is that of an empty file in the folder. While it is there, no PIN is tried.
const RefusedName = "pin-refused"

// What this driver can say beyond the contract.
var (
	// ErrNoCgo means that this binary cannot speak to any token.
	ErrNoCgo = errors.New("this binary was built without cgo, and so without PKCS#11: `make build-pkcs11` makes a cofferd that has it, and needs a C compiler")

	// ErrUnavailable means that the token, or the way to it, fails or does not answer in time. Nothing is lost.
	ErrUnavailable = errors.New("the PKCS#11 token does not answer as it should")

	// ErrNoToken means that the module shows no such token, or several.
	ErrNoToken = fmt.Errorf("no such token: %w", ErrUnavailable)

	// ErrOtherToken means that the token is not the one that made the keys.
	ErrOtherToken = fmt.Errorf("the keys were made by another token: %w", seal.ErrNoKey)

	// ErrCleared means that it is the right token, and it has forgotten the keys.
	ErrCleared = fmt.Errorf("the token no longer has these keys: it was initialised anew, or set back, or somebody destroyed them: %w", seal.ErrNoKey)

	// ErrOvertaken means that a copy of the folder was opened after this sealer was. What is at the token belongs to that one now.
	ErrOvertaken = fmt.Errorf("a copy of this folder has taken the token's keys over: %w", seal.ErrInUse)

	// ErrPIN means that the token refused the PIN. It was tried once, and is not tried again until an operator says so.
	ErrPIN = errors.New("the token refused the PIN; it was tried once, and tokens lock themselves after a few")

	// ErrPINLocked means that the token takes no PIN any more.
	ErrPINLocked = errors.New("the token has locked its user PIN after too many wrong ones: the security officer (SO) must set it anew, as the vendor's tool does; the keys stay")

	// ErrFinalTry means that the next wrong PIN locks the token, so that none was tried.
	ErrFinalTry = errors.New("the token has one try left for its PIN, and it was not used: log in once with the vendor's tool and the right PIN, which restores the tries")

	// ErrUnfit means that the token cannot do what this driver needs.
	ErrUnfit = errors.New("the token cannot keep these keys")

	// ErrUnfinished means that the folder is none of this driver's, or that Create was interrupted there.
	ErrUnfinished = errors.New("no keys were created here")

	// ErrConfig means that the configuration makes no sense.
	ErrConfig = errors.New("wrong configuration")
)
