// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"encoding/hex"
)

// Digest is the SHA-256 of an object's bytes, and its name.
type Digest [32]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether the digest was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// ParseDigest reads the 64 lower-case hexadecimal digits that String prints.
func ParseDigest(s string) (d Digest, ok bool) {
	if len(s) != 2*len(d) {
		return d, false
	}
	n, err := hex.Decode(d[:], []byte(s))
	return d, err == nil && n == len(d) && d.String() == s
}

// Type tells the objects apart. It is part of what is authenticated, so that one type never passes for another.
type Type byte

const (
	TypeKeyring  Type = 1
	TypePack     Type = 2
	TypeIndex    Type = 3
	TypeSnapshot Type = 4
	TypeHead     Type = 5
	TypeLock     Type = 6
)

const (
	magic      = "COFFER"
	version    = 1
	HeaderSize = 6 + 1 + 1 + 16 + 4 + 32
	saltSize   = 32
	tagSize    = 16
)

// A header begins every object, in the clear: magic, version, type, archive id, epoch (big endian), salt.
// It is the associated data of everything sealed in the object.
type header struct {
	typ     Type
	archive ID
	epoch   uint32 // 1 is the first
	salt    [saltSize]byte
}

func (h *header) encode() []byte {
	b := make([]byte, 0, HeaderSize)
	b = append(b, magic...)
	b = append(b, version, byte(h.typ))
	b = append(b, h.archive[:]...)
	b = binary.BigEndian.AppendUint32(b, h.epoch)
	return append(b, h.salt[:]...)
}

// parseHeader reads a header and checks that it stands before an object of this type and archive.
func parseHeader(b []byte, typ Type, archive ID) (h header, err error) {
	switch {
	case len(b) < HeaderSize:
		return h, damaged("object of %d bytes is too short", len(b))
	case string(b[:6]) != magic:
		return h, damaged("not an object of Coffer")
	case b[6] == 0:
		return h, damaged("object of a version that never was")
	case b[6] != version:
		return h, ErrVersion
	case Type(b[7]) != typ:
		return h, damaged("object of another type")
	case ID(b[8:24]) != archive:
		return h, damaged("object of another archive")
	}
	h = header{typ: typ, archive: archive, epoch: binary.BigEndian.Uint32(b[24:28]), salt: [saltSize]byte(b[28:60])}
	if h.epoch == 0 || h.epoch > MaxEpochs {
		return h, damaged("epoch out of range")
	}
	return h, nil
}
