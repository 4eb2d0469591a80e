// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/coffer-backup/coffer/seal"
)

// What a driver for a TPM can say beyond the contract. The first three are final: trying again does not help.
var (
	// ErrOtherTPM means that this is not the TPM that made the keys. There is no key here.
	ErrOtherTPM = fmt.Errorf("the keys were made by another TPM: %w", seal.ErrNoKey)

	// ErrCleared means that the TPM has forgotten the keys: it was cleared, or the index was removed.
	ErrCleared = fmt.Errorf("the TPM no longer has the index of these keys, it was cleared or the index was removed: %w", seal.ErrNoKey)

	// ErrSetBack means that the table of keys is not the one that the TPM last agreed to: the folder is an
	// older copy, or was altered.
	ErrSetBack = fmt.Errorf("the folder is an older copy, or was altered: %w", seal.ErrTampered)

	// ErrRaced means that two copies of one folder have destroyed a key at the same moment. No copy opens any more.
	ErrRaced = fmt.Errorf("a copy of this folder is used beside it; both have lost their keys: %w", seal.ErrInUse)

	// ErrPCR means that the machine did not start as it did when the keys were made.
	ErrPCR = errors.New("the PCRs are not those that the keys are bound to: start the machine as before, and rebind before a change")

	// ErrAuth means that the auth value is wrong. It was tried once; the sealer does not try again until it is opened anew.
	ErrAuth = errors.New("the TPM refused the auth value; it was tried once, and each try counts")

	// ErrOwnerAuth means that the TPM's owner has an auth value, and it is not this one.
	ErrOwnerAuth = errors.New("the TPM refused the owner's auth value")

	// ErrLockout means that the TPM takes no auth value for now, after too many wrong ones, whoever gave them.
	ErrLockout = errors.New("the TPM is locked after too many wrong auth values: wait for its recovery time, or reset it with tpm2_dictionarylockout --clear-lockout")

	// ErrNVFull means that the TPM has no room for another index.
	ErrNVFull = errors.New("the TPM's NV memory is full: remove an index that nobody needs")

	// ErrBinding means that the configuration asks for another binding than the keys have.
	ErrBinding = errors.New("the keys are bound otherwise than configured")

	// ErrUnavailable means that the TPM does not answer, or not as a TPM does.
	ErrUnavailable = errors.New("the TPM does not answer")

	// ErrTooManyKeys means that nobody destroys keys.
	ErrTooManyKeys = errors.New("too many keys: destroy some")

	// ErrUnfinished means that the folder is none of this driver's, or that Create was interrupted there.
	ErrUnfinished = errors.New("no keys were created here")
)

// explain gives a TPM's code the name that an operator can act on.
func explain(err error) error {
	for code, named := range map[tpm2.TPMRC]error{
		tpm2.TPMRCAuthFail:   ErrAuth, // of what counts wrong tries
		tpm2.TPMRCBadAuth:    ErrAuth, // of what does not
		tpm2.TPMRCLockout:    ErrLockout,
		tpm2.TPMRCPolicyFail: ErrPCR,
		tpm2.TPMRCNVSpace:    ErrNVFull,
	} {
		if errors.Is(err, code) {
			return fmt.Errorf("%w (%w)", named, err)
		}
	}
	return err
}

// explainOwner is explain for what the owner authorises, whose auth value is another.
func explainOwner(err error) error {
	if errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail) {
		return fmt.Errorf("%w (%w)", ErrOwnerAuth, err)
	}
	return explain(err)
}
