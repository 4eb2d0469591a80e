// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
)

// Coding says how a record's content is encoded inside its seal.
type Coding byte

const (
	Raw  Coding = 0
	Zstd Coding = 1 // one zstd frame
)

// A Record describes one content in a pack.
type Record struct {
	ID     ContentID
	Coding Coding
	Size   uint32 // of the content, 1 to MaxRecordSize
	Stored uint32 // of the encoded content, without its tag; equal to Size if Raw
}

// A Pack describes one pack: enough to read any of its records with one range read.
type Pack struct {
	Name    Digest
	Salt    [saltSize]byte
	Epoch   uint32
	Size    uint32 // of the whole object
	Records []Record
}

// possible tells whether a pack may have the record.
func (r *Record) possible() bool {
	switch {
	case r.ID.IsHole(), r.Size == 0 || r.Size > MaxRecordSize, r.Stored == 0 || r.Stored > MaxRecordSize:
		return false
	case r.Coding == Raw:
		return r.Stored == r.Size
	}
	return r.Coding == Zstd
}

// sealed is the size of the record in the pack, tag included.
func (r *Record) sealed() uint32 { return r.Stored + tagSize }

// Each calls f for each record with its position and offset.
func (p *Pack) Each(f func(position, offset uint32, r *Record)) {
	offset := uint32(HeaderSize)
	for i := range p.Records {
		f(uint32(i), offset, &p.Records[i])
		offset += p.Records[i].sealed()
	}
}

// The parts of a pack, as the first four bytes of their nonces; the last eight count inside the part. With a key of its own
// for each pack, no nonce is ever used twice under a key, and a record cannot be moved to another position.
const (
	partRecord  = 0
	partIndex   = 1
	partTrailer = 2
	trailerSize = 4 + tagSize
)

func packNonce(part, counter uint32) []byte {
	var n [12]byte
	binary.BigEndian.PutUint32(n[:4], part)
	binary.BigEndian.PutUint32(n[8:], counter)
	return n[:]
}

// A PackWriter seals one pack in memory. A pack is written once, in one process: one that was not finished is discarded.
//
//	header ‖ record … record ‖ index, padded ‖ trailer
//
// Records are AES-256-GCM of encoded contents. The index names them; with it a pack is usable by itself. The trailer, of
// fixed size, says how long the index is.
type PackWriter struct {
	aead    cipher.AEAD
	pack    Pack
	buf     []byte
	aad     []byte
	idxSize int // bound on the encoded index so far
}

// NewPack begins a pack in buf, which it takes over; its capacity should be MaxPackSize.
func (kr *Keyring) NewPack(buf []byte) *PackWriter {
	h := header{typ: TypePack, archive: kr.archive, epoch: kr.Epoch()}
	rand.Read(h.salt[:])
	return kr.newPack(&h, buf)
}

func (kr *Keyring) newPack(h *header, buf []byte) *PackWriter {
	key, err := kr.objectKey(h)
	if err != nil {
		panic("format: " + err.Error())
	}
	aad := h.encode()
	return &PackWriter{aead: newGCM(key), pack: Pack{Salt: h.salt, Epoch: h.epoch}, buf: append(buf[:0], aad...), aad: aad}
}

// Len returns how many records the pack has.
func (w *PackWriter) Len() int { return len(w.pack.Records) }

// Fits tells whether a record of so many encoded bytes still fits.
func (w *PackWriter) Fits(stored int) bool {
	return len(w.buf)+stored+tagSize+w.idxSize+maxRecordEntry+binary.MaxVarintLen32+tagSize+trailerSize <= MaxPackSize
}

// Append seals one content. It must fit, and r.Stored be len(encoded).
func (w *PackWriter) Append(r Record, encoded []byte) {
	if !w.Fits(len(encoded)) || int(r.Stored) != len(encoded) || !r.possible() {
		panic("format: record does not fit")
	}
	w.buf = w.aead.Seal(w.buf, packNonce(partRecord, uint32(len(w.pack.Records))), encoded, w.aad)
	w.pack.Records = append(w.pack.Records, r)
	w.idxSize += maxRecordEntry
}

// Finish closes the pack and returns its description and its bytes, which are the writer's buffer. The writer is of no use
// afterwards: to seal anything more would be to use a nonce twice.
func (w *PackWriter) Finish() (Pack, []byte) {
	plain := appendRecords(make([]byte, 0, w.idxSize+binary.MaxVarintLen32), w.pack.Records)
	size := Padme(len(w.buf) + len(plain) + tagSize + trailerSize)
	plain = append(plain, make([]byte, size-len(w.buf)-len(plain)-tagSize-trailerSize)...)
	w.buf = w.aead.Seal(w.buf, packNonce(partIndex, 0), plain, w.aad)
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(plain)+tagSize))
	w.buf = w.aead.Seal(w.buf, packNonce(partTrailer, 0), n[:], w.aad)
	w.aead = nil
	w.pack.Size = uint32(len(w.buf))
	w.pack.Name = DigestOf(w.buf)
	return w.pack, w.buf
}
