// SPDX-License-Identifier: Apache-2.0

package format

import "encoding/binary"

const packEntry = 32 + saltSize + 1 + 4 // a lower bound of what one pack takes in an index

// EncodeIndex encodes an index: the descriptions of packs, for a reader that does not want to open each pack's end.
func EncodeIndex(packs []Pack) []byte {
	b := binary.AppendUvarint(nil, uint64(len(packs)))
	for i := range packs {
		p := &packs[i]
		b = append(b, p.Name[:]...)
		b = append(b, p.Salt[:]...)
		b = binary.AppendUvarint(b, uint64(p.Epoch))
		b = binary.BigEndian.AppendUint32(b, p.Size)
		b = appendRecords(b, p.Records)
	}
	return b
}

// IndexSizeOf bounds what a pack takes in an encoded index.
func IndexSizeOf(p *Pack) int { return packEntry + 10 + maxRecordEntry*len(p.Records) }

// DecodeIndex reads what EncodeIndex wrote. Errors wrap ErrDamaged.
func DecodeIndex(b []byte) ([]Pack, error) {
	d := decoder{b: b}
	packs := make([]Pack, d.count(MaxObjectSize, packEntry))
	for i := range packs {
		p := &packs[i]
		d.read(p.Name[:])
		d.read(p.Salt[:])
		p.Epoch = uint32(d.uvarint(MaxEpochs))
		var size [4]byte
		d.read(size[:])
		p.Size = binary.BigEndian.Uint32(size[:])
		var sealed uint64
		p.Records, sealed = d.records()
		if p.Epoch == 0 || p.Size > MaxPackSize || HeaderSize+sealed > uint64(p.Size) {
			d.fail("impossible pack")
		}
		if d.err != nil {
			return nil, d.err
		}
	}
	return packs, d.end()
}
