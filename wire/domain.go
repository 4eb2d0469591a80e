// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// Version of all messages. Another version is refused, never guessed at.
const Version = 1

// One domain-separation string per purpose. A key or a hash made for one
// purpose is of no use for another, even from the same secret and input.
const (
	domainAccount     = "coffer/v1/account"      // hash: an account's id from issuer and subject
	domainPartition   = "coffer/v1/partition"    // hash: the partition an account belongs to
	domainFingerprint = "coffer/v1/fingerprint"  // hash: a fleet descriptor's fingerprint
	domainManageHash  = "coffer/v1/manage-hash"  // hash: what a registration keeps of the manage secret
	domainElement     = "coffer/v1/element"      // hash: the registration and blinded element of a guess
	domainHPKEKey     = "coffer/v1/hpke-key"     // hash: the id of the fleet's HPKE key
	domainRequest     = "coffer/v1/request"      // HPKE info of a request
	domainAnswer      = "coffer/v1/answer"       // HPKE export: the secret of the answer
	domainAnswerKey   = "coffer/v1/answer/key"   // HKDF: the answer's key
	domainAnswerNonce = "coffer/v1/answer/nonce" // HKDF: the answer's nonce

	// The client's, out of what only it has.
	DomainManage    = "coffer/v1/manage"     // HKDF of K: the manage secret
	DomainSealedKey = "coffer/v1/sealed-key" // HKDF of OPAQUE's export key: what seals K
	DomainDelivery  = "coffer/v1/delivery"   // HKDF of OPAQUE's session key: what the sealed K travels under
	DomainCheck     = "coffer/v1/check"      // HKDF of a stretched password: what a device tests a reminder against

	// The core's, out of the fleet secret, the epoch key or an incarnation's own secret.
	DomainFleetHPKE   = "coffer/v1/fleet/hpke"   // HKDF of the fleet secret: seed of the HPKE key
	DomainFleetOPAQUE = "coffer/v1/fleet/opaque" // HKDF of the fleet secret: seed of the OPAQUE server key
	DomainFleetBucket = "coffer/v1/fleet/bucket" // HKDF of the fleet secret: key of the hash from accounts to buckets
	DomainFleetJoin   = "coffer/v1/fleet/join"   // HKDF of the fleet secret: seed of the HPKE key that requests to join are sealed to
	DomainFleetCert   = "coffer/v1/fleet/cert"   // HKDF of the fleet secret: seed of the Ed25519 key that signs the slots' credentials
	DomainEpoch       = "coffer/v1/epoch"        // AAD of the epoch key in the sealer
	DomainManifest    = "coffer/v1/manifest"     // HKDF of the epoch key: what seals the manifest
	DomainLog         = "coffer/v1/log"          // HKDF of the epoch key: what seals log entries and raft's state
	DomainBucket      = "coffer/v1/bucket"       // AAD of a bucket, sealed under a key of its own
	DomainTicket      = "coffer/v1/ticket"       // AAD of a registration ticket
	DomainFarewell    = "coffer/v1/farewell"     // AAD of the key of a planned stop's record in the sealer, of the record, and HKDF of the key
	DomainJoin        = "coffer/v1/join"         // HPKE info of a request to join
	DomainJoinTicket  = "coffer/v1/join/ticket"  // hash: what the log keeps of a join ticket's secret
	DomainJoinAnswer  = "coffer/v1/join/answer"  // HPKE export: what the answer to it is sealed under
	DomainCredential  = "coffer/v1/credential"   // signed by the fleet: a slot's credential
	DomainIncarnation = "coffer/v1/incarnation"  // signed by the slot's credential: the key of one boot
	DomainSession     = "coffer/v1/session"      // HPKE info and hash of the handshake between two incarnations
	DomainSessionKey  = "coffer/v1/session/key"  // HPKE export: the secret of a session
	DomainAccept      = "coffer/v1/session/accept"
	DomainFinish      = "coffer/v1/session/finish"
	DomainInitiator   = "coffer/v1/session/initiator" // HKDF of a session's secret: what the initiator sends under
	DomainResponder   = "coffer/v1/session/responder" // HKDF of a session's secret: what the responder sends under
	DomainLogin       = "coffer/v1/login"             // HKDF of an incarnation's secret: nonces and key share of a guess's KE2
)

// digest hashes parts under a domain. Only the last part may vary in length.
func digest(domain string, parts ...[]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte{byte(len(domain))})
	h.Write([]byte(domain))
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// DeriveKey derives 32 bytes for one purpose from a secret of at least 32
// uniform bytes: HKDF-SHA256 (RFC 5869) with the domain as info. Context, of one length per domain, is the salt.
func DeriveKey(secret []byte, domain string, context []byte) [32]byte {
	key, err := hkdf.Key(sha256.New, secret, context, domain, 32)
	if err != nil {
		panic("wire: " + err.Error()) // only a length over 255 hashes can fail
	}
	return [32]byte(key)
}
