// SPDX-License-Identifier: Apache-2.0

package opaque

import (
	"crypto/subtle"

	"github.com/bytemare/ecc"
	"github.com/bytemare/ksf"
	lib "github.com/bytemare/opaque"
	"github.com/bytemare/opaque/message"
)

// ServerKeys is a fleet's long-term key pair. It may be used side by side.
type ServerKeys struct {
	redacted
	server  *lib.Server
	private *ecc.Scalar
	public  [32]byte
}

// DeriveServerKeys derives the key pair from a secret seed.
func DeriveServerKeys(seed [32]byte) (k *ServerKeys, err error) {
	defer caught(&err)
	private, err := derive(seed[:], dstServerKey)
	if err != nil {
		return nil, err
	}
	return newServerKeys(private, contextString)
}

func newServerKeys(private *ecc.Scalar, context string) (*ServerKeys, error) {
	server, err := configuration(ksf.Argon2id, context).Server()
	if err != nil {
		return nil, err
	}
	k := &ServerKeys{server: server, private: private}
	copy(k.public[:], group.Base().Multiply(private).Encode())
	return k, nil
}

// Public returns the public key.
func (k *ServerKeys) Public() [32]byte { return k.public }

// DeriveOPRFKey derives the OPRF key of one registration from a fresh random seed.
func DeriveOPRFKey(seed [64]byte) (key [32]byte, err error) {
	defer caught(&err)
	s, err := derive(seed[:], dstOPRFKey)
	if err != nil {
		return key, err
	}
	copy(key[:], s.Encode())
	return key, nil
}

// RegistrationResponse evaluates a blinded element under a registration's own OPRF key.
func RegistrationResponse(oprfKey, serverPublic, blinded [32]byte) (response [64]byte, err error) {
	defer caught(&err)
	key, err := scalar(oprfKey[:])
	if err != nil {
		return response, err
	}
	request, err := decoder.RegistrationRequest(blinded[:])
	if err != nil {
		return response, malformed(err)
	}
	if err = CheckElement(serverPublic[:]); err != nil {
		return response, err
	}
	copy(response[:], request.BlindedMessage.Multiply(key).Encode())
	copy(response[32:], serverPublic[:])
	return response, nil
}

// KE2Input is what one evaluated guess needs. Nonces and the seed are fresh for each.
type KE2Input struct {
	redacted
	OPRFKey                           [32]byte
	Record                            [192]byte
	KE1                               [96]byte
	CredentialID                      []byte
	Identities                        Identities
	Nonce, MaskingNonce, KeyShareSeed [32]byte
}

// KE2 answers a KE1. The session must not be used before Finish has accepted the KE3.
func (k *ServerKeys) KE2(in *KE2Input) (m [320]byte, session ServerSession, err error) {
	if err = in.Identities.check(); err != nil {
		return m, session, err
	}
	return k.ke2(in, in.Identities.Server)
}

func (k *ServerKeys) ke2(in *KE2Input, identity []byte) (m [320]byte, session ServerSession, err error) {
	defer caught(&err)
	key, err := scalar(in.OPRFKey[:])
	if err != nil {
		return m, session, err
	}
	record, ke1, err := decodeKE2Input(in)
	if err != nil {
		return m, session, err
	}
	server := *k.server // shares the configuration; the identity is this call's
	server.ServerKeyMaterial = &lib.ServerKeyMaterial{PrivateKey: k.private, PublicKeyBytes: k.public[:], Identity: identity}
	ke2, output, err := server.GenerateKE2(ke1, record, &lib.ServerOptions{
		ClientOPRFKey: key, MaskingNonce: in.MaskingNonce[:],
		AKE: &lib.AKEOptions{SecretKeyShareSeed: in.KeyShareSeed[:], Nonce: in.Nonce[:]},
	})
	if err != nil {
		return m, session, malformed(err)
	}
	copy(session.ClientMAC[:], output.ClientMAC)
	copy(session.SessionKey[:], output.SessionSecret)
	copy(m[:], ke2.Serialize())
	return m, session, nil
}

func decodeKE2Input(in *KE2Input) (*lib.ClientRecord, *message.KE1, error) {
	record, err := decoder.RegistrationRecord(in.Record[:])
	if err != nil {
		return nil, nil, malformed(err)
	}
	ke1, err := decoder.KE1(in.KE1[:])
	if err != nil {
		return nil, nil, malformed(err)
	}
	return &lib.ClientRecord{
		RegistrationRecord: record, CredentialIdentifier: in.CredentialID, ClientIdentity: in.Identities.Client,
	}, ke1, nil
}

// ServerSession is what the server remembers between KE2 and KE3.
type ServerSession struct {
	redacted
	ClientMAC, SessionKey [64]byte
}

// Finish accepts the KE3 that proves the password, in constant time. A session that KE2 did not make accepts nothing.
func (s *ServerSession) Finish(ke3 []byte) error {
	var none [64]byte
	empty := subtle.ConstantTimeCompare(s.ClientMAC[:], none[:])
	if subtle.ConstantTimeCompare(s.ClientMAC[:], ke3)&^empty != 1 {
		return ErrProof
	}
	return nil
}
