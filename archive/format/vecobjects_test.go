// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
)

func allVectors() []*vector {
	return slices.Concat(keyringVectors(), objectVectors(), packVectors(), hashVectors(), leafVectors(), layerVectors(),
		snapshotVectors(), headVectors(), lockVectors(), indexVectors(), idsVectors(), keyVectors())
}

func snapshotVectors() []*vector {
	s := vectorSet{base: vector{Kind: "snapshot"}}
	device, leaf1, leaf2 := named("device")[:16], named("leaf 1"), named("leaf 2")
	begin := cat(moment(1700000000, 0), device, text("/chats"), num(300), num(5_000_000_000))
	s.good("ok", "two leaves and a problem", describe(&Snapshot{
		Time: utc(1700000000, 0), Device: ID(device), Source: "/chats", Files: 300, Bytes: 5_000_000_000,
		Leaves:   []LeafRef{{ContentID(leaf1), ""}, {ContentID(leaf2), "media/b"}},
		Problems: []Problem{{"media/x", "unreadable", "permission denied"}},
	}), cat(begin, num(2), leaf1, text(""), leaf2, text("media/b"), num(1), text("media/x"), text("unreadable"), text("permission denied")))
	s.good("ok-empty", "no leaf", describe(&Snapshot{Time: utc(0, 0)}), cat(moment(0, 0), make([]byte, 16), text(""), num(0), num(0), num(0), num(0)))
	s.damaged("path", "a leaf begins with a path that leads upwards", cat(begin, num(1), leaf1, text("../a"), num(0)))
	s.damaged("order", "leaves in the wrong order", cat(begin, num(2), leaf1, text("b"), leaf2, text("a"), num(0)))
	s.damaged("twice", "two leaves begin with the same path", cat(begin, num(2), leaf1, text("a"), leaf2, text("a"), num(0)))
	s.damaged("leaves", "more leaves than bytes", cat(begin, num(1<<20), leaf1, text(""), num(0)))
	s.damaged("files", "2^62+1 entries", cat(moment(0, 0), device, text(""), num(1<<62+1), num(0), num(0), num(0)))
	s.damaged("source", "the source's name is longer than 4,096 bytes", cat(moment(0, 0), device, text(strings.Repeat("a", 4097)), num(0), num(0), num(0), num(0)))
	s.damaged("problems", "5,001 problems", cat(begin, num(0), num(5001), make([]byte, 3*5001)))
	s.damaged("kind", "a problem's kind is longer than 64 bytes", cat(begin, num(0), num(1), text(""), text(strings.Repeat("a", 65)), text("")))
	s.damaged("detail", "a problem's detail is longer than 4,096 bytes", cat(begin, num(0), num(1), text(""), text(""), text(strings.Repeat("a", 4097))))
	s.damaged("cut", "the last byte is missing", cat(begin, num(0)))
	s.damaged("long", "there is one byte more", cat(begin, num(0), num(0), num(0)))
	s.damaged("empty", "no bytes", nil)
	return s.all
}

