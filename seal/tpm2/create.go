// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-tpm/tpm2"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// DefaultDevice is the kernel's resource manager, which cleans up behind a process that dies.
const DefaultDevice = "/dev/tpmrm0"

// Config says where the keys are, and what it takes to use them.
type Config struct {
	// Folder holds what is not in the TPM. It belongs to this driver alone.
	Folder string

	// Device is the path of a character device or of a Unix socket; empty for DefaultDevice.
	Device string

	// PCRs, in ascending order, are those of the SHA-256 bank that must be as they were at Create or Rebind.
	PCRs []uint

	// Auth, if set, returns the operator's auth value, which is asked for once. The TPM counts wrong ones. Its bytes are wiped.
	Auth func() ([]byte, error)

	// OwnerAuth, if set, returns the auth value of the TPM's owner. Create, Remove and Rebind need it
	// if the owner has one; nothing else does. Its bytes are wiped.
	OwnerAuth func() ([]byte, error)
}

func (c Config) dial(ctx context.Context) (device, bool, error) {
	if c.Device == "" {
		return dial(ctx, DefaultDevice)
	}
	return dial(ctx, c.Device)
}

// operatorsAuth refuses an empty value, which would protect nothing.
func (c Config) operatorsAuth() ([]byte, error) {
	if c.Auth == nil {
		return nil, nil
	}
	auth, err := c.Auth()
	if err == nil && len(auth) == 0 {
		err = fmt.Errorf("%w: the auth value is empty", ErrBinding)
	}
	return auth, err
}

func (c Config) ownersAuth() ([]byte, error) {
	if c.OwnerAuth == nil {
		return nil, nil
	}
	auth, err := c.OwnerAuth()
	return bytes.TrimRight(auth, "\x00"), err
}

// Create makes the folder and an index in the TPM, and opens them. A folder that is there already must hold no keys.
// What a Create that was interrupted has left, in the folder and in the TPM, is removed.
func Create(ctx context.Context, config Config) (*Sealer, error) {
	f, err := folder.Create(config.Folder)
	if err != nil {
		return nil, in(config, err)
	}
	return created(ctx, config, f, config.dial)
}

func created(ctx context.Context, config Config, f files, open opener) (*Sealer, error) {
	s := &Sealer{turn: make(chan struct{}, 1), files: f, dial: open}
	if err := s.create(ctx, config); err != nil {
		return nil, in(config, errors.Join(err, f.Close()))
	}
	return s, nil
}

func in(config Config, err error) error {
	return fmt.Errorf("sealing keys in %s: %w", config.Folder, err)
}

func (s *Sealer) create(ctx context.Context, config Config) error {
	if err := checkPCRs(config.PCRs); err != nil {
		return err
	}
	if a, err := readAnchor(s.files, anchorName); err != nil {
		return err
	} else if a != nil {
		return fmt.Errorf("%w: the folder has keys", fs.ErrExist)
	}
	c, err := connect(ctx, s.dial)
	if err != nil {
		return err
	}
	defer c.close()
	if err := s.settle(c, config); err != nil {
		return err
	}
	operators, err := config.operatorsAuth()
	if err != nil {
		return err
	}
	defer clear(operators)
	made := newAnchor(c.name, config.Auth != nil, config.PCRs)
	return s.hang(c, config, made, operators, table{}, tableName)
}

// hang makes an index for an anchor, seals the table under it, and makes the anchor the one that counts.
func (s *Sealer) hang(c *chip, config Config, made *anchor, operators []byte, t table, tableName string) (err error) {
	if made.Policy, err = c.policyDigest(made.PCRs); err != nil {
		return err
	}
	owners, err := config.ownersAuth()
	if err != nil {
		return err
	}
	defer clear(owners)
	auth := made.auth(operators)
	if err := s.defineFree(c, made, auth, owners); err != nil {
		return err
	}
	var with [valueSize]byte
	rand.Read(with[:])
	defer clear(with[:])
	value := extended([valueSize]byte{}, with)
	defer clear(value[:])
	if err := c.extend(made, auth, false, with, value); err != nil {
		return err
	}
	if err := writeTable(s.files, tableName, t, value); err != nil {
		return err
	}
	// A crash before the end of this line leaves an index that settle removes.
	if err := rename(s.files, nextAnchor, anchorName); err != nil {
		return err
	}
	s.anchor, s.auth = made, auth
	return nil
}

// defineFree writes down which index it is about to make, so that none is forgotten in the TPM, and makes it.
func (s *Sealer) defineFree(c *chip, made *anchor, auth, owners []byte) error {
	for {
		// A place that is taken must not be written down: settle could take another folder's index for ours.
		if _, err := c.nameAt(tpm2.TPMHandle(made.Index)); errors.Is(err, ErrCleared) {
			break
		} else if err != nil {
			return err
		}
		made.Index = randomIndex()
	}
	if err := writeAnchor(s.files, nextAnchor, made); err != nil {
		return err
	}
	return c.naming(c.define(made, auth, owners))
}

// settle removes what an interrupted Create or Rebind has left: an index that nothing rests on.
func (s *Sealer) settle(c *chip, config Config) error {
	left, err := readAnchor(s.files, nextAnchor)
	if err != nil || left == nil {
		return err
	}
	if !bytes.Equal(left.TPM, c.name) {
		return ErrOtherTPM
	}
	owners, err := config.ownersAuth()
	if err != nil {
		return err
	}
	defer clear(owners)
	if err := c.undefine(left, owners); err != nil {
		return err
	}
	if err := s.files.Remove(nextAnchor); err != nil {
		return err
	}
	return s.files.Sync()
}

// Open opens what Create has made, and reads it once, so that whatever is wrong is found here. It finishes
// what an interrupted Rebind has left.
func Open(ctx context.Context, config Config) (*Sealer, error) {
	f, err := folder.Open(config.Folder)
	if err != nil {
		return nil, in(config, err)
	}
	return opened(ctx, config, f, config.dial)
}

func opened(ctx context.Context, config Config, f files, open opener) (*Sealer, error) {
	s := &Sealer{turn: make(chan struct{}, 1), files: f, dial: open}
	if err := s.open(ctx, config); err != nil {
		return nil, in(config, errors.Join(err, f.Close()))
	}
	return s, nil
}

func (s *Sealer) open(ctx context.Context, config Config) (err error) {
	if s.anchor, err = readAnchor(s.files, anchorName); err != nil {
		return err
	}
	if s.anchor == nil {
		return ErrUnfinished
	}
	if err := s.anchor.binds(config); err != nil {
		return err
	}
	operators, err := config.operatorsAuth()
	if err != nil {
		return err
	}
	defer clear(operators)
	s.auth = s.anchor.auth(operators)
	return s.with(ctx, func(k *keys) error {
		if err := s.settle(k.chip, config); err != nil {
			return err
		}
		return s.undefineReplaced(k.chip, config, s.anchor)
	})
}
