// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// DigestOf names an object.
func DigestOf(object []byte) Digest { return sha256.Sum256(object) }

// Seal makes an object of a type that is sealed in one piece: header ‖ AES-256-GCM(length (4, big endian) ‖ plain ‖ zeros).
// The zeros pad the object by Padme. Each object has a random salt and so its own key, which seals once; the nonce is zero.
func (kr *Keyring) Seal(t Type, plain []byte) []byte {
	h := header{typ: t, archive: kr.archive, epoch: kr.Epoch()}
	rand.Read(h.salt[:])
	return kr.seal(&h, plain)
}

func (kr *Keyring) seal(h *header, plain []byte) []byte {
	size := HeaderSize + 4 + len(plain) + tagSize
	if size > MaxObjectSize {
		panic("format: object over its limit")
	}
	size = Padme(size)
	out := make([]byte, size)
	copy(out, h.encode())
	body := out[HeaderSize : size-tagSize]
	binary.BigEndian.PutUint32(body, uint32(len(plain)))
	copy(body[4:], plain)
	key, err := kr.objectKey(h)
	if err != nil {
		panic("format: " + err.Error())
	}
	newGCM(key).Seal(body[:0], make([]byte, 12), body, out[:HeaderSize])
	return out
}

// EpochOf tells from an object's header, without a key, under which master key it is sealed. Only what then opens is of it.
func EpochOf(archive ID, t Type, object []byte) (uint32, error) {
	h, err := parseHeader(object, t, archive)
	return h.epoch, err
}

// Open opens an object that Seal made for this type and archive. Errors: ErrVersion, or wrapping ErrDamaged.
func (kr *Keyring) Open(t Type, object []byte) ([]byte, error) {
	if len(object) > MaxObjectSize {
		return nil, damaged("object over its limit")
	}
	h, err := parseHeader(object, t, kr.archive)
	if err != nil {
		return nil, err
	}
	key, err := kr.objectKey(&h)
	if err != nil {
		return nil, err
	}
	body, err := newGCM(key).Open(nil, make([]byte, 12), object[HeaderSize:], object[:HeaderSize])
	if err != nil {
		return nil, damaged("object altered")
	}
	if len(body) < 4 {
		return nil, damaged("object without a length")
	}
	n := binary.BigEndian.Uint32(body)
	if uint64(n) > uint64(len(body)-4) || Padme(HeaderSize+4+int(n)+tagSize) != len(object) {
		return nil, damaged("object with a wrong length")
	}
	for _, b := range body[4+n:] {
		if b != 0 {
			return nil, damaged("object with wrong padding")
		}
	}
	return body[4 : 4+n : 4+n], nil
}
