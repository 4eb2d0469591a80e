// SPDX-License-Identifier: Apache-2.0

package wire

import "slices"

// A vectorSet collects vectors of one kind.
type vectorSet struct {
	base map[string]string // fields of each
	all  []*vector
}

// add makes a vector. Its name is the kind and what is wrong with it.
func (s *vectorSet) add(name, expect, comment, value string, body []byte) {
	v := &vector{name: s.base["kind"] + "-" + name + ".txt", fields: map[string]string{}, body: body}
	for key, field := range s.base {
		v.fields[key] = field
	}
	v.fields["expect"], v.fields["comment"], v.fields["value"] = expect, comment, value
	s.all = append(s.all, v)
}

func (s *vectorSet) good(name, comment string, value any, body []byte) {
	s.add("ok-"+name, "success", comment, describe(value), body)
}

func (s *vectorSet) malformed(name, comment string, body []byte) {
	s.add(name, "malformed", comment, "", body)
}

func allVectors() []*vector {
	return slices.Concat(requestVectors(), answerVectors(), policyVectors(), descriptorVectors(),
		sealedRequestVectors(), sealedAnswerVectors(), derivationVectors())
}

// with returns a copy with other bytes from an offset on; a negative one counts from the end.
func with(b []byte, offset int, replacement ...byte) []byte {
	if offset < 0 {
		offset += len(b)
	}
	b = slices.Clone(b)
	copy(b[offset:], replacement)
	return b
}

// flipped returns a copy with one bit changed.
func flipped(b []byte, offset int) []byte {
	if offset < 0 {
		offset += len(b)
	}
	return with(b, offset, b[offset]^1)
}

const specToken = "header.payload.signature"

// specRequest is a request with the token above.
func specRequest(kind byte, fields ...[]byte) []byte {
	return cat([]byte{kind}, vec(specToken), cat(fields...))
}

var (
	id       = named("registration")[:16]
	manage   = named("manage")
	replaces = named("replaces")
	archive  = named("archive")[:16]
	headHash = named("head")
	ticket   = long("ticket", 160)
	record   = long("record", 192)
	sealedK  = long("sealed key", 48)
	ksfBytes = cat(be32(3), be32(65536), []byte{4})
	ksfValue = KSF{TimeCost: 3, MemoryKiB: 65536, Lanes: 4}

	freshBytes = cat(archive, be64(300), headHash)
	freshValue = Freshness{ArchiveID(archive), 300, [32]byte(headHash)}
)

func requestVectors() []*vector {
	s := vectorSet{base: map[string]string{"kind": "request"}}
	good := func(name, comment string, body Body, encoded []byte) {
		s.good(name, comment, &Request{specToken, body}, encoded)
	}
	good("status", "asks for the status", &Status{}, specRequest(1))
	good("register-start", "begins a registration", &RegisterStart{[32]byte(named("blinded"))}, specRequest(2, named("blinded")))
	finish := specRequest(3, vec(ticket), record, sealedK, manage, ksfBytes)
	good("register-finish", "stores a registration", &RegisterFinish{ticket, [192]byte(record), [48]byte(sealedK), ManageHash(manage), ksfValue}, finish)
	confirm := specRequest(4, id, manage, []byte{1}, replaces)
	other := ManageSecret(replaces)
	good("register-confirm", "makes a registration live", &RegisterConfirm{RegistrationID(id), ManageSecret(manage), nil}, specRequest(4, id, manage, []byte{0}))
	good("register-confirm-replaces", "and shows another K, which it replaces", &RegisterConfirm{RegistrationID(id), ManageSecret(manage), &other}, confirm)
	ke1 := long("KE1", 96)
	good("recover-start", "a guess", &RecoverStart{RegistrationID(id), 7, [96]byte(ke1)}, specRequest(5, id, be64(7), ke1))
	good("recover-finish", "proves a guess", &RecoverFinish{RegistrationID(id), 7, [64]byte(ke1)}, specRequest(6, id, be64(7), ke1[:64]))
	proof := ManageSecret(manage)
	good("delete", "deletes after the grace period", &Delete{RegistrationID(id), nil}, specRequest(7, id, []byte{0}))
	good("delete-proof", "deletes at once", &Delete{RegistrationID(id), &proof}, specRequest(7, id, []byte{1}, manage))
	good("put-freshness", "tells the newest state of an archive", &PutFreshness{RegistrationID(id), ManageSecret(manage), freshValue}, specRequest(8, id, manage, freshBytes))
	s.good("token-empty", "a token of no bytes decodes", &Request{"", &Status{}}, []byte{1, 0, 0})
	longest := string(long("token", 4096))
	s.good("token-longest", "a token of 4,096 bytes of any value", &Request{longest, &Status{}}, cat([]byte{1}, vec(longest)))

	s.malformed("empty", "nothing", nil)
	s.malformed("kind-0", "kind 0, which only answers have", specRequest(0))
	s.malformed("kind-9", "an unknown kind", specRequest(9))
	s.malformed("token-long", "a token of 4,097 bytes", cat([]byte{1}, vec(longest+"x")))
	s.malformed("token-cut", "a token longer than the request", []byte{1, 0, 2, 'x'})
	s.malformed("ticket-long", "a ticket of 257 bytes", specRequest(3, vec(long("ticket", 257)), record, sealedK, manage, ksfBytes))
	s.malformed("cut", "the last byte is missing", finish[:len(finish)-1])
	s.malformed("more", "a byte is left over", cat(finish, []byte{0}))
	s.malformed("bool", "neither 0 nor 1 says whether there is a proof", specRequest(7, id, []byte{2}, manage))
	s.malformed("proof-missing", "there is to be a proof, and none is there", specRequest(7, id, []byte{1}))
	s.malformed("proof-unannounced", "there is to be no proof, and one is there", specRequest(7, id, []byte{0}, manage))
	s.malformed("replaces-bool", "neither 0 nor 1 says whether another K is replaced", specRequest(4, id, manage, []byte{0xff}, replaces))
	s.malformed("replaces-cut", "the secret of the replaced K is cut short", confirm[:len(confirm)-1])
	return s.all
}
