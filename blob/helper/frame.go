// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"encoding/binary"
	"math"
	"unicode"
	"unicode/utf8"

	"github.com/coffer-backup/coffer/blob"
)

// The kinds of frames: below 0x80 to the helper, from 0x80 on to the client.
const (
	kindHello byte = 0x01 + iota
	kindPut
	kindChunk
	kindRead
	kindList
	kindDelete
	kindMore
	kindCancel
	kindPing
)

const (
	kindWelcome byte = 0x81 + iota
	kindRefuse
	kindPiece
	kindPage
	kindDone
	kindPong
)

// A frame is one message. A frame that is not valid is neither sent nor accepted, so what follows
// need not look at its bounds again.
type frame interface {
	valid() bool
	append(to []byte) []byte // kind and fields, without the length in front
}

// Frames to the helper.
type (
	hello struct {
		version        uint16
		bytesPerSecond uint64 // of uploads; 0 means no limit
	}
	put struct {
		id   uint64
		size uint32 // as many bytes follow in chunks
		name string
	}
	chunk struct {
		id   uint64
		data []byte
	}
	read struct {
		id   uint64
		off  uint64
		size uint32
		name string
	}
	list struct {
		id     uint64
		prefix string
	}
	remove struct {
		id   uint64
		name string
	}
	more   struct{ id uint64 } // one page was read
	cancel struct{ id uint64 }
	ping   struct{}
)

// Frames to the client.
type (
	welcome struct {
		version uint16
		name    string // of the destination, for people
	}
	refuse struct {
		code code
		text string
	}
	piece struct {
		id   uint64
		data []byte
	}
	page struct {
		id    uint64
		infos []info
	}
	done struct {
		id   uint64
		code code
		text string
	}
	pong struct{}
)

// info is a blob.Info on the wire.
type info struct {
	name   string
	size   uint64
	timeMs uint64 // since 1970
}

func (f hello) valid() bool { return f.bytesPerSecond <= math.MaxInt64 }
func (f put) valid() bool   { return f.size <= MaxObjectBytes && len(f.name) <= maxName }
func (f chunk) valid() bool { return 0 < len(f.data) && len(f.data) <= maxChunk }
func (f read) valid() bool {
	return f.off <= math.MaxInt64 && f.size <= MaxObjectBytes && len(f.name) <= maxName
}
func (f list) valid() bool    { return len(f.prefix) <= maxName }
func (f remove) valid() bool  { return len(f.name) <= maxName }
func (more) valid() bool      { return true }
func (cancel) valid() bool    { return true }
func (ping) valid() bool      { return true }
func (f welcome) valid() bool { return f.name != "" && validText(f.name) }
func (f refuse) valid() bool  { return f.code.failure() && validText(f.text) }
func (f piece) valid() bool   { return 0 < len(f.data) && len(f.data) <= maxChunk }
func (f done) valid() bool    { return f.code <= lastCode && validText(f.text) }
func (pong) valid() bool      { return true }

func (f page) valid() bool {
	for _, i := range f.infos {
		if blob.ValidName(i.name) != nil || i.size > math.MaxInt64 || i.timeMs > maxTimeMs {
			return false
		}
	}
	return 0 < len(f.infos) && len(f.infos) <= maxPage
}

// validText tells a text that can be shown to people: nothing in it moves a cursor or turns the direction of writing.
func validText(text string) bool {
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return len(text) <= maxText && utf8.ValidString(text)
}

func (f hello) append(to []byte) []byte {
	to = append(append(to, kindHello), magic...)
	return appendUint64(binary.BigEndian.AppendUint16(to, f.version), f.bytesPerSecond)
}

func (f put) append(to []byte) []byte {
	return appendString(appendUint32(appendUint64(append(to, kindPut), f.id), f.size), f.name)
}

func (f chunk) append(to []byte) []byte {
	return append(appendUint64(append(to, kindChunk), f.id), f.data...)
}

func (f read) append(to []byte) []byte {
	return appendString(appendUint32(appendUint64(appendUint64(append(to, kindRead), f.id), f.off), f.size), f.name)
}

func (f list) append(to []byte) []byte {
	return appendString(appendUint64(append(to, kindList), f.id), f.prefix)
}

func (f remove) append(to []byte) []byte {
	return appendString(appendUint64(append(to, kindDelete), f.id), f.name)
}

func (f more) append(to []byte) []byte   { return appendUint64(append(to, kindMore), f.id) }
func (f cancel) append(to []byte) []byte { return appendUint64(append(to, kindCancel), f.id) }
func (ping) append(to []byte) []byte     { return append(to, kindPing) }

func (f welcome) append(to []byte) []byte {
	to = append(append(to, kindWelcome), magic...)
	return appendString(binary.BigEndian.AppendUint16(to, f.version), f.name)
}

func (f refuse) append(to []byte) []byte {
	to = append(append(to, kindRefuse), magic...)
	return appendString(append(to, byte(f.code)), f.text)
}

func (f piece) append(to []byte) []byte {
	return append(appendUint64(append(to, kindPiece), f.id), f.data...)
}

func (f page) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint16(appendUint64(append(to, kindPage), f.id), uint16(len(f.infos)))
	for _, i := range f.infos {
		to = appendUint64(appendUint64(appendString(to, i.name), i.size), i.timeMs)
	}
	return to
}

func (f done) append(to []byte) []byte {
	return appendString(append(appendUint64(append(to, kindDone), f.id), byte(f.code)), f.text)
}

func (pong) append(to []byte) []byte { return append(to, kindPong) }

func appendUint32(to []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(to, v) }

func appendUint64(to []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(to, v) }

// appendString writes 16 bits of length first; every string of a valid frame is shorter.
func appendString(to []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(s))), s...)
}
