// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"bytes"
	"errors"

	"github.com/bytemare/ecc"
	"github.com/bytemare/ksf"
	lib "github.com/bytemare/opaque"
)

func newClient(c *lib.Configuration, password []byte) (*lib.Client, error) {
	if len(password) > maxLength {
		return nil, ErrMalformed
	}
	return c.Client()
}

// Registration is the client's state between the blinded element and the record. It holds the password.
type Registration struct {
	redacted
	client  *lib.Client
	blinded []byte
}

// StartRegistration blinds the password. The seed must be fresh.
func StartRegistration(password []byte, blindSeed [64]byte) (r *Registration, blinded [32]byte, err error) {
	defer caught(&err)
	blind, err := derive(blindSeed[:], dstBlind)
	if err != nil {
		return nil, blinded, err
	}
	return startRegistration(configuration(ksf.Argon2id, contextString), password, blind)
}

func startRegistration(c *lib.Configuration, password []byte, blind *ecc.Scalar) (r *Registration, blinded [32]byte, err error) {
	client, err := newClient(c, password)
	if err != nil {
		return nil, blinded, err
	}
	request, err := client.RegistrationInit(password, &lib.ClientOptions{OPRFBlind: blind})
	if err != nil {
		return nil, blinded, malformed(err)
	}
	copy(blinded[:], request.Serialize())
	return &Registration{client: client, blinded: bytes.Clone(blinded[:])}, blinded, nil
}

// Finish makes the record for the server, and the export key, which never leaves the client. The caller compares the
// server's key with the one that it pins.
func (r *Registration) Finish(response [64]byte, ids Identities, cost KSF, nonce [32]byte) (record [192]byte, export [64]byte, server [32]byte, err error) {
	if err = errors.Join(cost.Check(), ids.check()); err != nil { // before any memory is taken
		return record, export, server, err
	}
	copy(server[:], response[32:])
	record, export, err = r.finish(response, ids.Client, ids.Server, cost.options(), nonce)
	return record, export, server, err
}

func (r *Registration) finish(response [64]byte, client, server []byte, o *lib.ClientOptions, nonce [32]byte) (record [192]byte, export [64]byte, err error) {
	defer caught(&err)
	answer, err := r.client.Deserialize.RegistrationResponse(response[:])
	if err != nil {
		return record, export, malformed(err)
	}
	if reflected(response[:32], r.blinded) {
		return record, export, ErrMalformed
	}
	o.RegistrationEnvelopeNonce = nonce[:]
	upload, key, err := r.client.RegistrationFinalize(answer, client, server, o)
	if err != nil {
		return record, export, malformed(err)
	}
	copy(record[:], upload.Serialize())
	copy(export[:], key)
	return record, export, nil
}

// reflected tells whether the server handed back what it got. Its OPRF key would be one, and the record could then be
// guessed offline without the vault.
func reflected(evaluated, blinded []byte) bool { return bytes.Equal(evaluated, blinded) }
