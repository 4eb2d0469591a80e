// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/pkcs11"
	"github.com/coffer-backup/coffer/seal/software"
	"github.com/coffer-backup/coffer/seal/tpm2"
)

// Seal says what seals a core's state. The zero value is software, whose keys lie in the node's folder. What of it is told to a core's process has no
// secret, but may name files that have one.
type Seal struct {
	Kind seal.Tier `json:"kind,omitempty"` // software, tpm2, pkcs11

	// Of tpm2, see package seal/tpm2.
	Device        string `json:"device,omitempty"`          // empty: the system's
	PCRs          []uint `json:"pcrs,omitempty"`            // that must be as they were when the node was made
	AuthFile      string `json:"auth_file,omitempty"`       // with the operator's auth value; empty: none
	OwnerAuthFile string `json:"owner_auth_file,omitempty"` // with that of the TPM's owner, for Create and Join; empty: none

	// Of pkcs11, see package seal/pkcs11.
	Module  string `json:"module,omitempty"`   // the absolute path of the token's library
	Token   string `json:"token,omitempty"`    // its label
	Serial  string `json:"serial,omitempty"`   // its serial number; empty: the label is enough
	PINFile string `json:"pin_file,omitempty"` // with the user's PIN; empty: PIN has it

	// PIN returns the PIN where no file has it, such as one that was typed. The bytes are wiped by who gets them. A core in a process of its own gets
	// it through a pipe, at each start.
	PIN Secret `json:"-"`

	Piped bool `json:"pin_piped,omitempty"` // a core's process finds the PIN in a pipe

	auth Secret // in the place of AuthFile's
}

// Errors of a sealer's settings.
var (
	// ErrSeal means that there is no such sealer.
	ErrSeal = errors.New("vault: this version has the sealers software, tpm2 and pkcs11")
	// ErrSealSettings means that a setting is missing, or is another sealer's.
	ErrSealSettings = errors.New("vault: the settings are not those of this sealer")
)

// Check reports what is wrong with it.
func (s *Seal) Check() error {
	ofTPM := s.Device != "" || len(s.PCRs) > 0 || s.AuthFile != "" || s.OwnerAuthFile != ""
	ofToken := s.Module != "" || s.Token != "" || s.Serial != "" || s.PINFile != "" || s.PIN != nil || s.Piped
	switch s.Kind {
	case "", seal.Software:
		if ofTPM || ofToken {
			return fmt.Errorf("%w: software has none", ErrSealSettings)
		}
	case seal.TPM2:
		if ofToken {
			return fmt.Errorf("%w: some are of pkcs11", ErrSealSettings)
		}
	case seal.PKCS11:
		switch {
		case ofTPM:
			return fmt.Errorf("%w: some are of tpm2", ErrSealSettings)
		case s.Module == "" || s.Token == "":
			return fmt.Errorf("%w: pkcs11 needs a module and the label of a token", ErrSealSettings)
		}
		return pkcs11.Usable()
	default:
		return fmt.Errorf("%w, and no %q", ErrSeal, s.Kind)
	}
	return nil
}

func (s *Seal) tier() seal.Tier { return cmp.Or(s.Kind, seal.Software) }

// PINDescriptor is the file descriptor on which a process that was told of a Seal finds the PIN, where there is one.
const PINDescriptor = 4

// ForProcess returns what tells another process of s: a text for its ParseSeal, which may be an argument, for there is no secret in it, and what has to be its file
// PINDescriptor, nil if a file has the PIN. Of this the caller closes his own.
func (s *Seal) ForProcess() (text string, pin *os.File, err error) {
	if s.PIN != nil && s.PINFile == "" {
		pin, err = piped(s.PIN)
	}
	return s.text(), pin, err
}

func (s *Seal) text() string {
	told := *s
	told.Piped = s.PIN != nil && s.PINFile == ""
	text, _ := json.Marshal(told) // texts and numbers
	return string(text)
}

