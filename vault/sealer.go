// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/software"
	"github.com/coffer-backup/coffer/seal/tpm2"
)

// Seal says what seals a core's state. The zero value is software, whose keys lie in the node's folder. It has no secret, but may
// name files that have one.
type Seal struct {
	Kind seal.Tier `json:"kind,omitempty"` // software, tpm2

	// Of tpm2, see package seal/tpm2.
	Device        string `json:"device,omitempty"`          // empty: the system's
	PCRs          []uint `json:"pcrs,omitempty"`            // that must be as they were when the node was made
	AuthFile      string `json:"auth_file,omitempty"`       // with the operator's auth value; empty: none
	OwnerAuthFile string `json:"owner_auth_file,omitempty"` // with that of the TPM's owner, for Create and Join; empty: none
}

// ErrSeal means that there is no such sealer.
var ErrSeal = errors.New("vault: this version has the sealers software and tpm2")

// Check reports what is wrong with it.
func (s *Seal) Check() error {
	switch s.Kind {
	case "", seal.Software:
		if s.Device != "" || len(s.PCRs) > 0 || s.AuthFile != "" || s.OwnerAuthFile != "" {
			return fmt.Errorf("%w, and software has no settings", ErrSeal)
		}
		return nil
	case seal.TPM2:
		return nil
	}
	return fmt.Errorf("%w, and no %q", ErrSeal, s.Kind)
}

// ParseSeal reads what CoreArgs wrote.
func ParseSeal(text string) (s Seal, err error) {
	if err = json.Unmarshal([]byte(text), &s); err == nil {
		err = s.Check()
	}
	return s, err
}

func (s *Seal) tpm2(dir string) tpm2.Config {
	return tpm2.Config{Folder: dir, Device: s.Device, PCRs: s.PCRs, Auth: secretFile(s.AuthFile), OwnerAuth: secretFile(s.OwnerAuthFile)}
}

// Create makes the place of a new sealer's keys in dir, and opens it.
func (s *Seal) Create(ctx context.Context, dir string) (seal.Sealer, error) {
	if s.Kind == seal.TPM2 {
		return sealer(tpm2.Create(ctx, s.tpm2(dir)))
	}
	return sealer(software.Create(dir))
}

// Open opens what Create has made. It waits a little for one that is in use: the core of a host that was killed lets go of it as soon as it
// notices. Nothing else is tried again: a token may count wrong auth values.
func (s *Seal) Open(ctx context.Context, dir string) (seal.Sealer, error) {
	const tries, wait = 50, 100 * time.Millisecond
	for n := 1; ; n++ {
		opened, err := s.open(ctx, dir)
		if !errors.Is(err, seal.ErrInUse) || n == tries {
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
	if s.Kind == seal.TPM2 {
		return sealer(tpm2.Open(ctx, s.tpm2(dir)))
	}
	return sealer(software.Open(dir))
}

// Remove destroys all keys in dir, and their place.
func (s *Seal) Remove(ctx context.Context, dir string) error {
	if s.Kind == seal.TPM2 {
		if err := tpm2.Remove(ctx, s.tpm2(dir)); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// sealer makes of a driver's nil pointer a nil interface.
func sealer[S seal.Sealer](s S, err error) (seal.Sealer, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

const maxSecretFile = 1 << 10 // bytes

// secretFile reads a secret without the line's end that editors put there. An empty path is no secret.
func secretFile(path string) func() ([]byte, error) {
	if path == "" {
		return nil
	}
	return func() ([]byte, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		text, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
		if err == nil && len(text) > maxSecretFile {
			err = fmt.Errorf("%s is longer than a secret", path)
		}
		return bytes.TrimRight(text, "\r\n"), err
	}
}
