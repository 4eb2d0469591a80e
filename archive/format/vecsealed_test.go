// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// A vectorSet collects vectors of one kind.
type vectorSet struct {
	base vector
	all  []*vector
}

// add makes a vector. Its name is the kind and what is wrong with it.
func (s *vectorSet) add(name, expect, comment string, body []byte) *vector {
	v := s.base
	v.name, v.Expect, v.Comment, v.body = s.base.Kind+"-"+name+".txt", expect, comment, body
	s.all = append(s.all, &v)
	return &v
}

func (s *vectorSet) good(name, comment, value string, body []byte) *vector {
	v := s.add(name, "success", comment, body)
	v.Value = value
	return v
}

func (s *vectorSet) damaged(name, comment string, body []byte) *vector {
	return s.add(name, "damaged", comment, body)
}

func sealedBase(kind string, masters ...[]byte) vector {
	v := vector{Kind: kind, Archive: hex.EncodeToString(specArchive)}
	for _, m := range masters {
		v.Masters = append(v.Masters, hex.EncodeToString(m))
	}
	return v
}

// with returns a copy with other bytes from an offset on.
func with(b []byte, offset int, replacement ...byte) []byte {
	b = slices.Clone(b)
	copy(b[offset:], replacement)
	return b
}

// flipped returns a copy with one bit changed; a negative offset counts from the end.
func flipped(b []byte, offset int) []byte {
	if offset < 0 {
		offset += len(b)
	}
	return with(b, offset, b[offset]^1)
}

func keyringVectors() []*vector {
	s := vectorSet{base: vector{Kind: "keyring", Archive: hex.EncodeToString(specArchive), Key: hex.EncodeToString(specKey)}}
	header := specHeader(tKeyring, 1, named("salt"))
	good := specKeyring(header, master1)
	rehash := func(b []byte) []byte { return withHash(b[:len(b)-32]) }
	commitment, wrap := good[60:92], specHKDF(specKey, named("salt"), []byte("coffer archive v1 wrapping key"), header[8:28])
	s.good("ok", "one master key", describe([][]byte{master1}), good)
	s.good("ok-epochs", "three master keys", describe([][]byte{master1, master2, master3}),
		specKeyring(specHeader(tKeyring, 3, named("salt 3")), master1, master2, master3))
	s.add("key", "wrong-key", "the key is another one", good).Key = hex.EncodeToString(named("another key"))
	s.add("commitment", "wrong-key", "the commitment is altered, and the hash at the end made to fit", rehash(flipped(good, 60)))
	s.add("salt", "wrong-key", "the salt is altered, and the hash at the end made to fit", rehash(flipped(good, 28)))
	s.add("version", "version", "version 2", rehash(with(good, 6, 2)))
	s.damaged("version-0", "version 0, which never was", rehash(with(good, 6, 0)))
	s.damaged("magic", "another magic", rehash(with(good, 0, 'c')))
	s.damaged("type", "the type is that of a pack", rehash(with(good, 7, tPack)))
	s.damaged("archive", "it is of another archive", good).Archive = hex.EncodeToString(named("another archive")[:16])
	s.add("archive-altered", "wrong-key", "the archive id is altered to the one that is wanted, and the hash at the end made to fit",
		rehash(with(good, 8, named("another archive")[:16]...))).Archive = hex.EncodeToString(named("another archive")[:16])
	s.damaged("epoch-0", "epoch 0 with no master key", specKeyring(specHeader(tKeyring, 0, named("salt"))))
	s.damaged("epoch-2", "epoch 2 with one master key", specKeyring(specHeader(tKeyring, 2, named("salt")), master1))
	s.damaged("epoch-over", "1,025 master keys", specKeyring(specHeader(tKeyring, 1025, named("salt")), bytes.Repeat(master1, 1025)))
	s.damaged("hash", "the hash at the end is altered", flipped(good, -1))
	s.damaged("masters", "the sealed master key is altered, and the hash at the end made to fit", rehash(flipped(good, 92)))
	s.damaged("tag", "the tag is altered, and the hash at the end made to fit", rehash(flipped(good, -33)))
	s.damaged("aad", "sealed without associated data", withHash(cat(header, commitment, specGCM(wrap, 0, 0, master1, nil))))
	s.damaged("nonce", "sealed with nonce 1", withHash(cat(header, commitment, specGCM(wrap, 0, 1, master1, header))))
	s.damaged("commitment-as-key", "sealed with the commitment as its key", withHash(cat(header, commitment, specGCM(commitment, 0, 0, master1, header))))
	s.damaged("short", "the last byte is missing", good[:len(good)-1])
	s.damaged("long", "there is one byte more, and the hash at the end made to fit", withHash(append(good[:len(good)-32:len(good)-32], 0)))
	s.damaged("empty", "no bytes", nil)
	return s.all
}