// ParseSeal reads what ForProcess told this process.
func ParseSeal(text string) (s Seal, err error) {
	if err = json.Unmarshal([]byte(text), &s); err == nil {
		err = s.Check()
	}
	if err == nil && s.Piped {
		s.PIN, err = readPiped()
	}
	return s, err
}

func (s *Seal) tpm2(dir string) tpm2.Config {
	auth := secretFile(s.AuthFile)
	if s.auth != nil {
		auth = s.auth
	}
	return tpm2.Config{Folder: dir, Device: s.Device, PCRs: s.PCRs, Auth: auth, OwnerAuth: secretFile(s.OwnerAuthFile)}
}

func (s *Seal) pkcs11(dir string) pkcs11.Config {
	pin := s.PIN
	if s.PINFile != "" {
		pin = secretFile(s.PINFile)
	}
	return pkcs11.Config{Folder: dir, Module: s.Module, Token: s.Token, Serial: s.Serial, PIN: pin}
}

// Create makes the place of a new sealer's keys in dir, and opens it. The error wraps fs.ErrExist if there are keys.
func (s *Seal) Create(ctx context.Context, dir string) (seal.Sealer, error) {
	switch s.Kind {
	case seal.TPM2:
		return sealer(tpm2.Create(ctx, s.tpm2(dir)))
	case seal.PKCS11:
		return sealer(pkcs11.Create(ctx, s.pkcs11(dir)))
	}
	return sealer(software.Create(dir))
}

// Open opens what Create has made. It waits a little for one that is in use: the core of a host that was killed lets go of it as soon as it
// notices. Nothing else is tried again: a token may count wrong PINs, and where a copy of the folder was opened each opening takes the keys from the other.
func (s *Seal) Open(ctx context.Context, dir string) (seal.Sealer, error) {
	const tries, wait = 50, 100 * time.Millisecond
	for n := 1; ; n++ {
		opened, err := s.open(ctx, dir)
		if !errors.Is(err, seal.ErrInUse) || errors.Is(err, pkcs11.ErrOvertaken) || errors.Is(err, tpm2.ErrRaced) || n == tries {
			return opened, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Seal) open(ctx context.Context, dir string) (seal.Sealer, error) {
	switch s.Kind {
	case seal.TPM2:
		return sealer(tpm2.Open(ctx, s.tpm2(dir)))
	case seal.PKCS11:
		return sealer(pkcs11.Open(ctx, s.pkcs11(dir)))
	}
	return sealer(software.Open(dir))
}

// Remove destroys all keys in dir, and their place.
func (s *Seal) Remove(ctx context.Context, dir string) (err error) {
	switch s.Kind {
	case seal.TPM2:
		err = tpm2.Remove(ctx, s.tpm2(dir))
	case seal.PKCS11:
		err = pkcs11.Remove(ctx, s.pkcs11(dir))
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// WithSecret is s with another PIN or auth value; false if it has none.
func (s *Seal) WithSecret(secret Secret) (other Seal, ok bool) {
	other = *s
	switch {
	case s.Kind == seal.PKCS11:
		other.PIN, other.PINFile = secret, ""
	case s.Kind == seal.TPM2 && s.AuthFile != "":
		other.auth = secret
	default:
		return other, false
	}
	return other, true
}

// SecretRefused says whether an error of Open means that the hardware did not take the PIN or the auth value.
func SecretRefused(err error) bool {
	return errors.Is(err, pkcs11.ErrPIN) || errors.Is(err, tpm2.ErrAuth)
}

// Forgive lets a PIN be tried in dir that was refused there.
func (s *Seal) Forgive(dir string) error {
	err := os.Remove(filepath.Join(dir, pkcs11.RefusedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sealer makes of a driver's nil pointer a nil interface.
func sealer[S seal.Sealer](s S, err error) (seal.Sealer, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
