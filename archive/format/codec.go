// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrDamaged says that bytes are not what this package once made for this place: altered, truncated, swapped, or of
// another archive. Errors that wrap it name the part.
var ErrDamaged = errors.New("damaged")

// ErrVersion says that an object was made by a newer format than this program knows.
var ErrVersion = errors.New("made by a newer version of Coffer")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// decoder reads canonical encodings. After its first error it reads zeros, so that callers check once, at the end.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = damaged(format, args...)
		d.b = nil
	}
}

// take returns the next n bytes, without a copy.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("encoding ends early")
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

// uvarint reads a number of at most limit. Longer encodings than needed are refused: one value has one encoding.
func (d *decoder) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	switch {
	case n <= 0:
		d.fail("encoding ends in a number")
		return 0
	case n > 1 && d.b[n-1] == 0:
		d.fail("number in a longer form than needed")
		return 0
	case v > limit:
		d.fail("number over its limit")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads a number of elements that take at least minSize bytes each, so that it is bounded by what is there.
func (d *decoder) count(limit uint64, minSize int) int {
	n := d.uvarint(limit)
	if n > uint64(len(d.b)/minSize) {
		d.fail("more elements announced than there are bytes")
		return 0
	}
	return int(n)
}

// string reads a length-prefixed byte string of at most limit bytes.
func (d *decoder) string(limit uint64) string { return string(d.take(d.uvarint(limit))) }

// read fills dst.
func (d *decoder) read(dst []byte) { copy(dst, d.take(uint64(len(dst)))) }

const (
	maxSeconds = 1 << 40 // 35,000 years to either side of 1970
	nanos      = 1_000_000_000
)

func (d *decoder) time() time.Time {
	z := d.uvarint(2 * maxSeconds)
	ns := d.uvarint(nanos - 1)
	return time.Unix(int64(z>>1)^-int64(z&1), int64(ns)).UTC()
}

// end reports the first error, or bytes left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes too many", len(d.b))
	}
	return d.err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendText encodes a text that comes from outside and is only for people: what is over the limit is left out.
func appendText(b []byte, s string, limit int) []byte { return appendString(b, s[:min(len(s), limit)]) }

// appendTime encodes to the nanosecond. Times outside ±35,000 years, which file systems can hold when damaged, are
// moved to the nearest end.
func appendTime(b []byte, t time.Time) []byte {
	s := min(max(t.Unix(), -maxSeconds), maxSeconds)
	b = binary.AppendUvarint(b, uint64(s<<1)^uint64(s>>63))
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}
