// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// ErrMalformed is the error of everything that does not decode.
var ErrMalformed = errors.New("wire: malformed message")

// reader reads fields one after the other and remembers the first failure, so
// that a decoder is as plain as its encoder. Lists and texts have bounded length.
type reader struct {
	s      cryptobyte.String
	failed bool
}

func (r *reader) ok(ok bool) { r.failed = r.failed || !ok }

func (r *reader) uint8() (v uint8)   { r.ok(r.s.ReadUint8(&v)); return v }
func (r *reader) uint16() (v uint16) { r.ok(r.s.ReadUint16(&v)); return v }
func (r *reader) uint32() (v uint32) { r.ok(r.s.ReadUint32(&v)); return v }
func (r *reader) uint64() (v uint64) { r.ok(r.s.ReadUint64(&v)); return v }
func (r *reader) fixed(to []byte)    { r.ok(r.s.CopyBytes(to)) }

// bool accepts 0 and 1 only: there is one encoding.
func (r *reader) bool() bool {
	v := r.uint8()
	r.ok(v <= 1)
	return v == 1
}

// vector reads at most limit bytes behind a length of 16 bits.
func (r *reader) vector(limit int) []byte {
	var v cryptobyte.String
	r.ok(r.s.ReadUint16LengthPrefixed(&v) && len(v) <= limit)
	if r.failed {
		return nil
	}
	return append([]byte(nil), v...)
}

// count reads the length of a list with at most limit members.
func (r *reader) count(limit int) int {
	n := int(r.uint8())
	r.ok(n <= limit)
	if r.failed {
		return 0
	}
	return n
}

// end reports whether all went well and nothing is left.
func (r *reader) end() error {
	if r.failed || !r.s.Empty() {
		return ErrMalformed
	}
	return nil
}

func addBool(b *cryptobyte.Builder, v bool) {
	if v {
		b.AddUint8(1)
	} else {
		b.AddUint8(0)
	}
}

func addVector(b *cryptobyte.Builder, v []byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v) })
}

// build returns what fill adds. It panics if that is too long: senders keep the bounds that readers check.
func build(fill func(b *cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	fill(&b)
	return b.BytesOrPanic()
}

// pad appends 0x80 and zeros up to a multiple of size, so that a length tells only
// a size class (ISO/IEC 7816-4).
func pad(b []byte, size int) []byte {
	b = append(b, 0x80)
	return append(b, make([]byte, (size-len(b)%size)%size)...)
}

// unpad undoes pad and refuses every other padding.
func unpad(b []byte, size int) ([]byte, error) {
	for i := len(b) - 1; i >= 0 && len(b)%size == 0 && i >= len(b)-size; i-- {
		switch b[i] {
		case 0:
		case 0x80:
			return b[:i], nil
		default:
			return nil, ErrMalformed
		}
	}
	return nil, ErrMalformed
}
