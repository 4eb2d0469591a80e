// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"crypto/subtle"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/cryptobyte"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

const (
	checkVersion = 1
	checkSalt    = 16
)

// check is the record of NewCheck: an Argon2id cost, a salt, and what a password gives with them.
type check struct {
	ksf  opaque.KSF
	salt [checkSalt]byte
	sum  [32]byte
}

// NewCheck makes a record by which a device can ask its user for the password now and then, so that it is not
// forgotten, without a guess at the vault.
//
// Who has the record can test passwords at Argon2id's cost and without any count. So it is for a device that
// keeps K anyway, which gives more than the password would, and is as secret as that copy of K: never in a
// backup, gone when K goes. It endangers the password itself where the user has it elsewhere, too.
func NewCheck(pass string) ([]byte, error) {
	prepared, err := prepare(pass)
	if err != nil {
		return nil, err
	}
	defer clear(prepared)
	c := check{ksf: opaque.DefaultKSF}
	random(c.salt[:])
	c.sum = c.stretch(prepared)
	return c.encode(), nil
}

// VerifyCheck reports whether a password is the one that a check record was made for. What is no record verifies nothing.
func VerifyCheck(record []byte, pass string) bool {
	c, ok := parseCheck(record)
	if !ok {
		return false
	}
	prepared, err := prepare(pass)
	if err != nil {
		return false
	}
	defer clear(prepared)
	sum := c.stretch(prepared)
	return subtle.ConstantTimeCompare(sum[:], c.sum[:]) == 1
}

func (c *check) encode() []byte {
	var b cryptobyte.Builder
	b.AddUint8(checkVersion)
	b.AddUint32(c.ksf.TimeCost)
	b.AddUint32(c.ksf.MemoryKiB)
	b.AddUint8(c.ksf.Lanes)
	b.AddBytes(c.salt[:])
	b.AddBytes(c.sum[:])
	return b.BytesOrPanic() // nothing in it has a length that varies
}

// parseCheck decodes a record. Its cost is within bounds: the record may have been tampered with.
func parseCheck(record []byte) (c check, ok bool) {
	var version uint8
	s := cryptobyte.String(record)
	ok = s.ReadUint8(&version) && s.ReadUint32(&c.ksf.TimeCost) && s.ReadUint32(&c.ksf.MemoryKiB) && s.ReadUint8(&c.ksf.Lanes) &&
		s.CopyBytes(c.salt[:]) && s.CopyBytes(c.sum[:]) && s.Empty()
	return c, ok && version == checkVersion && c.ksf.Check() == nil
}

func (c *check) stretch(prepared []byte) [32]byte {
	stretched := argon2.IDKey(prepared, c.salt[:], c.ksf.TimeCost, c.ksf.MemoryKiB, c.ksf.Lanes, 32)
	defer clear(stretched)
	return wire.DeriveKey(stretched, wire.DomainCheck, nil)
}
