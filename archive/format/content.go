// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// ContentID names a content: a segment of a file, a group of pages, a leaf. It is keyed BLAKE3, so equal contents share one
// id inside an archive, and nobody without K can tell which content has which id. It appears in sealed objects only.
type ContentID [32]byte

func (id ContentID) String() string { return hex.EncodeToString(id[:]) }

// Hole is the id of a segment of zeros, which is not stored.
var Hole ContentID

// IsHole reports whether the id stands for a segment of zeros.
func (id ContentID) IsHole() bool { return id == Hole }

// PageID tells a page from its earlier version. 16 bytes suffice: it is compared only with the id of the same page of the
// same database, and whoever chooses page contents does not know the key.
type PageID [16]byte

// A Hasher computes the keyed hashes of one archive. It is not safe for concurrent use; Clone makes another.
type Hasher struct{ content, page, cut *blake3.Hasher }

// Hasher returns the hasher of the keyring's archive. Its keys come from the first master key, so that contents keep their
// ids when K changes.
func (kr *Keyring) Hasher() *Hasher {
	keyed := func(domain string) *blake3.Hasher {
		key := derive(&kr.masters[0], nil, domain+string(kr.archive[:]))
		defer clear(key)
		h, err := blake3.NewKeyed(key)
		if err != nil {
			panic("format: blake3: " + err.Error())
		}
		return h
	}
	return &Hasher{keyed(domainContentID), keyed(domainPageID), keyed(domainCut)}
}

// Clone returns a hasher for another goroutine.
func (h *Hasher) Clone() *Hasher {
	return &Hasher{h.content.Clone(), h.page.Clone(), h.cut.Clone()}
}

// Content returns the id of a content of any size.
func (h *Hasher) Content(p []byte) (id ContentID) {
	h.content.Reset()
	h.content.Write(p)
	h.content.Sum(id[:0])
	return id
}

// SQLite's online backup writes its own values into these header fields of page 1: file change counter, schema cookie,
// version-valid-for and SQLite version. They change nothing that a reader of the restored database sees.
var volatileHeader = [3][2]int{{24, 28}, {40, 44}, {92, 100}}

const sqliteMagic = "SQLite format 3\x00"

// Page returns the id of page number (from 1) of a database. Page 1 of a SQLite database counts as unchanged if only those
// header fields differ that an online backup writes. Without SQLite's magic the same bytes may be anything, and count.
func (h *Hasher) Page(number uint32, p []byte) (id PageID) {
	h.page.Reset()
	if number == 1 && len(p) >= MinPageSize && string(p[:len(sqliteMagic)]) == sqliteMagic {
		var first [100]byte
		copy(first[:], p)
		for _, f := range volatileHeader {
			clear(first[f[0]:f[1]])
		}
		h.page.Write(first[:])
		p = p[len(first):]
	}
	h.page.Write(p)
	var sum [32]byte
	h.page.Sum(sum[:0])
	copy(id[:], sum[:])
	return id
}

// Cut tells whether a leaf of the listing ends behind the entry with this path: at one path in 256, picked by a keyed hash,
// so that a new entry changes one leaf and the cuts reveal nothing.
func (h *Hasher) Cut(path string) bool {
	h.cut.Reset()
	h.cut.WriteString(path)
	var sum [32]byte
	h.cut.Sum(sum[:0])
	return binary.BigEndian.Uint32(sum[:])%256 == 0
}
