// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"strings"
	"time"
)

func utc(seconds, nanos int64) time.Time { return time.Unix(seconds, nanos).UTC() }

// specEntry is the beginning of each entry of a leaf.
func specEntry(typ byte, shared uint64, rest string, mode uint64, when ...[]byte) []byte {
	if when == nil {
		when = [][]byte{moment(1700000000, 5)}
	}
	return cat([]byte{typ}, num(shared), text(rest), num(mode), cat(when...))
}

func leafVectors() []*vector {
	s := vectorSet{base: vector{Kind: "leaf"}}
	root := specEntry('d', 0, "", 0o755)
	file := func(shared uint64, path string) []byte {
		return cat(specEntry('f', shared, path, 0o644), []byte{0}, num(0))
	}
	leaf := func(n uint64, entries ...[]byte) []byte { return cat(num(n), cat(entries...)) }
	when := utc(1700000000, 5)
	s.good("ok-empty", "no entry", "[]", leaf(0))
	id1, id2 := named("content 1"), named("content 2")
	s.good("ok", "an entry of each type; the paths share their beginnings", describe([]Entry{
		{Path: "", Type: TypeDir, Mode: 0o755, ModTime: when},
		{Path: "chat", Type: TypeDir, Mode: 0o1777, ModTime: when},
		{Path: "chat/a.jpg", Type: TypeFile, Mode: 0o644, ModTime: when, Size: 4<<20 + 1, Sparse: true, Segments: []ContentID{{}, ContentID(id1)}},
		{Path: "chat/a.link", Type: TypeSymlink, Mode: 0o777, ModTime: utc(-1, 999_999_999), Target: "../b"},
		{Path: "chat/msg.db", Type: TypeDatabase, Mode: 0o600, ModTime: when, PageSize: 4096, Size: 3 * 4096, Layers: []ContentID{ContentID(id1), ContentID(id2)}},
		{Path: "chat.txt", Type: TypeFile, Mode: 0o644, ModTime: when, Size: 1, Segments: []ContentID{ContentID(id2)}},
	}), leaf(6, root,
		specEntry('d', 0, "chat", 0o1777),
		specEntry('f', 4, "/a.jpg", 0o644), []byte{1}, num(4<<20+1), make([]byte, 32), id1,
		specEntry('l', 7, "link", 0o777, moment(-1, 999_999_999)), text("../b"),
		specEntry('p', 5, "msg.db", 0o600), []byte{12}, num(3), num(2), id1, id2,
		specEntry('f', 4, ".txt", 0o644), []byte{0}, num(1), id2))
	s.good("ok-bytes", "names of any bytes", describe([]Entry{{Path: "\xff\x01 \\", Type: TypeDir, ModTime: when}}), leaf(1, specEntry('d', 0, "\xff\x01 \\", 0)))
	s.good("ok-order", "the slash sorts before all other bytes", describe([]Entry{
		{Path: "a", Type: TypeDir, ModTime: when}, {Path: "a/b", Type: TypeDir, ModTime: when}, {Path: "a\x01", Type: TypeDir, ModTime: when},
	}), leaf(3, specEntry('d', 0, "a", 0), specEntry('d', 1, "/b", 0), specEntry('d', 1, "\x01", 0)))
	s.good("ok-lists", "a file of 65 segments, named by a list", describe([]Entry{
		{Path: "f", Type: TypeFile, ModTime: when, Size: 64<<22 + 1, Segments: []ContentID{ContentID(id1)}},
	}), leaf(1, specEntry('f', 0, "f", 0), []byte{0}, num(64<<22+1), id1))
	s.good("ok-times", "the earliest and the latest time", describe([]Entry{
		{Path: "a", Type: TypeDir, ModTime: utc(-1<<40, 0)}, {Path: "b", Type: TypeDir, ModTime: utc(1<<40, 999_999_999)},
	}), leaf(2, specEntry('d', 0, "a", 0, moment(-1<<40, 0)), specEntry('d', 0, "b", 0, moment(1<<40, 999_999_999))))

	one := func(name, comment string, entry ...[]byte) { s.damaged(name, comment, leaf(1, cat(entry...))) }
	one("type", "an entry has no known type", specEntry('x', 0, "a", 0))
	one("path-absolute", "a path begins with a slash", specEntry('d', 0, "/a", 0))
	one("path-slash-end", "a path ends with a slash", specEntry('d', 0, "a/", 0))
	one("path-empty-name", "a path has an empty name in it", specEntry('d', 0, "a//b", 0))
	one("path-dot", "a path has the name . in it", specEntry('d', 0, "./a", 0))
	one("path-dotdot", "a path leads upwards", specEntry('d', 0, "a/../../b", 0))
	one("path-nul", "a path has a NUL byte in it", specEntry('d', 0, "a\x00b", 0))
	one("path-long", "a path is longer than 65,536 bytes", specEntry('d', 0, strings.Repeat("a", 65537), 0))
	one("mode", "a mode is over 07777", specEntry('d', 0, "a", 0o10000))
	one("time-nanos", "a time has 10^9 nanoseconds", specEntry('d', 0, "a", 0, moment(0, 1_000_000_000)))
	one("time-early", "a time is a second before the earliest", specEntry('d', 0, "a", 0, moment(-1<<40-1, 0)))
	one("time-late", "a time is a second after the latest", specEntry('d', 0, "a", 0, moment(1<<40+1, 0)))
	one("flag", "the flag of a sparse file is 2", specEntry('f', 0, "a", 0), []byte{2}, num(0))
	one("size", "a file is larger than 2^52 bytes", specEntry('f', 0, "a", 0), []byte{0}, num(1<<52+1), bytes.Repeat([]byte{7}, 32*8193))
	one("segments", "a file of two segments names one", specEntry('f', 0, "a", 0), []byte{0}, num(4<<20+1), id1)
	one("target", "a link's target is longer than 65,536 bytes", specEntry('l', 0, "a", 0), text(strings.Repeat("a", 65537)))
	one("page-size-under", "a page size is 256", specEntry('p', 0, "a", 0), []byte{8}, num(1), num(1), id1)
	one("page-size-over", "a page size is 131,072", specEntry('p', 0, "a", 0), []byte{17}, num(1), num(1), id1)
	one("pages", "a database has 2^32 pages", specEntry('p', 0, "a", 0), []byte{12}, num(1<<32), num(1), id1)
	one("layers", "a database has 33 layers", specEntry('p', 0, "a", 0), []byte{12}, num(1), num(33), bytes.Repeat(id1, 33))
	one("number", "a number takes a byte more than it needs", []byte{'d', 0x80, 0}, text("a"), num(0), moment(0, 0))
	one("number-over", "a number has more than 64 bits", []byte{'d'}, num(0), text("a"), bytes.Repeat([]byte{0xff}, 10), []byte{1}, moment(0, 0))
	one("cut", "the last byte is missing", root[:len(root)-1])
	one("long", "there is one byte more", root, []byte{0})
	s.damaged("empty", "no bytes", nil)
	s.damaged("count", "it announces 1,024 entries and has one", leaf(1024, root))
	s.damaged("count-over", "it has 1,025 entries", leaf(1025, bytes.Repeat(root, 1025)))
	s.damaged("shared-over", "a path shares more than the one before has", leaf(2, file(0, "a"), file(2, "b")))
	s.damaged("shared-under", "a path shares less than it could", leaf(2, file(0, "aa"), file(1, "ab")))
	s.damaged("order", "two entries in the wrong order", leaf(2, file(0, "b"), file(0, "a")))
	s.damaged("order-slash", "a folder's sibling before what is in the folder", leaf(3, specEntry('d', 0, "a", 0), file(1, "!"), file(1, "/b")))
	s.damaged("twice", "one path twice", leaf(2, file(0, "a"), file(1, "")))
	s.damaged("below-file", "an entry below a file", leaf(2, file(0, "a"), file(1, "/b")))
	s.damaged("below-link", "an entry below a symbolic link", leaf(2, specEntry('l', 0, "a", 0), text("/etc"), file(1, "/b")))
	s.damaged("below-root-file", "an entry below a source that is a file", leaf(2, file(0, ""), file(0, "a")))
	return s.all
}

