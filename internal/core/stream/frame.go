// SPDX-License-Identifier: Apache-2.0

package stream

import "errors"

// Version is what Hello carries. It changes with the meaning of any frame.
const Version = 1

// What one frame may hold, in bytes. Whoever sends more than MaxFrame of records
// sends several Persists; each is atomic, all of them together are not.
const (
	MaxFrame      = 8 << 20
	MaxEnvelope   = 16 << 10
	MaxPolicy     = 64 << 10
	MaxDescriptor = 64 << 10
	MaxKey        = 1 << 10
	MaxText       = 1 << 10
	MaxHost       = 512
	MaxPeer       = 1 << 20
	MaxTicket     = 8 << 10
	MaxMembers    = 256
	MaxPartitions = 256
)

var (
	// ErrMalformed is the error of bytes that are no frame, and of a frame with a
	// field out of bounds.
	ErrMalformed = errors.New("stream: malformed frame")
	// ErrTooLarge is the error of more than MaxFrame bytes, found before they are sent
	// and, when they arrive, before memory is taken for them.
	ErrTooLarge = errors.New("stream: frame too large")
)

// A Frame is one of the types below.
type Frame interface {
	kind() byte
	append(to []byte) []byte // the payload
	valid() bool             // within the bounds that decoding checks
}

// From the host to the core.
type (
	// Create makes a new fleet under a policy. It stands in place of the Loads, and
	// only where the store is empty. Host is what this host tells of itself, here and below.
	Create struct{ Policy, Host []byte }

	// Join joins a fleet with a ticket. It stands where a Create would.
	Join struct{ Ticket, Host []byte }

	// Load is one stored record. All of them come in ascending order of their keys.
	Load struct{ Key, Value []byte }

	// LoadEnd follows the last Load.
	LoadEnd struct{ Host []byte }

	// Request is a client's sealed request. The core gives each exactly one Answer,
	// in any order, unless its life ends first. ID is never used twice in one life.
	Request struct {
		ID       uint64
		Envelope []byte
	}

	// Durable says that the Persist of this number, and every one before it, would
	// survive the loss of power. The host may lie; see INV-COMMIT for what then holds.
	Durable struct{ Seq uint64 }

	// Peer is what the host of a slot sent for the core. From 0x8000 on slots are
	// connections of hosts that are not known.
	Peer struct {
		Slot uint16
		Data []byte
	}

	// Admin is an operator's command: core.AdminCommand and its arguments. The core
	// gives each exactly one Told.
	Admin struct {
		ID        uint64
		Command   uint8
		Slot      uint16
		Partition uint16
		All       bool
	}

	// Stop asks for an orderly end: the last Persists, then Bye.
	Stop struct{}
)

// From the core to the host.
type (
	// Hello says that the core serves, after its boot, and what clients should pin.
	// Everything but an Answer may come before it.
	Hello struct {
		Version    uint16
		Descriptor []byte
	}

	// Persist is one atomic change of the store: first the Deletes, then the Puts, so
	// that a Put inside a deleted range stays. Seq ascends; the host applies the
	// changes in this order and answers each with Durable in the same order.
	Persist struct {
		Seq     uint64
		Puts    []Record
		Deletes []Range
	}

	// Answer is the sealed answer to the Request of the same ID.
	Answer struct {
		ID       uint64
		Envelope []byte
	}

	// Send is for the host of a slot. It may be lost.
	Send struct {
		Slot uint16
		Data []byte
	}

	// Peers is who else is in the fleet, and what its hosts told of themselves.
	Peers struct{ Members []Member }

	// Leads says which slot leads a partition, 0 if none is known to.
	Leads struct{ Partition, Slot uint16 }

	// Told answers an Admin. Refusal is empty if it is done.
	Told struct {
		ID      uint64
		Ticket  []byte
		Refusal string
	}

	// Stats are figures and states for the operator, as of core.Stats. None of
	// them tells anything about one account.
	Stats struct {
		Slot             uint16
		Incarnation      [8]byte
		Accounts, Epoch  uint64
		Serving, Founded bool
		Partitions       []Partition

		Sealer       Sealer
		Unerased     uint64     // milliseconds for which something that was destroyed may have been readable here
		ErasedWithin uint64     // milliseconds after which somebody should look why
		Others       []Unerased // the other slots
	}

	// Fatal says that the core found an invariant broken and will do nothing more. It
	// keeps its memory, so the host must not start another in its place.
	Fatal struct{ Text string }

	// Bye answers Stop: all is durable and the core will do nothing more.
	Bye struct{}
)

// A Member is a slot and what its host told of itself.
type Member struct {
	Slot uint16
	Host []byte
}

// A Sealer says whether the core's sealer fails at present.
type Sealer struct {
	FailingMs uint64 // for so long; 0: it works
	Error     string
}

// Unerased is core.Unerased.
type Unerased struct {
	Slot uint16
	Ms   uint64
}

// A Partition is core.PartitionStats.
type Partition struct {
	Role                                      uint8
	Leader                                    uint16
	Term, Applied, Committed, LogEntries, Lag uint64
	Voters, Learners                          []uint16
}

// A Record is one entry of the store. The key has 1..MaxKey bytes.
type Record struct{ Key, Value []byte }

// A Range is half-open: From <= key < To.
type Range struct{ From, To []byte }

// Size returns how much of the host's memory the change holds, in bytes.
func (p Persist) Size() int {
	const header = 4 // of a vector
	size := 8 + 2*header
	for _, r := range p.Puts {
		size += 2*header + len(r.Key) + len(r.Value)
	}
	for _, r := range p.Deletes {
		size += 2*header + len(r.From) + len(r.To)
	}
	return size
}
