// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// The suite: ML-KEM-768 with X25519, HKDF-SHA256, AES-256-GCM (RFC 9180). Recordings of today's traffic
// stay closed to a quantum computer.
var (
	kem  = hpke.MLKEM768X25519()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

const (
	// HPKEPublicSize is the size in bytes of a fleet's HPKE public key.
	HPKEPublicSize = 1184 + 32
	encSize        = 1088 + 32
	headerSize     = 1 + 8 + 2
	answerNonce    = 32
	tagSize        = 16

	// MaxEnvelope bounds a sealed request or answer, in bytes.
	MaxEnvelope = headerSize + encSize + maxPlaintextSize + tagSize
)

// FleetKey is a fleet's HPKE key pair.
type FleetKey struct {
	fleet   FleetID
	private hpke.PrivateKey
	id      HPKEKeyID
}

// Format keeps the private key out of every print.
func (FleetKey) Format(f fmt.State, _ rune) { redact(f) }

// NewFleetKey derives the key pair from 32 uniform bytes.
func NewFleetKey(fleet FleetID, seed [32]byte) (*FleetKey, error) {
	private, err := kem.DeriveKeyPair(seed[:])
	if err != nil {
		return nil, err
	}
	return &FleetKey{fleet, private, hpkeKeyID(private.PublicKey().Bytes())}, nil
}

// Public returns the public key's encoding, HPKEPublicSize bytes.
func (k *FleetKey) Public() []byte { return k.private.PublicKey().Bytes() }

func hpkeKeyID(public []byte) HPKEKeyID {
	d := digest(domainHPKEKey, public)
	return HPKEKeyID(d[:8])
}

// requestInfo binds an HPKE context to the protocol and the fleet.
func requestInfo(fleet FleetID) []byte { return append([]byte(domainRequest), fleet[:]...) }

// header is what gateway and host see of a request, next to its size class.
func header(key HPKEKeyID, p Partition) []byte {
	return build(func(b *cryptobyte.Builder) {
		b.AddUint8(Version)
		b.AddBytes(key[:])
		b.AddUint16(uint16(p))
	})
}

// EnvelopePartition returns the partition that a sealed request is addressed to, for routing. It is not
// authenticated before the core has opened the request.
func EnvelopePartition(envelope []byte) (Partition, error) {
	if len(envelope) < headerSize+encSize+requestClass+tagSize || len(envelope) > MaxEnvelope || envelope[0] != Version {
		return 0, ErrMalformed
	}
	return Partition(uint16(envelope[9])<<8 | uint16(envelope[10])), nil
}

// Seal seals a request to the core of a fleet, for the partition of the account. The opener opens the one answer.
func (d *Descriptor) Seal(account AccountID, request *Request) (envelope []byte, opener *Opener, err error) {
	public, err := kem.NewPublicKey(d.HPKE[:])
	if err != nil {
		return nil, nil, err
	}
	enc, sender, err := hpke.NewSender(public, kdf, aead, requestInfo(d.Fleet))
	if err != nil {
		return nil, nil, err
	}
	head := header(hpkeKeyID(d.HPKE[:]), PartitionOf(d.Fleet, account, d.Policy.Partitions))
	// This buffer has room for all steps, so that no growth leaves a copy of a manage secret behind.
	plain := pad(request.Append(make([]byte, 0, maxPlaintextSize)), requestClass)
	defer clear(plain)
	sealed, err := sender.Seal(head, plain)
	if err != nil {
		return nil, nil, err
	}
	secret, err := sender.Export(domainAnswer, 32)
	if err != nil {
		return nil, nil, err
	}
	return append(append(head, enc...), sealed...), &Opener{[32]byte(secret), [encSize]byte(enc)}, nil
}

// Open opens a request. The Sealer seals its answer. An error is a *Error to answer with, in the clear.
func (k *FleetKey) Open(envelope []byte) (*Request, Partition, *Sealer, error) {
	if len(envelope) > 0 && envelope[0] != Version {
		return nil, 0, nil, Refuse(CodeVersion)
	}
	p, err := EnvelopePartition(envelope)
	if err != nil {
		return nil, 0, nil, Refuse(CodeMalformed)
	}
	if HPKEKeyID(envelope[1:9]) != k.id {
		return nil, 0, nil, Refuse(CodeUnknownKey)
	}
	head, enc, sealed := envelope[:headerSize], envelope[headerSize:headerSize+encSize], envelope[headerSize+encSize:]
	recipient, err := hpke.NewRecipient(enc, k.private, kdf, aead, requestInfo(k.fleet))
	if err != nil {
		return nil, 0, nil, Refuse(CodeMalformed)
	}
	plain, err := recipient.Open(head, sealed)
	if err != nil {
		return nil, 0, nil, Refuse(CodeMalformed)
	}
	defer clear(plain)
	secret, err := recipient.Export(domainAnswer, 32)
	if err != nil {
		return nil, 0, nil, Refuse(CodeMalformed)
	}
	body, err := unpad(plain, requestClass)
	if err != nil {
		return nil, 0, nil, Refuse(CodeMalformed)
	}
	request, err := ParseRequest(body)
	if err != nil {
		return nil, 0, nil, Refuse(CodeMalformed)
	}
	return request, p, &Sealer{[32]byte(secret), [encSize]byte(enc)}, nil
}

// Sealer seals the answers to one request.
type Sealer struct {
	secret [32]byte
	enc    [encSize]byte
}

// Opener opens the answer to one request.
type Opener struct {
	secret [32]byte
	enc    [encSize]byte
}

// Format keeps the secret out of every print.
func (Sealer) Format(f fmt.State, _ rune) { redact(f) }

// Format keeps the secret out of every print.
func (Opener) Format(f fmt.State, _ rune) { redact(f) }

const (
	formSealed = 0
	formPlain  = 1
)

// answerAEAD is RFC 9458's key schedule for a response (section 4.4): secret
// exported from the request's context, salt of enc and a fresh nonce.
func answerAEAD(secret *[32]byte, enc *[encSize]byte, nonce []byte) (cipher.AEAD, []byte) {
	salt := append(append([]byte(nil), enc[:]...), nonce...)
	prk, err := hkdf.Extract(sha256.New, secret[:], salt)
	must(err)
	key, err := hkdf.Expand(sha256.New, prk, domainAnswerKey, 32)
	must(err)
	gcmNonce, err := hkdf.Expand(sha256.New, prk, domainAnswerNonce, 12)
	must(err)
	block, err := aes.NewCipher(key)
	must(err)
	gcm, err := cipher.NewGCM(block)
	must(err)
	return gcm, gcmNonce
}

// must panics: none of these calls can fail for their fixed sizes.
func must(err error) {
	if err != nil {
		panic("wire: " + err.Error())
	}
}

// Seal seals an answer. The nonce must be fresh and random: two answers to one request are sealed under two keys.
func (s *Sealer) Seal(nonce [answerNonce]byte, answer Body) []byte {
	gcm, gcmNonce := answerAEAD(&s.secret, &s.enc, nonce[:])
	plain := pad(AppendAnswer(nil, answer), answerClass)
	defer clear(plain)
	head := append([]byte{Version, formSealed}, nonce[:]...)
	return gcm.Seal(head, gcmNonce, plain, head[:2])
}

// PlainRefusal encodes a refusal of a request that could not be opened, or that no core has seen. Anybody on the way can make one.
func PlainRefusal(e *Error) []byte {
	return AppendAnswer([]byte{Version, formPlain}, e)
}

// Open opens an answer. It returns a refusal as a *Error, with sealed telling whether the core itself
// said so; one that is not sealed is a hint from the way and must not be taken for a fact about the registration.
func (o *Opener) Open(envelope []byte) (answer Body, sealed bool, err error) {
	if len(envelope) < 2 || len(envelope) > MaxEnvelope || envelope[0] != Version {
		return nil, false, ErrMalformed
	}
	head, rest := envelope[:2], envelope[2:]
	if head[1] == formPlain {
		body, err := ParseAnswer(rest)
		if refusal, ok := body.(*Error); err == nil && ok {
			return nil, false, refusal
		}
		return nil, false, ErrMalformed
	}
	if head[1] != formSealed || len(rest) < answerNonce+answerClass+tagSize {
		return nil, false, ErrMalformed
	}
	gcm, gcmNonce := answerAEAD(&o.secret, &o.enc, rest[:answerNonce])
	plain, err := gcm.Open(nil, gcmNonce, rest[answerNonce:], head)
	if err != nil {
		return nil, false, ErrMalformed
	}
	defer clear(plain)
	encoded, err := unpad(plain, answerClass)
	if err != nil {
		return nil, false, err
	}
	body, err := ParseAnswer(encoded)
	if err != nil {
		return nil, false, err
	}
	if refusal, ok := body.(*Error); ok {
		return nil, true, refusal
	}
	return body, true, nil
}
