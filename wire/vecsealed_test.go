// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
)

var (
	sealedHead    = specRequestHead(fleetKey, 5)
	sealedContext = newSpecContext(fleetKey, long("encapsulation", 64), []byte("coffer/v1/request"), specFleet)
)

// specEnvelope seals what is padded already.
func specEnvelope(c *specContext, head, padded []byte) []byte {
	return cat(head, c.enc, c.seal(head, padded))
}

// sealedRequest is the request of kind that shows a success.
func sealedRequest(head []byte) []byte {
	return specEnvelope(sealedContext, head, specPad(specRequest(1), 2048))
}

func sealedRequestVectors() []*vector {
	s := vectorSet{base: map[string]string{"kind": "sealed-request", "fleet": hex.EncodeToString(specFleet), "seed": hex.EncodeToString(specSeed)}}
	good := func(name, comment string, request *Request, plain []byte) {
		s.good(name, comment, struct {
			Partition    Partition
			Request      *Request
			AnswerSecret [32]byte
		}{5, request, [32]byte(sealedContext.answerSecret())}, specEnvelope(sealedContext, sealedHead, specPad(plain, 2048)))
	}
	good("status", "a request", &Request{specToken, &Status{}}, specRequest(1))
	full := long("token", 2048-1-3)
	good("full", "a request that fills its class up to the mark", &Request{string(full), &Status{}}, cat([]byte{1}, vec(full)))
	over := long("token", 2048-3)
	good("over", "one byte more takes another class", &Request{string(over), &Status{}}, cat([]byte{1}, vec(over)))
	longest := long("token", 4096)
	good("longest", "the longest request", &Request{string(longest), &RegisterFinish{long("ticket", 256), [192]byte(record), [48]byte(sealedK), ManageHash(manage), ksfValue}},
		cat([]byte{3}, vec(longest), vec(long("ticket", 256)), record, sealedK, manage, ksfBytes))

	whole := sealedRequest(sealedHead)
	refused := func(name, class, comment string, body []byte) { s.add(name, class, comment, "", body) }
	refused("version-0", "refused 2", "version 0", with(whole, 0, 0))
	refused("version-2", "refused 2", "version 2", with(whole, 0, 2))
	refused("version-2-short", "refused 2", "version 2, which may have another form", []byte{2})
	refused("key", "refused 3", "sealed under a key with another id", flipped(whole, 1))
	refused("empty", "refused 1", "nothing", nil)
	refused("cut", "refused 1", "the last byte is missing", whole[:len(whole)-1])
	refused("more", "refused 1", "a byte is left over", cat(whole, []byte{0}))
	refused("partition", "refused 1", "the partition in the header is altered", with(whole, 9, 0, 6))
	refused("enc-pq", "refused 1", "the ML-KEM ciphertext is altered", flipped(whole, 11))
	refused("enc-x25519", "refused 1", "the ephemeral X25519 key is altered", flipped(whole, 11+1088))
	refused("enc-zero", "refused 1", "the ephemeral X25519 key is zero", with(whole, 11+1088, make([]byte, 32)...))
	refused("enc-high-bit", "refused 1", "the ephemeral X25519 key has its unused bit set", with(whole, 11+1119, whole[11+1119]|0x80))
	refused("ciphertext", "refused 1", "the ciphertext is altered", flipped(whole, 11+1120))
	refused("tag", "refused 1", "the tag is altered", flipped(whole, -1))
	info := newSpecContext(fleetKey, long("encapsulation", 64), []byte("coffer/v1/request"), named("another fleet")[:16])
	refused("info-fleet", "refused 1", "sealed for another fleet with the same key", specEnvelope(info, sealedHead, specPad(specRequest(1), 2048)))
	info = newSpecContext(fleetKey, long("encapsulation", 64), []byte("coffer/v1/answer"), specFleet)
	refused("info-domain", "refused 1", "sealed for another purpose", specEnvelope(info, sealedHead, specPad(specRequest(1), 2048)))
	inner := func(name, comment string, padded []byte) {
		refused(name, "refused 1", comment, specEnvelope(sealedContext, sealedHead, padded))
	}
	plain := specRequest(1)
	inner("padding-none", "no mark ends the request", cat(plain, make([]byte, 2048-len(plain))))
	inner("padding-mark", "another mark ends the request", with(specPad(plain, 2048), len(plain), 0x81))
	inner("padding-long", "the padding is longer than a class", cat(specPad(plain, 2048), make([]byte, 2048)))
	inner("padding-class", "the plaintext is no multiple of the class", cat(specPad(plain, 2048), []byte{0}))
	inner("plain-malformed", "what is sealed is malformed", specPad(specRequest(9), 2048))
	inner("plain-empty", "nothing is sealed", specPad(nil, 2048))
	inner("long", "four classes", specPad(make([]byte, 3*2048), 2048))
	return s.all
}

