// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"bytes"
	"encoding/binary"
)

// The types on the wire: below 0x80 to the core, from 0x80 on to the host.
const (
	kindCreate byte = 0x01 + iota
	kindLoad
	kindLoadEnd
	kindRequest
	kindDurable
	kindStop
)

const (
	kindHello byte = 0x81 + iota
	kindPersist
	kindAnswer
	kindStats
	kindFatal
	kindBye
)

func (Create) kind() byte  { return kindCreate }
func (Load) kind() byte    { return kindLoad }
func (LoadEnd) kind() byte { return kindLoadEnd }
func (Request) kind() byte { return kindRequest }
func (Durable) kind() byte { return kindDurable }
func (Stop) kind() byte    { return kindStop }
func (Hello) kind() byte   { return kindHello }
func (Persist) kind() byte { return kindPersist }
func (Answer) kind() byte  { return kindAnswer }
func (Stats) kind() byte   { return kindStats }
func (Fatal) kind() byte   { return kindFatal }
func (Bye) kind() byte     { return kindBye }

func (f Create) valid() bool  { return len(f.Policy) <= MaxPolicy }
func (f Load) valid() bool    { return validKey(f.Key) }
func (LoadEnd) valid() bool   { return true }
func (f Request) valid() bool { return len(f.Envelope) <= MaxEnvelope }
func (Durable) valid() bool   { return true }
func (Stop) valid() bool      { return true }
func (f Hello) valid() bool   { return len(f.Descriptor) <= MaxDescriptor }
func (f Answer) valid() bool  { return len(f.Envelope) <= MaxEnvelope }
func (Stats) valid() bool     { return true }
func (f Fatal) valid() bool   { return len(f.Text) <= MaxText }
func (Bye) valid() bool       { return true }

func (f Persist) valid() bool {
	for _, r := range f.Puts {
		if !validKey(r.Key) {
			return false
		}
	}
	for _, r := range f.Deletes {
		// An empty or inverted range deletes nothing; Pebble's answer to one is its
		// own affair, so none gets there.
		if !validKey(r.From) || !validKey(r.To) || bytes.Compare(r.From, r.To) >= 0 {
			return false
		}
	}
	return true
}

func validKey(key []byte) bool { return len(key) > 0 && len(key) <= MaxKey }

// appendFrame appends the encoding of f without the length in front.
func appendFrame(to []byte, f Frame) []byte { return f.append(append(to, f.kind())) }

func (f Create) append(to []byte) []byte  { return appendVector(to, f.Policy) }
func (f Load) append(to []byte) []byte    { return appendVector(appendVector(to, f.Key), f.Value) }
func (LoadEnd) append(to []byte) []byte   { return to }
func (f Request) append(to []byte) []byte { return appendVector(appendUint64(to, f.ID), f.Envelope) }
func (f Durable) append(to []byte) []byte { return appendUint64(to, f.Seq) }
func (Stop) append(to []byte) []byte      { return to }
func (f Answer) append(to []byte) []byte  { return appendVector(appendUint64(to, f.ID), f.Envelope) }
func (f Fatal) append(to []byte) []byte   { return appendVector(to, []byte(f.Text)) }
func (Bye) append(to []byte) []byte       { return to }

func (f Hello) append(to []byte) []byte {
	return appendVector(binary.BigEndian.AppendUint16(to, f.Version), f.Descriptor)
}

func (f Persist) append(to []byte) []byte {
	to = appendUint64(to, f.Seq)
	to = binary.BigEndian.AppendUint32(to, uint32(len(f.Puts)))
	for _, r := range f.Puts {
		to = appendVector(appendVector(to, r.Key), r.Value)
	}
	to = binary.BigEndian.AppendUint32(to, uint32(len(f.Deletes)))
	for _, r := range f.Deletes {
		to = appendVector(appendVector(to, r.From), r.To)
	}
	return to
}

func (f Stats) append(to []byte) []byte {
	for _, v := range []uint64{f.Accounts, f.Applied, f.LogEntries, f.Epoch} {
		to = appendUint64(to, v)
	}
	if f.Leader {
		return append(to, 1)
	}
	return append(to, 0)
}

func appendUint64(to []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(to, v) }

func appendVector(to, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(v))), v...)
}
