// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"encoding/hex"
)

// describePack is what a reader must make of a pack.
func describePack(data []byte, epoch uint32, records ...Record) string {
	return describe(Pack{Name: DigestOf(data), Salt: [32]byte(data[28:60]), Epoch: epoch, Size: uint32(len(data)), Records: records})
}

func packVectors() []*vector {
	s := vectorSet{base: sealedBase("pack", master1, master2)}
	id := func(content []byte) []byte { return specHash("coffer archive v1 content id", content) }
	raw, pages := []byte("a content that does not compress"), bytes.Repeat([]byte("p"), 200)
	frame := cat(be32(0x28b52ffd), []byte{0x20, 200, 0x43, 0x06, 0, 'p'}) // RFC 8878: one block of one repeated byte
	a, b := specRecord(id(raw), uint64(len(raw)), 0), specRecord(id(pages), uint64(len(pages)), uint64(len(frame)))

	// whole is a right pack of two records; each fault changes one part of it.
	whole := func() *specPack {
		return &specPack{
			header: specHeader(tPack, 2, named("salt")), master: master2, records: [][]byte{raw, frame}, index: cat(num(2), a, b),
		}
	}
	fault := func(name, comment string, change func(*specPack)) {
		p := whole()
		change(p)
		s.damaged(name, comment, p.bytes())
	}
	good := whole().bytes()
	ra := Record{ContentID(id(raw)), Raw, uint32(len(raw)), uint32(len(raw))}
	rb := Record{ContentID(id(pages)), Zstd, uint32(len(pages)), uint32(len(frame))}
	s.good("ok", "two records, one raw and one compressed", describePack(good, 2, ra, rb), good)
	one := specPack{header: specHeader(tPack, 1, named("salt")), master: master1, records: [][]byte{raw}, index: cat(num(1), a)}.bytes()
	s.good("ok-epoch-1", "one record, sealed under the older of two master keys", describePack(one, 1, ra), one)
	none := specPack{header: specHeader(tPack, 1, named("salt")), master: master1, index: num(0)}.bytes()
	s.good("ok-empty", "no record", describePack(none, 1), none)

	another := whole()
	another.header = specHeader(tPack, 2, named("another salt"))
	other := another.bytes()
	second := 60 + len(raw) + 16
	twins := specPack{header: specHeader(tPack, 2, named("salt")), master: master2, records: [][]byte{master1, master2},
		index: cat(num(2), specRecord(id(master1), 32, 0), specRecord(id(master2), 32, 0)), positions: []uint32{1, 0}}
	s.damaged("records-swapped", "two records of the same size lie in each other's place", twins.bytes())
	s.damaged("record-of-another-pack", "the first record is that of a pack with another salt", with(good, 60, other[60:second]...))
	s.damaged("index-of-another-pack", "the index is that of a pack with another salt", with(good, second, other[second:len(other)-20]...))
	s.damaged("trailer-of-another-pack", "the trailer is that of a pack with another salt", with(good, len(good)-20, other[len(other)-20:]...))
	s.damaged("header-of-another-pack", "the header is that of a pack with another salt", with(good, 0, other[:60]...))
	s.damaged("record", "the first record is altered", flipped(good, 60))
	s.damaged("record-tag", "the first record's tag is altered", flipped(good, second-1))
	s.damaged("index", "the index is altered", flipped(good, second+len(frame)+16))
	s.damaged("trailer", "the trailer is altered", flipped(good, -20))
	s.damaged("trailer-tag", "the trailer's tag is altered", flipped(good, -1))
	s.damaged("type", "the header is that of an index, all the same sealed as a pack", with(good, 7, tIndex))
	s.damaged("archive", "it is of another archive", good).Archive = hex.EncodeToString(named("another archive")[:16])
	s.damaged("salt", "the salt is altered", flipped(good, 28))
	s.damaged("epoch-altered", "the epoch is altered", with(good, 24, be32(1)...))
	s.add("version", "version", "version 2", with(good, 6, 2))
	s.damaged("short", "the last byte is missing", good[:len(good)-1])
	s.damaged("short-front", "a byte is missing between header and trailer", cat(good[:60], good[61:]))
	s.damaged("long", "there is one byte more", append(bytes.Clone(good), 0))
	s.damaged("inserted", "there is one byte more behind the header", cat(good[:60], []byte{0}, good[60:]))
	s.damaged("header-only", "nothing behind the header", good[:60])
	s.damaged("empty", "no bytes", nil)

	fault("epoch-3", "epoch 3, and there are two master keys", func(p *specPack) { p.header, p.master = specHeader(tPack, 3, named("salt")), master3 })
	fault("master", "sealed under the other master key", func(p *specPack) { p.master = master1 })
	fault("record-nonce", "the second record has the nonce of a third", func(p *specPack) { p.positions = []uint32{0, 2} })
	fault("record-missing", "the index describes a record that is not there", func(p *specPack) { p.records = p.records[:1] })
	fault("record-more", "there is a record that the index does not describe", func(p *specPack) { p.index = cat(num(1), a) })
	fault("padding", "the index is not padded", func(p *specPack) { p.padding = func(n int) int { return n } })
	fault("padding-more", "the index is padded to the size after the right one", func(p *specPack) {
		p.padding = func(n int) int { return specPadme(specPadme(n) + 1) }
	})
	fault("padding-zero", "the padding is not zero", func(p *specPack) {
		p.index = append(p.index, 1)
	})
	fault("trailer-under", "the index is shorter than its tag", func(p *specPack) { p.length = func(uint32) uint32 { return 15 } })
	fault("trailer-over", "the index is longer than the pack", func(p *specPack) { p.length = func(uint32) uint32 { return 1 << 20 } })
	fault("trailer-max", "the index has 2^32-1 bytes", func(p *specPack) { p.length = func(uint32) uint32 { return 1<<32 - 1 } })
	fault("trailer-off", "the index is one byte shorter than it is", func(p *specPack) { p.length = func(n uint32) uint32 { return n - 1 } })

	index := func(name, comment string, parts ...[]byte) {
		fault(name, "in the index "+comment, func(p *specPack) { p.index = cat(parts...) })
	}
	index("index-empty", "there is nothing, not even a count")
	index("index-count", "the count is 2^40", num(1<<40), a, b)
	index("index-number", "the count takes a byte more than it needs", []byte{0x82, 0}, a, b)
	index("coding-unknown", "a record has coding 2", num(2), a, id(pages), []byte{2}, num(200), num(uint64(len(frame))))
	index("size-zero", "a record has size 0", num(2), specRecord(id(raw), 0, 0), b)
	index("size-over", "a record is larger than 4 MiB", num(2), a, specRecord(id(pages), 4<<20+1, uint64(len(frame))))
	index("stored-zero", "a compressed record takes no bytes", num(2), a, id(pages), []byte{1}, num(200), num(0))
	index("stored-over", "a compressed record takes more than 4 MiB", num(2), a, specRecord(id(pages), 200, 4<<20+1))
	index("size-off", "a record is one byte shorter than it is", num(2), specRecord(id(raw), uint64(len(raw)-1), 0), b)
	index("hole", "a record has the id of a hole", num(2), specRecord(make([]byte, 32), uint64(len(raw)), 0), b)
	return s.all
}
