// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

const nonceSize = 16 // of a session, in bytes

// valueSize is that of what the index holds: a SHA-256 digest.
const valueSize = sha256.Size

// chip is the TPM during one call. Nothing in it lasts longer, so a TPM that was reset
// in between, with all its sessions, is met by the next call as if nothing had been.
//
// Who listens on the bus learns no secret: each session is salted to the endorsement key, whose secret half never
// leaves the TPM, and encrypts the parameter that is secret. Who answers in the TPM's place learns none either,
// because the anchor names that key.
type chip struct {
	tpm    transport.TPM
	hangUp func() error
	key    tpm2.TPMHandle // the endorsement key, loaded
	public tpm2.TPMTPublic
	name   []byte // of the endorsement key: it identifies the TPM
}

// connect loads the endorsement key. Its template is the standard one, so a TPM has always the same.
func connect(ctx context.Context, open opener) (*chip, error) {
	d, alone, err := open(ctx)
	if err != nil {
		return nil, err
	}
	l := &line{ctx: ctx, device: d}
	c := &chip{tpm: l, hangUp: l.close}
	if alone {
		err = c.flushAll()
	}
	if err == nil {
		err = c.loadKey()
	}
	if err != nil {
		c.hangUp()
		return nil, err
	}
	return c, nil
}

func (c *chip) loadKey() error {
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHEndorsement,
		InPublic:      tpm2.New2B(tpm2.ECCEKTemplate),
	}.Execute(c.tpm)
	if err != nil {
		return fmt.Errorf("the TPM's endorsement key: %w", err)
	}
	c.key = made.ObjectHandle
	public, err := made.OutPublic.Contents()
	if err != nil {
		return errors.Join(err, c.flush(c.key))
	}
	// Not the name that came along: what matters is whom the salt is encrypted to.
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return errors.Join(err, c.flush(c.key))
	}
	c.public, c.name = *public, name.Buffer
	return nil
}

// close gives the TPM its slot back. It says nothing of errors: what was asked is done by now.
func (c *chip) close() {
	c.flush(c.key)
	c.hangUp()
}

func (c *chip) flush(handle tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: handle}.Execute(c.tpm)
	return err
}

// flushAll removes the sessions and objects that a killed process has left. Behind a resource manager, as
// /dev/tpmrm0 is one, the kernel does it. Without one a few are enough to fill the TPM.
func (c *chip) flushAll() error {
	for _, first := range []tpm2.TPMHandle{0x02000000, 0x03000000, 0x80000000} { // loaded sessions, saved ones, objects
		handles, err := c.handles(first)
		if err != nil {
			return err
		}
		for _, handle := range handles {
			if err := c.flush(handle); err != nil {
				return err
			}
		}
	}
	return nil
}

// handles lists those of the kind of first, from first on.
func (c *chip) handles(first tpm2.TPMHandle) (all []tpm2.TPMHandle, err error) {
	const atOnce = 64
	for {
		got, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: uint32(first), PropertyCount: atOnce}.Execute(c.tpm)
		if err != nil {
			return nil, err
		}
		list, err := got.CapabilityData.Data.Handles()
		if err != nil {
			return nil, err
		}
		all = append(all, list.Handle...)
		if !got.MoreData || len(list.Handle) == 0 {
			return all, nil
		}
		first = list.Handle[len(list.Handle)-1] + 1
	}
}

func (c *chip) salted(options ...tpm2.AuthOption) []tpm2.AuthOption {
	return append(options, tpm2.Salted(c.key, c.public))
}

// policy makes a session that lasts for one command on the anchor's index.
func (c *chip) policy(a *anchor, auth []byte, options ...tpm2.AuthOption) tpm2.Session {
	meet := func(tpm transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
		return meetPolicy(tpm, session, a.PCRs)
	}
	return tpm2.Policy(tpm2.TPMAlgSHA256, nonceSize, meet, c.salted(append(options, tpm2.Auth(auth))...)...)
}

// meetPolicy does what the policy of an index asks for: PCRs as they are now, if any, and the auth value.
func meetPolicy(tpm transport.TPM, session tpm2.TPMISHPolicy, pcrs []uint) error {
	if len(pcrs) > 0 {
		if _, err := (tpm2.PolicyPCR{PolicySession: session, Pcrs: selection(pcrs)}).Execute(tpm); err != nil {
			return err
		}
	}
	_, err := tpm2.PolicyAuthValue{PolicySession: session}.Execute(tpm)
	return err
}

func selection(pcrs []uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(pcrs...),
	}}}
}

// policyDigest is that of meetPolicy now.
func (c *chip) policyDigest(pcrs []uint) ([]byte, error) {
	if err := c.hasPCRs(pcrs); err != nil {
		return nil, err
	}
	trial, end, err := tpm2.PolicySession(c.tpm, tpm2.TPMAlgSHA256, nonceSize, c.salted(tpm2.Trial())...)
	if err != nil {
		return nil, err
	}
	defer end()
	if err := meetPolicy(c.tpm, trial.Handle(), pcrs); err != nil {
		return nil, err
	}
	digest, err := tpm2.PolicyGetDigest{PolicySession: trial.Handle()}.Execute(c.tpm)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(digest.PolicyDigest.Buffer), nil // it outlives the line
}

// hasPCRs asks for each PCR, because a TPM leaves out of a policy what it does not have, and the policy would bind to nothing.
func (c *chip) hasPCRs(pcrs []uint) error {
	for _, pcr := range pcrs {
		want := selection([]uint{pcr})
		got, err := tpm2.PCRRead{PCRSelectionIn: want}.Execute(c.tpm)
		if err != nil {
			return err
		}
		if !bytes.Equal(tpm2.Marshal(got.PCRSelectionOut), tpm2.Marshal(want)) {
			return fmt.Errorf("%w: the TPM has no PCR %d in its SHA-256 bank", ErrBinding, pcr)
		}
	}
	return nil
}