func layerVectors() []*vector {
	s := vectorSet{base: vector{Kind: "layer"}}
	group := func(runs ...uint64) []byte { // first page and slot as distances from the run before, and count
		b := cat(named("content 1"), num(uint64(len(runs)/3)))
		for _, n := range runs {
			b = append(b, num(n)...)
		}
		return b
	}
	id := ContentID(named("content 1"))
	s.good("ok", "two groups; a slot and pages left out", describe(&Layer{[]Group{
		{id, []Run{{0, 0, 2}, {12, 3, 1}}}, {id, []Run{{1000, 0, 256}}},
	}}), cat(num(2), group(0, 0, 2, 10, 1, 1), group(1000, 0, 256)))
	s.good("ok-empty", "no group", "{}", num(0))
	s.good("ok-last", "the last page that there can be, in the last slot", describe(&Layer{[]Group{{id, []Run{{1<<32 - 2, 2047, 1}}}}}),
		cat(num(1), group(1<<32-2, 2047, 1)))
	s.damaged("group-empty", "a group without pages", cat(num(1), group()))
	s.damaged("run-empty", "a run of no pages", cat(num(1), group(5, 0, 0)))
	s.damaged("run-split", "one run in two pieces", cat(num(1), group(0, 0, 2, 0, 0, 2)))
	s.damaged("slot-over", "a run up to slot 2,048", cat(num(1), group(0, 2047, 2)))
	s.damaged("slot-sum", "runs up to slot 2,049", cat(num(1), group(0, 0, 2048, 1, 1, 1)))
	s.damaged("page-over", "a run beyond page 2^32-2", cat(num(1), group(1<<32-1, 0, 1)))
	s.damaged("page-sum", "the second run begins beyond page 2^32-2", cat(num(1), group(1<<32-2, 0, 1, 1<<32-1, 0, 1)))
	s.damaged("runs-over", "2,049 runs in a group", cat(num(1), named("content 1"), num(2049), bytes.Repeat([]byte{1, 0, 1}, 2049)))
	s.damaged("count", "more groups than bytes", cat(num(1<<20), group(0, 0, 1)))
	s.damaged("cut", "the last byte is missing", cat(num(1), group(0, 0, 1)[:34]))
	s.damaged("long", "there is one byte more", cat(num(0), num(0)))
	s.damaged("empty", "no bytes", nil)
	return s.all
}
