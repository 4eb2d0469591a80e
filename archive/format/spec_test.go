// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/blake3"
)

// What follows is docs/spec/archive.md a second time. It shares nothing with the code it tests, so that the vectors say what
// the specification says.

// named gives 32 bytes that look random.
func named(what string) []byte {
	b := sha256.Sum256([]byte("coffer archive test vector: " + what))
	return b[:]
}

var (
	specArchive = named("archive")[:16]
	specKey     = named("key")
	master1     = named("master 1")
	master2     = named("master 2")
	master3     = named("master 3")
)

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// num is an unsigned LEB128 number.
func num(n uint64) (b []byte) {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// text is a length and bytes.
func text(s string) []byte { return cat(num(uint64(len(s))), []byte(s)) }

// moment is seconds since 1970, zigzag, and nanoseconds.
func moment(seconds int64, nanos uint64) []byte {
	z := uint64(seconds) * 2
	if seconds < 0 {
		z = uint64(-seconds)*2 - 1
	}
	return cat(num(z), num(nanos))
}

// specHKDF is HKDF-SHA256 of RFC 5869 with 32 bytes of output: one block.
func specHKDF(secret, salt []byte, info ...[]byte) []byte {
	mac := func(key []byte, data ...[]byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(cat(data...))
		return m.Sum(nil)
	}
	return mac(mac(salt, secret), append(info, []byte{1})...)
}

// specHash is BLAKE3 under a key of the first master key.
func specHash(domain string, data []byte) []byte {
	h, err := blake3.NewKeyed(specHKDF(master1, nil, []byte(domain), specArchive))
	if err != nil {
		panic(err)
	}
	h.Write(data)
	return h.Sum(nil)
}

func specGCM(key []byte, part, counter uint32, plain, aad []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead.Seal(nil, cat(be32(part), be32(0), be32(counter)), plain, aad)
}

// specPadme is the definition in the paper, with its names.
func specPadme(L int) int {
	if L < 2 {
		return L
	}
	log2 := func(n int) (e int) {
		for n >>= 1; n > 0; n >>= 1 {
			e++
		}
		return e
	}
	E := log2(L)
	S := log2(E) + 1
	unit := 1 << (E - S)
	return (L + unit - 1) / unit * unit
}

const (
	tKeyring, tPack, tIndex, tSnapshot, tHead, tLock = 1, 2, 3, 4, 5, 6
)

var specDomains = map[byte]string{
	tPack: "coffer archive v1 pack", tIndex: "coffer archive v1 index", tSnapshot: "coffer archive v1 snapshot",
	tHead: "coffer archive v1 head", tLock: "coffer archive v1 lock",
}

func specHeader(typ byte, epoch uint32, salt []byte) []byte {
	return cat([]byte("COFFER"), []byte{1, typ}, specArchive, be32(epoch), salt)
}

// withHash puts the SHA-256 behind.
func withHash(b []byte) []byte {
	sum := sha256.Sum256(b)
	return cat(b, sum[:])
}

func specKeyring(header []byte, masters ...[]byte) []byte {
	salt, context := header[28:60], header[8:28]
	commitment := specHKDF(specKey, salt, []byte("coffer archive v1 key commitment"), context)
	wrap := specHKDF(specKey, salt, []byte("coffer archive v1 wrapping key"), context)
	return withHash(cat(header, commitment, specGCM(wrap, 0, 0, cat(masters...), header)))
}

func specObjectKey(header, master []byte) []byte {
	return specHKDF(master, header[28:60], []byte(specDomains[header[7]]), header[8:24])
}

func specObject(header, master, plain []byte) []byte {
	size := 60 + 4 + len(plain) + 16
	return specSealed(header, master, cat(be32(uint32(len(plain))), plain, make([]byte, specPadme(size)-size)))
}

func specSealed(header, master, body []byte) []byte {
	return cat(header, specGCM(specObjectKey(header, master), 0, 0, body, header))
}

// A specPack is a pack in its parts, so that each can be made wrong.
type specPack struct {
	header, master []byte
	records        [][]byte // encoded contents
	positions      []uint32 // in their nonces; nil: as they lie
	index          []byte   // without padding
	padding        func(size int) int
	length         func(n uint32) uint32 // in the trailer
}

func (p specPack) bytes() []byte {
	key := specObjectKey(p.header, p.master)
	b := slices.Clone(p.header)
	for i, r := range p.records {
		position := uint32(i)
		if p.positions != nil {
			position = p.positions[i]
		}
		b = append(b, specGCM(key, 0, position, r, p.header)...)
	}
	size := len(b) + len(p.index) + 16 + 4 + 16
	padded := specPadme(size)
	if p.padding != nil {
		padded = p.padding(size)
	}
	index := specGCM(key, 1, 0, cat(p.index, make([]byte, padded-size)), p.header)
	n := uint32(len(index))
	if p.length != nil {
		n = p.length(n)
	}
	return cat(b, index, specGCM(key, 2, 0, be32(n), p.header))
}

// specRecord describes one record of a pack's index. stored is 0 for a raw one.
func specRecord(id []byte, size, stored uint64) []byte {
	if stored == 0 {
		return cat(id, []byte{0}, num(size))
	}
	return cat(id, []byte{1}, num(size), num(stored))
}

// The specification's own seals are what the code makes of the same salts and keys.
func TestSpecAgreesWithCode(t *testing.T) {
	h := header{typ: TypeHead, archive: ID(specArchive), epoch: 2, salt: [32]byte(named("salt"))}
	header := specHeader(tHead, 2, named("salt"))
	same(t, h.encode(), header)
	kr := &Keyring{archive: h.archive, masters: []masked{conceal(master1), conceal(master2)}}
	k, err := ParseKey(hex.EncodeToString(specKey))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		plain := []byte(strings.Repeat("x", n))
		same(t, kr.seal(&h, plain), specObject(header, master2, plain))
	}
	h.typ, header[7] = TypeKeyring, tKeyring
	same(t, kr.wrap(&h, k), specKeyring(header, master1, master2))
}
