// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"
)

// ErrWrongKey says that a keyring is whole and was made for another backup key.
var ErrWrongKey = errors.New("wrong key")

// A Keyring holds an archive's master keys, oldest first. The newest seals; all of them open.
// It never leaves the process except sealed under K.
type Keyring struct {
	archive ID
	masters []masked
}

// NewKeyring makes the keyring of a new archive, with one random master key.
func NewKeyring(archive ID) *Keyring { return (&Keyring{archive: archive}).Next() }

// Next returns a keyring with one more random master key, for all later writes: what a change of K asks for. There must be
// fewer than MaxEpochs.
func (kr *Keyring) Next() *Keyring {
	if len(kr.masters) >= MaxEpochs {
		panic("format: keyring over its limit")
	}
	// A copy, because either keyring may be wiped.
	return &Keyring{kr.archive, append(slices.Clone(kr.masters), newMasked())}
}

// Archive returns the id of the keyring's archive.
func (kr *Keyring) Archive() ID { return kr.archive }

// Epoch counts the master keys; it is what new objects are sealed under.
func (kr *Keyring) Epoch() uint32 { return uint32(len(kr.masters)) }

// Wipe overwrites the master keys. Whatever the keyring is asked to seal afterwards panics, and nothing opens.
func (kr *Keyring) Wipe() {
	clear(kr.masters)
	kr.masters = nil
}

// Wrap seals the keyring under K. A keyring object is
//
//	header ‖ commitment (32) ‖ AES-256-GCM of the master keys ‖ SHA-256 of all before (32)
//
// The commitment is there because AES-GCM does not commit to its key: without it, one object could be made that opens
// under two keys. It also lets a mistyped key be named before anything else is read. The hash at the end is no
// protection; it only tells a damaged object from a wrong key.
func (kr *Keyring) Wrap(k Key) []byte {
	h := header{typ: TypeKeyring, archive: kr.archive, epoch: kr.Epoch()}
	rand.Read(h.salt[:])
	return kr.wrap(&h, k)
}

func (kr *Keyring) wrap(h *header, k Key) []byte {
	if k.IsZero() || len(kr.masters) == 0 {
		panic("format: wrapping without a key")
	}
	aad := h.encode()
	plain := make([]byte, 0, 32*len(kr.masters))
	for i := range kr.masters {
		m := kr.masters[i].reveal()
		plain = append(plain, m...)
		clear(m)
	}
	out := slices.Concat(aad, keyringKey(k, h, domainCommitment))
	// A fixed nonce is safe: the wrapping key is derived from a fresh random salt and seals once.
	out = newGCM(keyringKey(k, h, domainWrap)).Seal(out, make([]byte, 12), plain, aad)
	clear(plain)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// CheckKeyring tells without a key whether a keyring object is whole. Errors: ErrVersion, or wrapping ErrDamaged.
func CheckKeyring(archive ID, data []byte) error {
	_, _, err := parseKeyring(archive, data)
	return err
}

// parseKeyring checks a keyring's form and returns where its seal ends.
func parseKeyring(archive ID, data []byte) (h header, size int, err error) {
	if h, err = parseHeader(data, TypeKeyring, archive); err != nil {
		return h, 0, err
	}
	size = HeaderSize + 32 + 32*int(h.epoch) + tagSize
	if len(data) != size+32 {
		return h, 0, damaged("keyring of a wrong length")
	}
	if sum := sha256.Sum256(data[:size]); string(sum[:]) != string(data[size:]) {
		return h, 0, damaged("keyring altered")
	}
	return h, size, nil
}

// UnwrapKeyring opens a keyring object of an archive. Errors: ErrWrongKey, ErrVersion, or wrapping ErrDamaged.
func UnwrapKeyring(archive ID, k Key, data []byte) (*Keyring, error) {
	h, size, err := parseKeyring(archive, data)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(data[HeaderSize:HeaderSize+32], keyringKey(k, &h, domainCommitment)) != 1 {
		return nil, ErrWrongKey
	}
	plain, err := newGCM(keyringKey(k, &h, domainWrap)).Open(nil, make([]byte, 12), data[HeaderSize+32:size], data[:HeaderSize])
	if err != nil {
		return nil, damaged("keyring forged")
	}
	defer clear(plain)
	kr := &Keyring{archive: archive}
	for m := range slices.Chunk(plain, 32) {
		kr.masters = append(kr.masters, conceal(m))
	}
	return kr, nil
}

// keyringKey derives what K gives for one keyring object: the wrapping key or the commitment.
func keyringKey(k Key, h *header, domain string) []byte {
	info := binary.BigEndian.AppendUint32(append([]byte(domain), h.archive[:]...), h.epoch)
	return derive(&k.b, h.salt[:], string(info))
}

// objectKey derives the AES-256 key of one object from its epoch's master and its salt.
func (kr *Keyring) objectKey(h *header) ([]byte, error) {
	if h.epoch == 0 || int(h.epoch) > len(kr.masters) {
		return nil, damaged("object of epoch %d, the newest is %d", h.epoch, len(kr.masters))
	}
	return derive(&kr.masters[h.epoch-1], h.salt[:], domainOf(h.typ)+string(kr.archive[:])), nil
}

func derive(m *masked, salt []byte, info string) []byte {
	secret := m.reveal()
	defer clear(secret)
	key, err := hkdf.Key(sha256.New, secret, salt, info, 32)
	if err != nil {
		panic("format: hkdf: " + err.Error()) // only for lengths that are constants here
	}
	return key
}

func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("format: aes: " + err.Error())
	}
	clear(key) // the cipher keeps its own expanded copy
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("format: gcm: " + err.Error())
	}
	return aead
}
