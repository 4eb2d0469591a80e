// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/mlkem/mlkemtest"
	"crypto/sha3"
	"encoding/binary"
)

// HPKE (RFC 9180) in base mode with MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM, as far as a sender needs it, with
// the encapsulation's randomness as an argument: so the vectors are the same each time they are made.

const (
	specKEM   = "KEM\x64\x7a"
	specSuite = "HPKE\x64\x7a\x00\x01\x00\x02"
)

// must1 returns what cannot fail for the fixed inputs here.
func must1[V any](v V, err error) V {
	must(err)
	return v
}

// A specKey is a fleet's key pair.
type specKey struct {
	pq *mlkem.DecapsulationKey768
	t  *ecdh.PrivateKey
}

func shake(n int, input ...[]byte) []byte {
	s := sha3.NewSHAKE256()
	s.Write(cat(input...))
	out := make([]byte, n)
	s.Read(out)
	return out
}

// newSpecKey derives the key pair: LabeledDerive with SHAKE256, then X-Wing's expansion of 32 bytes.
func newSpecKey(seed []byte) *specKey {
	dk := shake(32, seed, []byte("HPKE-v1"), []byte(specKEM), vec("DeriveKeyPair"), be16(32))
	expanded := shake(96, dk)
	return &specKey{must1(mlkem.NewDecapsulationKey768(expanded[:64])), must1(ecdh.X25519().NewPrivateKey(expanded[64:]))}
}

func (k *specKey) public() []byte {
	return cat(k.pq.EncapsulationKey().Bytes(), k.t.PublicKey().Bytes())
}

// encapsulate makes a shared secret and what carries it.
func (k *specKey) encapsulate(randomness []byte) (secret, enc []byte) {
	ssPQ, ctPQ, err := mlkemtest.Encapsulate768(k.pq.EncapsulationKey(), randomness[:32])
	must(err)
	ephemeral := must1(ecdh.X25519().NewPrivateKey(randomness[32:64]))
	ssT, ctT := must1(ephemeral.ECDH(k.t.PublicKey())), ephemeral.PublicKey().Bytes()
	sum := sha3.Sum256(cat(ssPQ, ssT, ctT, k.t.PublicKey().Bytes(), []byte(`\.//^\`)))
	return sum[:], cat(ctPQ, ctT)
}

func labeledExtract(salt []byte, label string, secret []byte) []byte {
	return specHMAC(salt, []byte("HPKE-v1"), []byte(specSuite), []byte(label), secret)
}

func labeledExpand(secret []byte, label string, info []byte, n uint16) []byte {
	return specHMAC(secret, be16(n), []byte("HPKE-v1"), []byte(specSuite), []byte(label), info, []byte{1})[:n]
}

// A specContext is what sender and recipient share.
type specContext struct{ enc, key, nonce, exporter []byte }

func newSpecContext(k *specKey, randomness []byte, info ...[]byte) *specContext {
	shared, enc := k.encapsulate(randomness)
	context := cat([]byte{0}, labeledExtract(nil, "psk_id_hash", nil), labeledExtract(nil, "info_hash", cat(info...)))
	secret := labeledExtract(shared, "secret", nil)
	return &specContext{
		enc, labeledExpand(secret, "key", context, 32), labeledExpand(secret, "base_nonce", context, 12),
		labeledExpand(secret, "exp", context, 32),
	}
}

// seal seals the first message, whose nonce is the base nonce.
func (c *specContext) seal(aad, plain []byte) []byte { return specGCM(c.key, c.nonce, plain, aad) }

// answerSecret is what the context exports for the answer.
func (c *specContext) answerSecret() []byte {
	return labeledExpand(c.exporter, "sec", []byte("coffer/v1/answer"), 32)
}

// specAnswer is a sealed answer whose plaintext is padded already.
func specAnswer(c *specContext, nonce, padded []byte, head ...byte) []byte {
	prk := specHMAC(cat(c.enc, nonce), c.answerSecret())
	key := specHMAC(prk, []byte("coffer/v1/answer/key"), []byte{1})
	gcmNonce := specHMAC(prk, []byte("coffer/v1/answer/nonce"), []byte{1})[:12]
	return cat(head, nonce, specGCM(key, gcmNonce, padded, head))
}

// specRequestHead is a request's header.
func specRequestHead(k *specKey, partition uint16) []byte {
	return cat([]byte{1}, specHash("coffer/v1/hpke-key", k.public())[:8], binary.BigEndian.AppendUint16(nil, partition))
}