func headVectors() []*vector {
	s := vectorSet{base: vector{Kind: "head"}}
	when := moment(1700000000, 7)
	sorted := [][]byte{named("head 1"), named("head 2")}
	slices.SortFunc(sorted, bytes.Compare)
	p1, p2, snap, index := sorted[0], sorted[1], named("snapshot"), named("index")
	none := cat(num(0), num(0), num(0)) // no snapshots, indexes, marks
	head := func(generation uint64, parents [][]byte, rest ...[]byte) []byte {
		return cat(num(generation), when, num(uint64(len(parents))), cat(parents...), cat(rest...))
	}
	mark := func(typ byte, name []byte) []byte { return cat([]byte{typ}, name, when) }
	at := utc(1700000000, 7)
	s.good("ok-first", "the first head, with nothing in it", describe(&Head{Generation: 1, Time: at}), head(1, nil, none))
	s.good("ok", "a head that joins a fork", describe(&Head{
		Generation: 300, Time: at, Parents: []Digest{Digest(p1), Digest(p2)},
		Snapshots: []SnapshotRef{{Digest(snap), at, 300, 5_000_000_000}},
		Indexes:   []Digest{Digest(index)},
		Marks:     []Mark{{TypePack, Digest(p1), at}, {TypePack, Digest(p2), at}, {TypeHead, Digest(p1), at}},
	}), head(300, sorted, num(1), snap, when, num(300), num(5_000_000_000), num(1), index, num(3), mark(tPack, p1), mark(tPack, p2), mark(tHead, p1)))
	s.damaged("generation-0", "generation 0", head(0, nil, none))
	s.damaged("generation-0-parent", "generation 0 with a parent", head(0, [][]byte{p1}, none))
	s.damaged("generation-1", "generation 1 with a parent", head(1, [][]byte{p1}, none))
	s.damaged("generation-2", "generation 2 without a parent", head(2, nil, none))
	s.damaged("generation-over", "generation 2^62+1", head(1<<62+1, [][]byte{p1}, none))
	s.damaged("parents-order", "the parents in the wrong order", head(2, [][]byte{p2, p1}, none))
	s.damaged("parents-twice", "one parent twice", head(2, [][]byte{p1, p1}, none))
	many := make([][]byte, 17)
	for i := range many {
		many[i] = slices.Concat([]byte{byte(i)}, p1[1:])
	}
	s.damaged("parents-over", "17 parents", head(2, many, none))
	s.damaged("snapshots", "more snapshots than bytes", head(1, nil, num(1<<20), snap, when, num(0), num(0), num(0), num(0)))
	s.damaged("indexes", "more indexes than bytes", head(1, nil, num(0), num(1<<20), index, num(0)))
	s.damaged("mark-keyring", "a keyring is marked", head(1, nil, num(0), num(0), num(1), mark(tKeyring, p1)))
	s.damaged("mark-lock", "a lock is marked", head(1, nil, num(0), num(0), num(1), mark(tLock, p1)))
	s.damaged("marks-order", "marks in the wrong order", head(1, nil, num(0), num(0), num(2), mark(tPack, p2), mark(tPack, p1)))
	s.damaged("marks-order-type", "marks with their types in the wrong order", head(1, nil, num(0), num(0), num(2), mark(tIndex, p1), mark(tPack, p2)))
	s.damaged("marks-twice", "one object marked twice", head(1, nil, num(0), num(0), num(2), mark(tPack, p1), mark(tPack, p1)))
	s.damaged("cut", "the last byte is missing", head(1, nil, num(0), num(0)))
	s.damaged("long", "there is one byte more", head(1, nil, none, num(0)))
	s.damaged("empty", "no bytes", nil)
	return s.all
}

func lockVectors() []*vector {
	s := vectorSet{base: vector{Kind: "lock"}}
	device, when := named("device")[:16], moment(1700000000, 0)
	s.good("ok", "a backup on some host", describe(&Lock{ID(device), "phone", 4711, "backup", utc(1700000000, 0)}),
		cat(device, text("phone"), num(4711), text("backup"), when))
	s.damaged("host", "the host's name is longer than 256 bytes", cat(device, text(strings.Repeat("a", 257)), num(1), text(""), when))
	s.damaged("operation", "the operation's name is longer than 64 bytes", cat(device, text(""), num(1), text(strings.Repeat("a", 65)), when))
	s.damaged("pid", "the process number is 2^32", cat(device, text(""), num(1<<32), text(""), when))
	s.damaged("cut", "the last byte is missing", cat(device, text(""), num(1), text(""), when[:len(when)-1]))
	s.damaged("long", "there is one byte more", cat(device, text(""), num(1), text(""), when, num(0)))
	s.damaged("empty", "no bytes", nil)
	return s.all
}

