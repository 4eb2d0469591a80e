// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/coffer-backup/coffer/wire"
)

// The keys of stored records. The host sees them; the values are sealed to them, so that none can stand in for another.
//
//	0/manifest                      which snapshot, epoch and log are this replica's
//	1/epoch                         the next epoch's key, while a snapshot is being written
//	2/bucket/ PARTITION(2) NUMBER(2) EPOCH(8)   the accounts of a bucket
//	3/log/    PARTITION(2) EPOCH(8) INDEX(8)    an entry
//	4/state/  PARTITION(2) EPOCH(8)             raft's term, vote and commit, and the log's last index
//
//	5/farewell                      what a planned stop leaves, under the policy counter
//
// The manifest comes first in key order, so that a booting core can read the rest as it comes.
const (
	keyManifest  = "0/manifest"
	keyNextEpoch = "1/epoch"
	prefixBucket = "2/bucket/"
	prefixLog    = "3/log/"
	prefixState  = "4/state/"
	keyFarewell  = "5/farewell"
)

func keyOf(prefix string, p wire.Partition) []byte {
	return binary.BigEndian.AppendUint16([]byte(prefix), uint16(p))
}

func keyBucket(p wire.Partition, n uint16, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(keyOf(prefixBucket, p), n), epoch)
}

func keyLog(p wire.Partition, epoch, index uint64) []byte {
	return binary.BigEndian.AppendUint64(keyEpoch(prefixLog, p, epoch), index)
}

func keyState(p wire.Partition, epoch uint64) []byte { return keyEpoch(prefixState, p, epoch) }

func keyEpoch(prefix string, p wire.Partition, epoch uint64) []byte {
	return binary.BigEndian.AppendUint64(keyOf(prefix, p), epoch)
}

// after returns the key that follows k at once.
func after(k []byte) []byte { return append(append([]byte(nil), k...), 0) }

// epochKey is the key of one epoch and what is derived from it. A record sealed under it
// is gone for ever when the sealer has destroyed what the key itself is sealed under.
type epochKey struct {
	number   uint64
	keyID    string
	sealed   []byte
	log      cipher.AEAD // log entries and raft's state
	manifest cipher.AEAD
}

func newEpochKey(number uint64, keyID string, sealed []byte, key [32]byte) epochKey {
	return epochKey{
		number: number, keyID: keyID, sealed: sealed,
		log:      newGCM(wire.DeriveKey(key[:], wire.DomainLog, nil)),
		manifest: newGCM(wire.DeriveKey(key[:], wire.DomainManifest, nil)),
	}
}

// epochAAD is what the sealer binds an epoch key to.
func epochAAD(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(wire.DomainEpoch), number)
}

func newGCM(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var gcm cipher.AEAD
		if gcm, err = cipher.NewGCM(block); err == nil {
			return gcm
		}
	}
	panic("core: " + err.Error()) // 32 bytes are a key
}

// seal seals under a random nonce of 96 bits. A key seals less than 2^24 records before the
// epoch ends, so that two nonces are the same with a chance below 2^-48 (NIST SP 800-38D asks for 2^-32).
func (c *Core) seal(aead cipher.AEAD, plain []byte, aad ...[]byte) []byte {
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	c.entropy.fill(nonce)
	return aead.Seal(nonce, nonce, plain, joined(aad))
}

func unseal(aead cipher.AEAD, sealed []byte, aad ...[]byte) ([]byte, error) {
	n := aead.NonceSize()
	if len(sealed) < n {
		return nil, ErrDamaged
	}
	plain, err := aead.Open(nil, sealed[:n], sealed[n:], joined(aad))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// joined concatenates associated data. Only its last part varies in length.
func joined(parts [][]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}
