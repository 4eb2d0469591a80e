// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// The handles that the TCG's registry leaves to the owner's applications.
const (
	firstIndex = 0x01800000
	indexMask  = 0x003fffff
)

// randomIndex makes collisions of our own rare; one with an index that is there already is found by defining it.
func randomIndex() Index {
	var b [4]byte
	rand.Read(b[:])
	return Index(firstIndex | binary.BigEndian.Uint32(b[:])&indexMask)
}

// public is what the index of an anchor is. It can be read and extended under its policy only: not with the owner's auth
// value, and not with its own alone. Its content never goes back to what it was, which is what an extended one is for.
func (a *anchor) public(written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(a.Index),
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			NT: tpm2.TPMNTExtend, PolicyRead: true, PolicyWrite: true, Written: written,
			// Without an auth value of the operator's there is nothing to guess, 256 random bits being in its place. Then the
			// wrong guesses of others, which lock the TPM for what counts them, must not lock the node out.
			NoDA: !a.AsksAuth,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: a.Policy},
		DataSize:   valueSize,
	}
}

func (a *anchor) named(written bool) (tpm2.NamedHandle, error) {
	public := a.public(written)
	name, err := tpm2.NVName(&public)
	if err != nil {
		return tpm2.NamedHandle{}, err
	}
	return tpm2.NamedHandle{Handle: public.NVIndex, Name: *name}, nil
}

// define makes the anchor's index. It holds nothing yet.
func (c *chip) define(a *anchor, auth, ownerAuth []byte) error {
	_, err := tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{
			Handle: tpm2.TPMRHOwner,
			Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize,
				c.salted(tpm2.Auth(ownerAuth), tpm2.AESEncryption(128, tpm2.EncryptIn))...),
		},
		Auth:       tpm2.TPM2BAuth{Buffer: auth},
		PublicInfo: tpm2.New2B(a.public(false)),
	}.Execute(c.tpm)
	return explainOwner(err)
}

// undefine removes the anchor's index for ever, if it is there.
func (c *chip) undefine(a *anchor, ownerAuth []byte) error {
	for _, written := range []bool{true, false} {
		index, err := a.named(written)
		if err != nil {
			return err
		}
		if there, err := c.nameAt(index.Handle); errors.Is(err, ErrCleared) {
			return nil
		} else if err != nil {
			return err
		} else if bytes.Equal(there, index.Name.Buffer) {
			return c.remove(index, ownerAuth)
		}
	}
	return nil // another's, which has the place by now
}

func (c *chip) remove(index tpm2.NamedHandle, ownerAuth []byte) error {
	_, err := tpm2.NVUndefineSpace{
		AuthHandle: tpm2.AuthHandle{
			Handle: tpm2.TPMRHOwner,
			Auth:   tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, c.salted(tpm2.Auth(ownerAuth))...),
		},
		NVIndex: index,
	}.Execute(c.tpm)
	return explainOwner(err)
}

// nameAt returns the name of what is at the handle, or ErrCleared.
func (c *chip) nameAt(handle tpm2.TPMHandle) ([]byte, error) {
	public, err := tpm2.NVReadPublic{NVIndex: handle}.Execute(c.tpm)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, ErrCleared
	} else if err != nil {
		return nil, err
	}
	return public.NVName.Buffer, nil
}

// read returns what the index holds, encrypted on its way.
func (c *chip) read(a *anchor, auth []byte) (value [valueSize]byte, err error) {
	index, err := a.named(true)
	if err != nil {
		return value, err
	}
	// Asked before, because a wrong name looks like a wrong auth value, and is counted as one.
	if there, err := c.nameAt(index.Handle); err != nil {
		return value, err
	} else if !bytes.Equal(there, index.Name.Buffer) {
		return value, ErrCleared
	}
	var got *tpm2.NVReadResponse
	err = steadily(func() (err error) {
		got, err = tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{
				Handle: index.Handle, Name: index.Name,
				Auth: c.policy(a, auth, tpm2.AESEncryption(128, tpm2.EncryptOut)),
			},
			NVIndex: index,
			Size:    valueSize,
		}.Execute(c.tpm)
		return err
	})
	if err != nil {
		return value, explain(err)
	}
	defer clear(got.Data.Buffer)
	if copy(value[:], got.Data.Buffer) != valueSize {
		return value, fmt.Errorf("%w as it should: %d bytes", ErrUnavailable, len(got.Data.Buffer))
	}
	return value, nil
}

// extend makes the index hold next, which is extended(before, with), if it holds before. Its one write cannot be
// undone, and of several that begin with the same content one at most succeeds.
func (c *chip) extend(a *anchor, auth []byte, written bool, with, next [valueSize]byte) error {
	index, err := a.named(written)
	if err != nil {
		return err
	}
	err = steadily(func() error {
		return nvExtend(c.tpm, index, c.policy(a, auth, tpm2.AESEncryption(128, tpm2.EncryptIn)), with[:])
	})
	if err != nil {
		return explain(err)
	}
	now, err := c.read(a, auth)
	if err == nil && now != next {
		err = ErrRaced
	}
	return err
}

// steadily does again what was refused because some PCR, any PCR, was extended beside it. A kernel that measures files
// (IMA) does so at any time. What was refused had no effect, and was no wrong try.
func steadily(do func() error) (err error) {
	for range 8 {
		if err = do(); !errors.Is(err, tpm2.TPMRCPCRChanged) {
			break
		}
	}
	return err
}

// extended is what an index holds that held before and was extended. Nothing leads back from it.
func extended(before, with [valueSize]byte) [valueSize]byte {
	h := sha256.New()
	h.Write(before[:])
	h.Write(with[:])
	return [valueSize]byte(h.Sum(nil))
}
