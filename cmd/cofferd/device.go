// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/rand"

	lib "github.com/bytemare/opaque"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// device is OPAQUE's client without Argon2id, which neither the vault nor the messages can
// tell: the cost is the device's own and the vault only stores its parameters. It is for load alone: a record
// made so can be guessed fast by whoever opens a core.
type device struct {
	fleet   *wire.Descriptor
	client  *lib.Client // of the prepared guess
	ke1     [wire.KE1Size]byte
	blinded [wire.ElementSize]byte
	record  [wire.RecordSize]byte // a valid one, of no use
	key     [32]byte              // K of every account
}

var loadPassword = []byte("a password under load")

// configuration is what package opaque uses, without stretching. That package has no way around Argon2id, not even for this one,
// so that no device can take it; so it is said again here. If they differ, no login succeeds.
func configuration() *lib.Configuration {
	return &lib.Configuration{
		Context: []byte("coffer/v1/opaque"), KDF: crypto.SHA512, MAC: crypto.SHA512, Hash: crypto.SHA512,
		OPRF: lib.RistrettoSha512, AKE: lib.RistrettoSha512,
	}
}

func newDevice(fleet *wire.Descriptor) (*device, error) {
	d := &device{fleet: fleet}
	rand.Read(d.key[:])
	var err error
	if d.client, err = configuration().Client(); err != nil {
		return nil, err
	}
	// The same KE1 serves every guess: each has its own serial, and so is another guess.
	ke1, err := d.client.GenerateKE1(loadPassword)
	if err != nil {
		return nil, err
	}
	copy(d.ke1[:], ke1.Serialize())
	return d, d.prepareRecord()
}

// prepareRecord makes a record under an OPRF key that nobody has.
func (d *device) prepareRecord() error {
	client, blinded, err := startRegistration()
	if err != nil {
		return err
	}
	var seed [64]byte
	rand.Read(seed[:])
	oprfKey, err := opaque.DeriveOPRFKey(seed)
	if err != nil {
		return err
	}
	response, err := opaque.RegistrationResponse(oprfKey, d.fleet.OPAQUE, blinded)
	if err != nil {
		return err
	}
	d.blinded = blinded
	d.record, err = d.finishRegistration(client, response, wire.AccountID{})
	return err
}

func startRegistration() (client *lib.Client, blinded [wire.ElementSize]byte, err error) {
	if client, err = configuration().Client(); err != nil {
		return nil, blinded, err
	}
	request, err := client.RegistrationInit(loadPassword)
	if err != nil {
		return nil, blinded, err
	}
	copy(blinded[:], request.Serialize())
	return client, blinded, nil
}

func (d *device) finishRegistration(client *lib.Client, response [wire.RegistrationSize]byte, id wire.AccountID) (record [wire.RecordSize]byte, err error) {
	answer, err := client.Deserialize.RegistrationResponse(response[:])
	if err != nil {
		return record, err
	}
	upload, _, err := client.RegistrationFinalize(answer, id[:], d.fleet.Fleet[:])
	if err != nil {
		return record, err
	}
	copy(record[:], upload.Serialize())
	return record, nil
}

// prove makes the KE3 of the prepared guess.
func (d *device) prove(ke2 [wire.KE2Size]byte, id wire.AccountID) (ke3 [wire.KE3Size]byte, err error) {
	answer, err := d.client.Deserialize.KE2(ke2[:])
	if err != nil {
		return ke3, err
	}
	proof, _, _, err := d.client.GenerateKE3(answer, id[:], d.fleet.Fleet[:])
	if err != nil {
		return ke3, err
	}
	copy(ke3[:], proof.Serialize())
	return ke3, nil
}
