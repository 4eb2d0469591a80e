// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
)

// EntryType says what a path of a snapshot is.
type EntryType byte

const (
	TypeDir      EntryType = 'd'
	TypeFile     EntryType = 'f'
	TypeSymlink  EntryType = 'l'
	TypeDatabase EntryType = 'p' // stored page-wise
)

// ModeMask are the mode bits that are kept: permissions, and setuid 0o4000, setgid 0o2000, sticky 0o1000.
const ModeMask = 0o7777

// An Entry is one path of a snapshot.
type Entry struct {
	Path     string // slash-separated, relative to the source; any bytes but NUL; "" is the source itself
	Type     EntryType
	Mode     uint32 // within ModeMask
	ModTime  time.Time
	Size     int64       // of a file or database, in bytes
	Sparse   bool        // the file had holes; blocks of zeros become holes again
	Segments []ContentID // of a file: one for each SegmentSize bytes, the last may be shorter; or, if there are over MaxInlineIDs, lists of up to ListSegments ids
	Target   string      // of a symbolic link
	PageSize uint32      // of a database; Size is a multiple of it
	Layers   []ContentID // of a database, oldest first: a page is in the newest layer that has it
}

// SegmentCount returns how many segments a file of the entry's size has.
func (e *Entry) SegmentCount() int { return int((e.Size + SegmentSize - 1) / SegmentSize) }

// Inline tells whether Segments names the segments themselves and not lists of them.
func (e *Entry) Inline() bool { return e.SegmentCount() <= MaxInlineIDs }

func (e *Entry) segmentIDs() int {
	if n := e.SegmentCount(); n > MaxInlineIDs {
		return (n + ListSegments - 1) / ListSegments
	} else {
		return n
	}
}

// ComparePaths orders paths as a walk visits them: a folder, then all below it, siblings by their bytes.
func ComparePaths(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return int(pathByte(a[i])) - int(pathByte(b[i]))
		}
	}
	return len(a) - len(b)
}

// pathByte sorts the separator before all bytes that a name may hold.
func pathByte(c byte) byte {
	if c == '/' {
		return 0
	}
	return c
}

// ValidPath tells whether a path may stand in a snapshot: relative, without empty, "." or ".." elements or NUL bytes.
// With it no path can lead out of the folder that it is joined to, where the slash is the only separator. On a system that
// gives a meaning to other bytes (backslash, colon), whoever restores must escape them.
func ValidPath(path string) bool {
	if path == "" {
		return true
	}
	if len(path) > MaxPath || strings.IndexByte(path, 0) >= 0 {
		return false
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	return true
}

// appendEntry encodes an entry behind the one with path prev.
func appendEntry(b []byte, prev string, e *Entry) []byte {
	b = append(b, byte(e.Type))
	b = appendPath(b, prev, e.Path)
	b = binary.AppendUvarint(b, uint64(e.Mode))
	b = appendTime(b, e.ModTime)
	switch e.Type {
	case TypeFile:
		b = append(b, flag(e.Sparse))
		b = binary.AppendUvarint(b, uint64(e.Size))
		b = appendIDs(b, e.Segments)
	case TypeSymlink:
		b = appendString(b, e.Target)
	case TypeDatabase:
		b = append(b, byte(bits.TrailingZeros32(e.PageSize)))
		b = binary.AppendUvarint(b, uint64(e.Size)/uint64(e.PageSize))
		b = binary.AppendUvarint(b, uint64(len(e.Layers)))
		b = appendIDs(b, e.Layers)
	}
	return b
}

func (d *decoder) entry(prev string, e *Entry) {
	e.Type = EntryType(d.byte())
	e.Path = d.path(prev)
	e.Mode = uint32(d.uvarint(ModeMask))
	e.ModTime = d.time()
	switch e.Type {
	case TypeDir:
	case TypeFile:
		e.Sparse = d.flag()
		e.Size = int64(d.uvarint(MaxFileSize))
		e.Segments = d.ids(e.segmentIDs())
	case TypeSymlink:
		e.Target = d.string(MaxTarget)
	case TypeDatabase:
		shift := d.byte()
		if shift < 9 || shift > 16 {
			d.fail("impossible page size")
			return
		}
		e.PageSize = 1 << shift
		e.Size = int64(d.uvarint(1<<32-1)) << shift
		e.Layers = d.ids(d.count(MaxLayers, 32))
	default:
		d.fail("entry of an unknown type")
	}
}

// appendPath encodes a path as what it shares with the one before, and the rest.
func appendPath(b []byte, prev, path string) []byte {
	n := shared(prev, path)
	b = binary.AppendUvarint(b, uint64(n))
	return appendString(b, path[n:])
}

func (d *decoder) path(prev string) string {
	n := d.uvarint(uint64(len(prev)))
	path := prev[:n] + d.string(MaxPath)
	if d.err == nil && (!ValidPath(path) || shared(prev, path) != int(n)) {
		d.fail("forbidden path")
	}
	return path
}

func shared(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func (d *decoder) flag() bool {
	b := d.byte()
	if b > 1 {
		d.fail("flag out of range")
	}
	return b == 1
}

func appendIDs(b []byte, ids []ContentID) []byte {
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

// ids reads n content ids. Memory is taken only for what is there.
func (d *decoder) ids(n int) []ContentID {
	p := d.take(uint64(n) * 32)
	if p == nil {
		return nil
	}
	ids := make([]ContentID, n)
	for i := range ids {
		copy(ids[i][:], p[32*i:])
	}
	return ids
}

// EncodeIDs encodes a list of segments.
func EncodeIDs(ids []ContentID) []byte { return appendIDs(make([]byte, 0, 32*len(ids)), ids) }

// DecodeIDs reads what EncodeIDs wrote. Errors wrap ErrDamaged.
func DecodeIDs(b []byte) ([]ContentID, error) {
	d := decoder{b: b}
	ids := d.ids(len(b) / 32)
	return ids, d.end()
}