func objectVectors() []*vector {
	s := vectorSet{base: sealedBase("object", master1, master2)}
	s.base.Type = "snapshot"
	header := specHeader(tSnapshot, 2, named("salt"))
	plain := []byte("a snapshot, say")
	good := specObject(header, master2, plain)
	sealed := func(body ...[]byte) []byte { return specSealed(header, master2, cat(body...)) }
	s.good("ok", "sealed under the newest of two master keys", describe(plain), good)
	s.good("ok-empty", "nothing in it", `""`, specObject(header, master2, nil))
	s.good("ok-padded", "with 7 zeros of padding", describe(make([]byte, 33)), specObject(header, master2, make([]byte, 33)))
	s.good("ok-epoch-1", "sealed under the older of two master keys", describe(plain), specObject(specHeader(tSnapshot, 1, named("salt")), master1, plain))
	for name, typ := range map[string]byte{"index": tIndex, "head": tHead, "lock": tLock} {
		s.good("ok-"+name, "of this type", describe(plain), specObject(specHeader(typ, 1, named("salt")), master1, plain)).Type = name
	}
	s.damaged("master", "sealed under the other master key", specObject(header, master1, plain))
	s.damaged("type", "it is a head", specObject(specHeader(tHead, 2, named("salt")), master2, plain))
	s.damaged("type-altered", "a head whose type was altered", with(specObject(specHeader(tHead, 2, named("salt")), master2, plain), 7, tSnapshot))
	s.damaged("domain", "sealed under the key that a head with this salt has",
		cat(header, specGCM(specObjectKey(specHeader(tHead, 2, named("salt")), master2), 0, 0, cat(be32(15), plain, make([]byte, 1)), header)))
	s.damaged("archive", "it is of another archive", good).Archive = hex.EncodeToString(named("another archive")[:16])
	s.damaged("archive-altered", "the archive id in the header was altered to the one that is wanted", with(good, 8, named("another archive")[:16]...)).
		Archive = hex.EncodeToString(named("another archive")[:16])
	s.damaged("salt", "the salt is altered", flipped(good, 28))
	s.damaged("epoch-0", "epoch 0", specObject(specHeader(tSnapshot, 0, named("salt")), master2, plain))
	s.damaged("epoch-3", "epoch 3, and there are two master keys", specObject(specHeader(tSnapshot, 3, named("salt")), master3, plain))
	s.damaged("epoch-altered", "the epoch is altered", with(good, 24, be32(1)...))
	s.damaged("magic", "another magic", flipped(good, 0))
	s.damaged("version-0", "version 0, which never was", with(good, 6, 0))
	s.add("version", "version", "version 2", with(good, 6, 2))
	s.damaged("ciphertext", "the ciphertext is altered", flipped(good, 64))
	s.damaged("tag", "the tag is altered", flipped(good, -1))
	s.damaged("aad", "sealed without associated data", cat(header, specGCM(specObjectKey(header, master2), 0, 0, cat(be32(15), plain, make([]byte, 1)), nil)))
	s.damaged("nonce", "sealed with nonce 1", cat(header, specGCM(specObjectKey(header, master2), 0, 1, cat(be32(15), plain, make([]byte, 1)), header)))
	s.damaged("length-over", "the length is one more than there is", sealed(be32(17), plain, make([]byte, 1)))
	s.damaged("length-max", "the length is 2^32-1", sealed(be32(1<<32-1), plain, make([]byte, 1)))
	s.damaged("length-under", "the length leaves a byte to the padding that is not zero", sealed(be32(14), plain, make([]byte, 1)))
	s.damaged("padding", "the padding is not zero", sealed(be32(15), plain, []byte{1}))
	s.damaged("padding-none", "without padding", sealed(be32(15), plain))
	s.damaged("padding-more", "padded to the size after the right one", sealed(be32(15), plain, make([]byte, 9)))
	s.damaged("no-length", "three bytes in it", sealed(make([]byte, 3)))
	s.damaged("header-only", "nothing behind the header", header)
	s.damaged("short", "the last byte is missing", good[:len(good)-1])
	s.damaged("long", "there is one byte more", append(slices.Clone(good), 0))
	s.damaged("empty", "no bytes", nil)
	return s.all
}

func hashVectors() []*vector {
	ids := vectorSet{base: sealedBase("content-id", master1, master2)}
	for name, content := range map[string][]byte{"empty": nil, "short": []byte("a content"), "long": bytes.Repeat([]byte("0123456789"), 500)} {
		ids.good(name, "of the first master key, whatever the newest is", describe(specHash("coffer archive v1 content id", content)), content)
	}
	pages := vectorSet{base: sealedBase("page-id", master1)}
	pageID := func(p []byte) string { return describe(specHash("coffer archive v1 page id", p)[:16]) }
	page := cat([]byte("SQLite format 3\x00"), bytes.Repeat([]byte{7}, 512-16))
	masked := with(with(with(page, 24, 0, 0, 0, 0), 40, 0, 0, 0, 0), 92, 0, 0, 0, 0, 0, 0, 0, 0)
	pages.good("first", "page 1: bytes 24-27, 40-43 and 92-99 count as zeros", pageID(masked), page).Page = "1"
	pages.good("second", "page 2: every byte counts", pageID(page), page).Page = "2"
	foreign := with(page, 0, 's')
	pages.good("foreign", "page 1 without SQLite's magic: every byte counts", pageID(foreign), foreign).Page = "1"
	cuts := vectorSet{base: sealedBase("cut", master1)}
	cut := func(path string) bool {
		return binary.BigEndian.Uint32(specHash("coffer archive v1 listing cut", []byte(path)))%256 == 0
	}
	n := 0
	for !cut(fmt.Sprint("media/", n)) {
		n++
	}
	cuts.good("yes", "a leaf ends behind this path", "true", fmt.Append(nil, "media/", n))
	cuts.good("no", "no leaf ends behind this path", "false", fmt.Append(nil, "media/", n+1))
	return slices.Concat(ids.all, pages.all, cuts.all)
}