func indexVectors() []*vector {
	s := vectorSet{base: vector{Kind: "index"}}
	id1, id2 := named("content 1"), named("content 2")
	pack := func(epoch uint64, size uint32, records ...[]byte) []byte {
		return cat(named("pack"), named("salt"), num(epoch), be32(size), num(uint64(len(records))), cat(records...))
	}
	described := func(size uint32, records ...Record) Pack {
		return Pack{Digest(named("pack")), [32]byte(named("salt")), 2, size, records}
	}
	s.good("ok", "two packs", describe([]Pack{
		described(6000, Record{ContentID(id1), Raw, 300, 300}, Record{ContentID(id2), Zstd, 4 << 20, 5000}), described(200),
	}), cat(num(2), pack(2, 6000, specRecord(id1, 300, 0), specRecord(id2, 4<<20, 5000)), pack(2, 200)))
	s.good("ok-empty", "no pack", "[]", num(0))
	s.damaged("epoch-0", "a pack of epoch 0", cat(num(1), pack(0, 200)))
	s.damaged("epoch-over", "a pack of epoch 1,025", cat(num(1), pack(1025, 200)))
	s.damaged("size-over", "a pack larger than 16 MiB", cat(num(1), pack(1, 16<<20+1)))
	s.damaged("size-under", "a pack that is smaller than its records", cat(num(1), pack(1, 400, specRecord(id1, 350, 0))))
	s.damaged("coding", "a record has coding 2", cat(num(1), pack(1, 4000, cat(id1, []byte{2}, num(300), num(300)))))
	s.damaged("record-size", "a record of size 0", cat(num(1), pack(1, 4000, specRecord(id1, 0, 0))))
	s.damaged("hole", "a record has the id of a hole", cat(num(1), pack(1, 4000, specRecord(make([]byte, 32), 300, 0))))
	s.damaged("count", "more packs than bytes", cat(num(1<<20), pack(1, 200)))
	s.damaged("records", "more records than bytes", cat(num(1), named("pack"), named("salt"), num(1), be32(200), num(1<<18), specRecord(id1, 1, 0)))
	s.damaged("cut", "the last byte is missing", cat(num(1), pack(1, 200)[:69]))
	s.damaged("long", "there is one byte more", cat(num(0), num(0)))
	s.damaged("empty", "no bytes", nil)
	return s.all
}

func idsVectors() []*vector {
	s := vectorSet{base: vector{Kind: "ids"}}
	s.good("ok", "three segments, the second a hole", describe([][]byte{named("content 1"), make([]byte, 32), named("content 2")}),
		cat(named("content 1"), make([]byte, 32), named("content 2")))
	s.good("ok-empty", "no segment", "[]", nil)
	s.damaged("cut", "a byte is missing", named("content 1")[:31])
	return s.all
}

func keyVectors() []*vector {
	s := vectorSet{base: vector{Kind: "key"}}
	digits := hex.EncodeToString(specKey)
	var groups []string
	for g := range slices.Chunk([]byte(digits), 4) {
		groups = append(groups, string(g))
	}
	shown := strings.Join(groups, " ")
	for name, typed := range map[string]string{
		"digits": digits, "groups": shown, "upper": strings.ToUpper(shown), "dashes": strings.Join(groups, "-"),
		"lines": " " + strings.Join(groups, "\r\n\t") + "\n", "typography": strings.Join(groups, "\u2013\u00a0"),
	} {
		s.good("ok-"+name, "as it may be typed or pasted", describe(shown), []byte(typed))
	}
	wrong := func(name, comment, typed string) { s.add(name, "not-a-key", comment, []byte(typed)) }
	wrong("63", "63 digits", digits[:63])
	wrong("65", "65 digits", digits+"0")
	wrong("letter", "a letter that is no digit", digits[:63]+"g")
	wrong("prefix", "a prefix", "0x"+digits)
	wrong("utf8", "bytes that are no UTF-8", digits[:63]+"\xff")
	wrong("dotted", "a letter, U+0130, whose low byte is that of the digit 0", digits[:63]+"\u0130")
	wrong("wide", "a full-width digit", digits[:63]+"\uff10")
	wrong("empty", "nothing", "")
	return s.all
}
