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
	kindJoin
	kindPeer
	kindAdmin
)

const (
	kindHello byte = 0x81 + iota
	kindPersist
	kindAnswer
	kindStats
	kindFatal
	kindBye
	kindSend
	kindPeers
	kindLeads
	kindTold
)

func (Create) kind() byte  { return kindCreate }
func (Load) kind() byte    { return kindLoad }
func (LoadEnd) kind() byte { return kindLoadEnd }
func (Request) kind() byte { return kindRequest }
func (Durable) kind() byte { return kindDurable }
func (Stop) kind() byte    { return kindStop }
func (Join) kind() byte    { return kindJoin }
func (Peer) kind() byte    { return kindPeer }
func (Admin) kind() byte   { return kindAdmin }
func (Hello) kind() byte   { return kindHello }
func (Persist) kind() byte { return kindPersist }
func (Answer) kind() byte  { return kindAnswer }
func (Stats) kind() byte   { return kindStats }
func (Fatal) kind() byte   { return kindFatal }
func (Bye) kind() byte     { return kindBye }
func (Send) kind() byte    { return kindSend }
func (Peers) kind() byte   { return kindPeers }
func (Leads) kind() byte   { return kindLeads }
func (Told) kind() byte    { return kindTold }

func (f Create) valid() bool  { return len(f.Policy) <= MaxPolicy && len(f.Host) <= MaxHost }
func (f Join) valid() bool    { return len(f.Ticket) <= MaxTicket && len(f.Host) <= MaxHost }
func (f Load) valid() bool    { return validKey(f.Key) }
func (f LoadEnd) valid() bool { return len(f.Host) <= MaxHost }
func (f Peer) valid() bool    { return len(f.Data) <= MaxPeer }
func (Admin) valid() bool     { return true }
func (f Request) valid() bool { return len(f.Envelope) <= MaxEnvelope }
func (Durable) valid() bool   { return true }
func (Stop) valid() bool      { return true }
func (f Hello) valid() bool   { return len(f.Descriptor) <= MaxDescriptor }
func (f Answer) valid() bool  { return len(f.Envelope) <= MaxEnvelope }
func (f Send) valid() bool    { return len(f.Data) <= MaxPeer }
func (Leads) valid() bool     { return true }
func (f Told) valid() bool    { return len(f.Ticket) <= MaxTicket && len(f.Refusal) <= MaxText }
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

func (f Peers) valid() bool {
	for _, m := range f.Members {
		if len(m.Host) > MaxHost {
			return false
		}
	}
	return len(f.Members) <= MaxMembers
}

func (f Stats) valid() bool {
	for _, p := range f.Partitions {
		if len(p.Voters) > MaxMembers || len(p.Learners) > MaxMembers {
			return false
		}
	}
	return len(f.Partitions) <= MaxPartitions && len(f.Others) <= MaxMembers && len(f.Sealer.Error) <= MaxText
}

func validKey(key []byte) bool { return len(key) > 0 && len(key) <= MaxKey }

// appendFrame appends the encoding of f without the length in front.
func appendFrame(to []byte, f Frame) []byte { return f.append(append(to, f.kind())) }

func (f Create) append(to []byte) []byte  { return appendVector(appendVector(to, f.Policy), f.Host) }
func (f Join) append(to []byte) []byte    { return appendVector(appendVector(to, f.Ticket), f.Host) }
func (f Load) append(to []byte) []byte    { return appendVector(appendVector(to, f.Key), f.Value) }
func (f LoadEnd) append(to []byte) []byte { return appendVector(to, f.Host) }
func (f Peer) append(to []byte) []byte    { return appendVector(appendUint16(to, f.Slot), f.Data) }
func (f Send) append(to []byte) []byte    { return appendVector(appendUint16(to, f.Slot), f.Data) }
func (f Leads) append(to []byte) []byte   { return appendUint16(appendUint16(to, f.Partition), f.Slot) }
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

func (f Admin) append(to []byte) []byte {
	to = append(appendUint64(to, f.ID), f.Command)
	return appendBool(appendUint16(appendUint16(to, f.Slot), f.Partition), f.All)
}

func (f Told) append(to []byte) []byte {
	return appendVector(appendVector(appendUint64(to, f.ID), f.Ticket), []byte(f.Refusal))
}

func (f Peers) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(len(f.Members)))
	for _, m := range f.Members {
		to = appendVector(appendUint16(to, m.Slot), m.Host)
	}
	return to
}

func (f Stats) append(to []byte) []byte {
	to = append(appendUint16(to, f.Slot), f.Incarnation[:]...)
	to = appendBool(appendBool(appendUint64(appendUint64(to, f.Accounts), f.Epoch), f.Serving), f.Founded)
	to = binary.BigEndian.AppendUint32(to, uint32(len(f.Partitions)))
	for _, p := range f.Partitions {
		to = appendUint16(append(to, p.Role), p.Leader)
		for _, v := range []uint64{p.Term, p.Applied, p.Committed, p.LogEntries, p.Lag} {
			to = appendUint64(to, v)
		}
		for _, slots := range [][]uint16{p.Voters, p.Learners} {
			to = binary.BigEndian.AppendUint32(to, uint32(len(slots)))
			for _, s := range slots {
				to = appendUint16(to, s)
			}
		}
	}
	to = appendVector(appendUint64(to, f.Sealer.FailingMs), []byte(f.Sealer.Error))
	to = appendUint64(appendUint64(to, f.Unerased), f.ErasedWithin)
	to = binary.BigEndian.AppendUint32(to, uint32(len(f.Others)))
	for _, o := range f.Others {
		to = appendUint64(appendUint16(to, o.Slot), o.Ms)
	}
	return to
}

func appendBool(to []byte, v bool) []byte {
	if v {
		return append(to, 1)
	}
	return append(to, 0)
}

func appendUint16(to []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(to, v) }

func appendUint64(to []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(to, v) }

func appendVector(to, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(v))), v...)
}
