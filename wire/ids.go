// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

type (
	// FleetID names a fleet. It never changes; OPAQUE's server identity is made of it.
	FleetID [16]byte
	// AccountID names an account: a hash of the token issuer and the subject. OPAQUE's client identity.
	AccountID [32]byte
	// RegistrationID names a registration. The core makes it at random.
	RegistrationID [16]byte
	// ArchiveID names an archive, for its freshness.
	ArchiveID [16]byte
	// HPKEKeyID names one of a fleet's HPKE keys.
	HPKEKeyID [8]byte
	// Partition is the number of a partition, from 0.
	Partition uint16
	// UnixMs is a time in milliseconds since 1970, by the vault's clock where nothing else is said.
	UnixMs uint64
	// Serial counts the guesses of an account. It is never reset.
	Serial uint64
)

func (id FleetID) String() string        { return hex.EncodeToString(id[:]) }
func (id RegistrationID) String() string { return hex.EncodeToString(id[:]) }

// NewAccountID returns the id of the account that an issuer names so. The
// issuer's length is hashed too, so that no two pairs run together.
func NewAccountID(issuer, subject string) AccountID {
	length := binary.BigEndian.AppendUint16(nil, uint16(len(issuer)))
	return AccountID(digest(domainAccount, length, []byte(issuer), []byte(subject)))
}

// PartitionOf returns the partition of an account in a fleet of that many. Client
// and core compute it alike, so an account lives in exactly one (INV-ACCOUNT).
func PartitionOf(fleet FleetID, account AccountID, partitions uint16) Partition {
	d := digest(domainPartition, fleet[:], account[:])
	return Partition(binary.BigEndian.Uint64(d[:8]) % uint64(max(partitions, 1)))
}

// redacted is what secrets print as.
const redacted = "(redacted)"

func redact(f fmt.State) { _, _ = io.WriteString(f, redacted) }

// ManageSecret shows that a device owns a registration: it is derived from K.
type ManageSecret [32]byte

func (ManageSecret) String() string { return redacted }

// Format keeps the secret out of every verb of fmt.
func (ManageSecret) Format(f fmt.State, _ rune) { redact(f) }

// NewManageSecret derives the manage secret of K. It differs from fleet to fleet
// and account to account, so that one vault cannot use it at another.
func NewManageSecret(k []byte, fleet FleetID, account AccountID) ManageSecret {
	return ManageSecret(DeriveKey(k, DomainManage, append(fleet[:], account[:]...)))
}

// ManageHash is what a registration keeps of its manage secret.
type ManageHash [32]byte

// Hash returns the hash that a core compares a presented secret by.
func (m ManageSecret) Hash() ManageHash { return ManageHash(digest(domainManageHash, m[:])) }

// Equal compares in constant time.
func (h ManageHash) Equal(other ManageHash) bool {
	return subtle.ConstantTimeCompare(h[:], other[:]) == 1
}

// ElementDigest names a guess: a blinded element at a registration.
type ElementDigest [32]byte

// NewElementDigest returns the digest of a guess. The registration is part of it: the
// same element at another registration is another guess.
func NewElementDigest(r RegistrationID, ke1 *[KE1Size]byte) ElementDigest {
	return ElementDigest(digest(domainElement, r[:], ke1[:ElementSize]))
}