func sealedAnswerVectors() []*vector {
	s := vectorSet{base: map[string]string{
		"kind": "sealed-answer", "secret": hex.EncodeToString(sealedContext.answerSecret()), "enc": hex.EncodeToString(sealedContext.enc),
	}}
	good := func(name, comment string, sealed bool, answer Body, body []byte) {
		s.good(name, comment, struct {
			Answer Body
			Sealed bool
		}{answer, sealed}, body)
	}
	nonce := named("answer nonce")
	seal := func(padded []byte) []byte { return specAnswer(sealedContext, nonce, padded, 1, 0) }
	plain := cat([]byte{3}, be64(3_600_000))
	whole := seal(specPad(plain, 1024))
	good("finished", "an answer", true, &RegisterFinished{3_600_000}, whole)
	good("nonce", "the same answer under another nonce", true, &RegisterFinished{3_600_000}, specAnswer(sealedContext, named("nonce 2"), specPad(plain, 1024), 1, 0))
	good("refusal", "a refusal of the core", true, &Error{CodeLocked, 60_000, 6, 7}, seal(specPad(specError(11), 1024)))
	good("plain", "a refusal that anybody can have made", false, &Error{CodeLocked, 60_000, 6, 7}, cat([]byte{1, 1}, specError(11)))
	most := statusOf(2, freshValue, freshValue, freshValue, freshValue)
	good("most", "the longest answer", true, statusAnswer(most, most, most, most, most, most, most, most, most, most, most, most),
		seal(specPad(specStatusAnswer(12, repeat(specStatus(2, freshBytes, freshBytes, freshBytes, freshBytes), 12)), 1024)))

	s.malformed("empty", "nothing", nil)
	s.malformed("head", "a header alone", []byte{1, 0})
	s.malformed("version-2", "version 2", specAnswer(sealedContext, nonce, specPad(plain, 1024), 2, 0))
	s.malformed("form-2", "an unknown form", specAnswer(sealedContext, nonce, specPad(plain, 1024), 1, 2))
	s.malformed("form-plain", "the form says that a sealed answer is plain", with(whole, 1, 1))
	s.malformed("plain-answer", "an answer that is no refusal, and not sealed", cat([]byte{1, 1}, plain))
	s.malformed("plain-more", "a byte is left over behind a plain refusal", cat([]byte{1, 1}, specError(11), []byte{0}))
	s.malformed("nonce", "the nonce is altered", flipped(whole, 2))
	s.malformed("ciphertext", "the ciphertext is altered", flipped(whole, 34))
	s.malformed("tag", "the tag is altered", flipped(whole, -1))
	s.malformed("cut", "the last byte is missing", whole[:len(whole)-1])
	s.malformed("more", "a byte is left over", cat(whole, []byte{0}))
	other := newSpecContext(fleetKey, long("another encapsulation", 64), []byte("coffer/v1/request"), specFleet)
	s.malformed("other-request", "the answer to another request", specAnswer(other, nonce, specPad(plain, 1024), 1, 0))
	s.malformed("padding-none", "no mark ends the answer", seal(cat(plain, make([]byte, 1024-len(plain)))))
	s.malformed("padding-long", "the padding is longer than a class", seal(cat(specPad(plain, 1024), make([]byte, 1024))))
	s.malformed("padding-class", "the plaintext is no multiple of the class", seal(cat(specPad(plain, 1024), []byte{0})))
	s.malformed("plain-malformed", "what is sealed is malformed", seal(specPad([]byte{9}, 1024)))
	s.malformed("long", "more than 7,291 bytes", seal(specPad(make([]byte, 7*1024), 1024)))
	return s.all
}
