// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/cipher"
	"encoding/binary"
)

const (
	minRecordEntry = 32 + 1 + 1
	maxRecordEntry = 32 + 1 + 4 + 4
)

func appendRecords(b []byte, records []Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(records)))
	for i := range records {
		r := &records[i]
		b = append(b, r.ID[:]...)
		b = append(b, byte(r.Coding))
		b = binary.AppendUvarint(b, uint64(r.Size))
		if r.Coding != Raw {
			b = binary.AppendUvarint(b, uint64(r.Stored))
		}
	}
	return b
}

// records reads what appendRecords wrote, and returns the bytes that the sealed records take.
func (d *decoder) records() (records []Record, sealed uint64) {
	n := d.count(MaxPackSize/minRecordEntry, minRecordEntry)
	records = make([]Record, n)
	for i := range records {
		r := &records[i]
		d.read(r.ID[:])
		r.Coding = Coding(d.byte())
		r.Size = uint32(d.uvarint(MaxRecordSize))
		r.Stored = r.Size
		if r.Coding != Raw {
			r.Stored = uint32(d.uvarint(MaxRecordSize))
		}
		if !r.possible() {
			d.fail("impossible record")
		}
		sealed += uint64(r.sealed())
	}
	return records, sealed
}

// A PackReader opens parts of one pack. It is safe for concurrent use.
type PackReader struct {
	aead cipher.AEAD
	aad  []byte
}

// PackReader returns a reader of the described pack. The salt of the description makes the key, so that the bytes of
// another pack do not open. Errors wrap ErrDamaged.
func (kr *Keyring) PackReader(p *Pack) (*PackReader, error) {
	return kr.packReader(&header{typ: TypePack, archive: kr.archive, epoch: p.Epoch, salt: p.Salt})
}

func (kr *Keyring) packReader(h *header) (*PackReader, error) {
	key, err := kr.objectKey(h)
	if err != nil {
		return nil, err
	}
	return &PackReader{newGCM(key), h.encode()}, nil
}

// OpenRecord opens the record at a position from its sealed bytes, in place, and returns the encoded content.
func (r *PackReader) OpenRecord(position uint32, sealed []byte) ([]byte, error) {
	encoded, err := r.aead.Open(sealed[:0], packNonce(partRecord, position), sealed, r.aad)
	if err != nil {
		return nil, damaged("record altered")
	}
	return encoded, nil
}

// TailSize is how much of a pack's end ReadPack wants at first: enough for the index of most packs.
const TailSize = 64 << 10

// IndexSize tells from the first HeaderSize bytes and the last bytes of a pack how many bytes at its end ReadIndex needs.
func (kr *Keyring) IndexSize(head, tail []byte) (int, error) {
	r, err := kr.readerOf(head)
	if err != nil {
		return 0, err
	}
	if len(tail) < trailerSize {
		return 0, damaged("pack too short")
	}
	n, err := r.aead.Open(nil, packNonce(partTrailer, 0), tail[len(tail)-trailerSize:], r.aad)
	if err != nil {
		return 0, damaged("pack's trailer altered")
	}
	size := binary.BigEndian.Uint32(n)
	if size < tagSize || size > MaxPackSize-HeaderSize-trailerSize {
		return 0, damaged("pack's index has a wrong length")
	}
	return int(size) + trailerSize, nil
}

// ReadIndex describes a pack from its header and its last IndexSize bytes. name and size are what the destination says;
// the caller knows that the object has that size.
func (kr *Keyring) ReadIndex(name Digest, size int64, head, tail []byte) (Pack, error) {
	n, err := kr.IndexSize(head, tail)
	if err != nil {
		return Pack{}, err
	}
	if size > MaxPackSize || n > len(tail) || int64(n) > size-HeaderSize {
		return Pack{}, damaged("pack of a wrong size")
	}
	h, _ := parseHeader(head, TypePack, kr.archive)
	r, err := kr.packReader(&h)
	if err != nil {
		return Pack{}, err
	}
	plain, err := r.aead.Open(nil, packNonce(partIndex, 0), tail[len(tail)-n:len(tail)-trailerSize], r.aad)
	if err != nil {
		return Pack{}, damaged("pack's index altered")
	}
	d := decoder{b: plain}
	records, sealed := d.records()
	for _, b := range d.b {
		if b != 0 {
			d.fail("pack with wrong padding")
		}
	}
	unpadded := int(size) - len(d.b)
	if d.err == nil && (HeaderSize+sealed+uint64(n) != uint64(size) || Padme(unpadded) != int(size)) {
		d.fail("pack of a wrong size")
	}
	return Pack{Name: name, Salt: h.salt, Epoch: h.epoch, Size: uint32(size), Records: records}, d.err
}

func (kr *Keyring) readerOf(head []byte) (*PackReader, error) {
	h, err := parseHeader(head, TypePack, kr.archive)
	if err != nil {
		return nil, err
	}
	return kr.packReader(&h)
}
