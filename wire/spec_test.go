// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// What follows, and spechpke_test.go, is docs/spec/wire.md a second time. It shares nothing with the code it tests, so that
// the vectors say what the specification says.

// named gives 32 bytes that look random.
func named(what string) []byte {
	b := sha256.Sum256([]byte("coffer wire test vector: " + what))
	return b[:]
}

// long gives n bytes that look random.
func long(what string, n int) (b []byte) {
	for i := 0; len(b) < n; i++ {
		b = append(b, named(what+string(rune('a'+i)))...)
	}
	return b[:n]
}

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// vec is a length of two bytes and bytes.
func vec[B string | []byte](b B) []byte { return cat(be16(uint16(len(b))), []byte(b)) }

func specHMAC(key []byte, data ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(cat(data...))
	return m.Sum(nil)
}

// specHKDF is HKDF-SHA256 of RFC 5869 with at most 32 bytes of output: one block.
func specHKDF(secret, salt []byte, info string) []byte {
	return specHMAC(specHMAC(salt, secret), []byte(info), []byte{1})
}

// specHash is the hash of section 2.
func specHash(domain string, parts ...[]byte) []byte {
	sum := sha256.Sum256(cat([]byte{byte(len(domain))}, []byte(domain), cat(parts...)))
	return sum[:]
}

func specGCM(key, nonce, plain, aad []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead.Seal(nil, nonce, plain, aad)
}

// specPad appends 0x80 and as few zeros as fill the class.
func specPad(b []byte, class int) []byte {
	b = cat(b, []byte{0x80})
	for len(b)%class != 0 {
		b = append(b, 0)
	}
	return b
}

func specAccount(issuer, subject string) []byte {
	return specHash("coffer/v1/account", vec(issuer), []byte(subject))
}

// specPartition reads the first eight bytes of the hash as one number.
func specPartition(fleet, account []byte, partitions uint64) uint16 {
	return uint16(binary.BigEndian.Uint64(specHash("coffer/v1/partition", fleet, account)) % partitions)
}
