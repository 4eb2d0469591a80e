// SPDX-License-Identifier: Apache-2.0

package coffer

import "errors"

// Errors of a device with a vault. What the vault itself says is in package recovery, and comes through as it is.
var (
	// ErrNotLoggedIn means that this device has no login at a vault.
	ErrNotLoggedIn = errors.New("this device is not logged in to a vault")

	// ErrVaultURL means that the text is no address of a vault.
	ErrVaultURL = errors.New("not the address of a vault")

	// ErrHasPassword means that the key of this device is in the vault under a password, and what was asked for would
	// leave it there for nothing, or lost.
	ErrHasPassword = errors.New("the key of this device is in the vault under a password")

	// ErrWeakPassword means that a password is easily guessed. The error that wraps it says why and what to do.
	ErrWeakPassword = errors.New("the password is too weak")

	// ErrOtherPassword means that it is another password than the one that was set on this device.
	ErrOtherPassword = errors.New("this is not the password that was set on this device. No guess was used")

	// ErrNoCheck means that this device cannot tell whether a password is right: none was set on it.
	ErrNoCheck = errors.New("no password was set on this device, so it cannot test one")

	// ErrNotTaken means that a password which was being set has not taken effect. What was there before still holds.
	ErrNotTaken = errors.New("the password has not taken effect: set it again")
)

// vaultError is an error of the vault in a run that is about the archive, and can go on without the vault.
type vaultError struct{ error }

func (e vaultError) Unwrap() error { return e.error }
