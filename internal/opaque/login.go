// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"bytes"
	"errors"

	"github.com/bytemare/ecc"
	"github.com/bytemare/ksf"
	lib "github.com/bytemare/opaque"
)

// Login is the client's state between KE1 and KE3. It holds the password.
type Login struct {
	redacted
	client  *lib.Client
	blinded []byte
}

// StartLogin blinds the password and makes a KE1. Seeds and nonce must be fresh; the same ones repeat the same guess.
func StartLogin(password []byte, blindSeed [64]byte, nonce, keyShareSeed [32]byte) (l *Login, ke1 [96]byte, err error) {
	defer caught(&err)
	blind, err := derive(blindSeed[:], dstBlind)
	if err != nil {
		return nil, ke1, err
	}
	return startLogin(configuration(ksf.Argon2id, contextString), password, blind, nonce, keyShareSeed)
}

func startLogin(c *lib.Configuration, password []byte, blind *ecc.Scalar, nonce, keyShareSeed [32]byte) (l *Login, ke1 [96]byte, err error) {
	client, err := newClient(c, password)
	if err != nil {
		return nil, ke1, err
	}
	first, err := client.GenerateKE1(password, &lib.ClientOptions{
		OPRFBlind: blind, AKE: &lib.AKEOptions{SecretKeyShareSeed: keyShareSeed[:], Nonce: nonce[:]},
	})
	if err != nil {
		return nil, ke1, malformed(err)
	}
	copy(ke1[:], first.Serialize())
	return &Login{client: client, blinded: bytes.Clone(ke1[:32])}, ke1, nil
}

// Finish opens a KE2. It may be called again with another KE2 of the same KE1. The envelope authenticates the server's key: it is
// the one that the registration was made with.
func (l *Login) Finish(ke2 [320]byte, ids Identities, cost KSF) (ke3, sessionKey, export [64]byte, err error) {
	if err = errors.Join(cost.Check(), ids.check()); err != nil { // before any memory is taken
		return ke3, sessionKey, export, err
	}
	return l.finish(ke2, ids.Client, ids.Server, cost.options())
}

func (l *Login) finish(ke2 [320]byte, client, server []byte, o *lib.ClientOptions) (ke3, sessionKey, export [64]byte, err error) {
	defer caught(&err)
	answer, err := l.client.Deserialize.KE2(ke2[:])
	if err != nil {
		return ke3, sessionKey, export, malformed(err)
	}
	if reflected(ke2[:32], l.blinded) {
		return ke3, sessionKey, export, ErrMalformed
	}
	last, session, key, err := l.client.GenerateKE3(answer, client, server, o)
	if errors.Is(err, lib.ErrAuthentication) {
		return ke3, sessionKey, export, ErrWrongPassword
	}
	if err != nil {
		return ke3, sessionKey, export, malformed(err)
	}
	copy(ke3[:], last.Serialize())
	copy(sessionKey[:], session)
	copy(export[:], key)
	return ke3, sessionKey, export, nil
}
