// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// A Job is public-key work for a worker of the runner. It is a function of
// what it holds: it draws nothing at random and changes nothing, so that jobs may run side by side.
type Job interface{ Run() Result }

// Result is what a job gives; it comes back to the core in a Done.
type Result any

// openJob opens a request's seal, and checks the token and the elements.
type openJob struct {
	identity *identity
	envelope []byte
	now      wire.UnixMs
}

type opened struct {
	sealer    *wire.Sealer // nil: the request could not be opened
	partition wire.Partition
	claims    token.Claims
	body      wire.Body
	refusal   *wire.Error
}

func (j *openJob) Run() Result {
	request, partition, sealer, err := j.identity.hpke.Open(j.envelope)
	if err != nil {
		refusal := wire.Refuse(wire.CodeMalformed)
		errors.As(err, &refusal)
		return &opened{refusal: refusal}
	}
	o := &opened{sealer: sealer, partition: partition, body: request.Body}
	o.claims, err = j.identity.verifier.Verify(request.Token, int64(j.now))
	switch {
	case errors.Is(err, token.ErrExpired):
		o.refusal = wire.Refuse(wire.CodeTokenExpired)
	case err != nil:
		o.refusal = wire.Refuse(wire.CodeToken)
	default:
		o.refusal = checkBody(request.Body)
	}
	return o
}

// checkBody refuses what OPAQUE forbids before it costs anything: the identity element, what is no element at all, and Argon2id
// parameters that would be too weak or would exhaust a device.
func checkBody(body wire.Body) *wire.Error {
	switch b := body.(type) {
	case *wire.RegisterStart:
		if opaque.CheckElement(b.Blinded[:]) != nil {
			return wire.Refuse(wire.CodeElement)
		}
	case *wire.RegisterFinish:
		if opaque.CheckRecord(b.Record[:]) != nil {
			return wire.Refuse(wire.CodeElement)
		}
		ksf := opaque.KSF{TimeCost: b.KSF.TimeCost, MemoryKiB: b.KSF.MemoryKiB, Lanes: b.KSF.Lanes}
		if ksf.Check() != nil {
			return wire.Refuse(wire.CodeParameters)
		}
	case *wire.RecoverStart:
		if opaque.CheckKE1(b.KE1[:]) != nil {
			return wire.Refuse(wire.CodeElement)
		}
	}
	return nil
}

// evaluateJob makes the OPRF key of a new registration and evaluates the blinded element under it.
type evaluateJob struct {
	identity *identity
	seed     [64]byte
	blinded  [wire.ElementSize]byte
}

type evaluated struct {
	oprfKey  [32]byte
	response [wire.RegistrationSize]byte
	refusal  *wire.Error
}

func (j *evaluateJob) Run() Result {
	key, err := opaque.DeriveOPRFKey(j.seed)
	if err != nil {
		return &evaluated{refusal: wire.Refuse(wire.CodeUnavailable)}
	}
	response, err := opaque.RegistrationResponse(key, j.identity.opaque.Public(), j.blinded)
	if err != nil {
		return &evaluated{refusal: wire.Refuse(wire.CodeElement)}
	}
	return &evaluated{oprfKey: key, response: response}
}

// ke2Job evaluates a guess that is charged.
type ke2Job struct {
	identity                          *identity
	charged                           *ledger.Charged
	account                           wire.AccountID
	ke1                               [wire.KE1Size]byte
	nonce, maskingNonce, keyShareSeed [32]byte
}

type ke2 struct {
	message [wire.KE2Size]byte
	session opaque.ServerSession
	refusal *wire.Error
}

func (j *ke2Job) Run() Result {
	id := j.charged.Registration()
	message, session, err := j.identity.opaque.KE2(&opaque.KE2Input{
		OPRFKey: j.charged.OPRFKey(), Record: j.charged.Record(), KE1: j.ke1, CredentialID: id[:],
		Identities: opaque.Identities{Client: j.account[:], Server: j.identity.fleet[:]},
		Nonce:      j.nonce, MaskingNonce: j.maskingNonce, KeyShareSeed: j.keyShareSeed,
	})
	if err != nil {
		return &ke2{refusal: wire.Refuse(wire.CodeUnavailable)}
	}
	return &ke2{message: message, session: session}
}
