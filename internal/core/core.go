// SPDX-License-Identifier: Apache-2.0

// Package core is the trusted part of a vault replica: a deterministic state
// machine, Step(inputs) -> effects, around one Raft group for each partition. It alone
// knows the fleet secret and the accounts.
//
// It guarantees the invariants of docs/ARCHITECTURE.md: among them that no
// password guess is evaluated before its charge is committed on a majority (INV-COMMIT), that a
// registration is never evaluated more often than its budget allows
// (INV-BUDGET), that at most one incarnation of a slot can vote (INV-INCARNATION), and that
// everything it hands out for storage or for its peers is sealed. The same
// seed and the same inputs give the same effects, byte for byte.
//
// It trusts its runner (package runner) for entropy, the sealer, the results of jobs and the clock's
// readings, and the cores of its fleet, with whom it has sessions of its own; no one else: what the host stores or forwards is checked when it
// comes back. It does no I/O and has no goroutine and no clock. It refuses to
// start from records that are damaged, foreign or cut short.
//
// Nothing here is safe for concurrent use.
package core

import (
	"errors"
	"fmt"

	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// Config is what a runner gives a core when it starts.
type Config struct {
	Seed [32]byte // of this incarnation's entropy: fresh and random for every start
	Tier string   // what seals the core's state, for the descriptor
	// RotateEntries and RotateMs say after how many log entries and after how long a snapshot is made and the epoch key replaced, if there
	// is something new. Deleted secrets are gone from the disk's point of view after the next one. 0: 65,536 and 10 minutes.
	RotateEntries uint64
	RotateMs      uint64
	Observe       func(Observation) // for tests' checkers; nil in a runner
	// StepBytes bounds how much of a rotation or of a snapshot is handed out at a time, for tests that want many steps. 0: rotationStep and chunkSize.
	StepBytes int
}

const (
	defaultRotateEntries = 1 << 16
	defaultRotateMs      = 10 * 60_000

	// maxUncommitted bounds the entries of a partition that are not applied, in bytes. Sealed and with their keys they fit into one Persist, of at most
	// 8 MiB: a rotation seals them again in one.
	maxUncommitted = 2 << 20

	maxRequests  = 4096   // being worked on; more are refused as overload
	maxSessions  = 65_536 // logins between KE2 and KE3
	requestMs    = 20_000 // after which a request is given up
	overloadMs   = 1_000  // after which to come again
	sessionMs    = 10 * 60_000
	ticketMs     = 10 * 60_000
	clockRate    = 2      // the vault's clock runs at most this many times as fast or as slow as the runner's
	clockEntryMs = 60_000 // at the latest then the clock is committed, so that a restart does not lose it
)

// ErrDamaged is wrapped by every error about records that cannot be what this core stored.
var ErrDamaged = errors.New("the vault's stored state is damaged, incomplete or not this vault's")

// Core is one replica of all partitions.
type Core struct {
	config   Config
	entropy  entropy
	identity identity
	place    place  // this replica's slot, once it has one
	host     []byte // what this host tells of itself
	joining  *joining

	parts    []*partition
	peers    peers
	stopping bool // no new requests and no new rotation
	frozen   bool // nothing more but the farewell
	gone     bool // the farewell is stored

	hasFarewell bool // on the disk, when this boot began

	reading wire.UnixMs // the runner's last reading of the time of day
	elapsed uint64      // milliseconds since the start, by a clock that nobody sets

	epoch      epochKey // seals the log
	manifest   manifestMark
	rotation   *rotation
	rotateSoon bool    // a partition waits for a rotation
	erasure    erasure // of what was destroyed
	abandoned  []Range // buckets on the disk that nothing refers to any more

	unsynced []unsynced // handed out for storage, oldest first
	lastSeq  uint64

	incarnation uint64 // marks this core's proposals in the log
	nextRequest uint64
	requests    map[uint64]*request
	deadlines   []deadline // of requests, in their order
	admins      map[uint64]admin
	firstAdmin  uint64
	sessions    sessions
	loginSecret [32]byte // never leaves this incarnation's memory
	tickets     tickets
	sweepPart   int // the partition that is swept next

	told    []Member // that the host was told last
	news    uint64   // changes of the groups and of who leads them
	effects []Effect
}

// identity is what the fleet secret makes of a replica.
type identity struct {
	fleet      wire.FleetID
	secret     [32]byte
	epoch      uint64
	generation uint8
	policy     wire.Policy

	hpke      *wire.FleetKey
	opaque    *opaque.ServerKeys
	verifier  *token.Verifier
	bucketKey [32]byte
	buckets   uint16 // of each partition
	join      joinKey
	certs     certKey
}

// derive fills in what follows from fleet, secret and policy.
func (i *identity) derive() (err error) {
	if i.hpke, err = wire.NewFleetKey(i.fleet, wire.DeriveKey(i.secret[:], wire.DomainFleetHPKE, i.fleet[:])); err != nil {
		return err
	}
	if i.opaque, err = opaque.DeriveServerKeys(wire.DeriveKey(i.secret[:], wire.DomainFleetOPAQUE, i.fleet[:])); err != nil {
		return err
	}
	if i.join, err = newJoinKey(wire.DeriveKey(i.secret[:], wire.DomainFleetJoin, i.fleet[:])); err != nil {
		return err
	}
	i.certs = newCertKey(wire.DeriveKey(i.secret[:], wire.DomainFleetCert, i.fleet[:]))
	i.bucketKey = wire.DeriveKey(i.secret[:], wire.DomainFleetBucket, i.fleet[:])
	i.buckets = max(bucketCount/i.policy.Partitions, 1)
	keys := make([]token.Key, len(i.policy.TokenKeys))
	for n, k := range i.policy.TokenKeys {
		keys[n] = token.Key{ID: k.ID, Algorithm: k.Algorithm.String(), Public: k.Public}
	}
	i.verifier, err = token.NewVerifier(i.policy.Issuer, i.policy.CoreAudience, keys)
	return err
}

// Descriptor returns the fleet's public identity; nil while a core that joins does not know its fleet.
func (c *Core) Descriptor() *wire.Descriptor {
	i := &c.identity
	if i.hpke == nil {
		return nil
	}
	d := &wire.Descriptor{
		Fleet: i.fleet, Epoch: i.epoch, Tier: c.config.Tier, Generation: i.generation,
		OPAQUE: i.opaque.Public(), Policy: i.policy,
	}
	copy(d.HPKE[:], i.hpke.Public())
	return d
}

// Idle reports whether no request is being worked on, all that was handed out for storage is durable, and, after Stop, the farewell is said where there is to be one.
func (c *Core) Idle() bool {
	said := c.gone || !c.stopping || c.identity.policy.Restart != wire.RestartCounter || !c.keepsPlace()
	return len(c.requests) == 0 && len(c.unsynced) == 0 && said
}

// Step takes inputs in and returns what is to be done. The effects, and the bytes in
// them, are the caller's. An error means a broken invariant: the core must not be used again.
func (c *Core) Step(inputs ...Input) (effects []Effect, err error) {
	for _, in := range inputs {
		if c.frozen {
			err = c.lastInput(in)
		} else {
			err = c.input(in)
		}
		if err != nil {
			return nil, err
		}
	}
	if c.frozen {
		effects, c.effects = c.effects, nil
		return effects, nil
	}
	for _, p := range c.parts {
		if err := p.drain(); err != nil {
			return nil, err
		}
	}
	c.advanceRotation()
	if c.wantsFarewell() {
		c.freeze()
	}
	c.peers.flush(c)
	c.tellPeers()
	effects, c.effects = c.effects, nil
	return effects, nil
}

// lastInput takes what a core may be told that says its farewell.
func (c *Core) lastInput(in Input) error {
	switch in := in.(type) {
	case NewEpoch:
		c.farewell(in)
	case Durable:
		return c.durable(in.Seq)
	case Request:
		c.refusePlain(in.ID, wire.Refuse(wire.CodeUnavailable))
	case Admin:
		c.refuseAdmin(in.ID, "this replica stops")
	}
	return nil
}

func (c *Core) input(in Input) error {
	switch in := in.(type) {
	case Tick:
		return c.tick(in)
	case Request:
		c.receive(in)
	case Durable:
		return c.durable(in.Seq)
	case Done:
		c.done(in)
	case NewEpoch:
		return c.startRotation(in)
	case Retired:
		c.erasure.retired(in.KeyID)
	case Peer:
		return c.peer(in)
	case Admin:
		c.admin(in)
	case Stop:
		c.stopping = true
	default:
		return fmt.Errorf("core: unknown input %T", in)
	}
	return nil
}

// stepBytes is what a step may have, a test's bound or its own.
func (c *Core) stepBytes(most int) int {
	if n := c.config.StepBytes; n > 0 {
		return min(n, most)
	}
	return most
}

func (c *Core) emit(e Effect) { c.effects = append(c.effects, e) }

// Inputs.
type (
	// Input is one of the types below.
	Input any

	// Tick tells the time by the runner's clock, some ten times a second.
	Tick struct {
		Now       wire.UnixMs // a reading of the time of day, which a host may have set
		ElapsedMs uint64      // since the last tick, by a clock that nobody sets
	}

	// Request is a client's sealed request. The id is the host's and comes back with the answer.
	Request struct {
		ID       uint64
		Envelope []byte
	}

	// Durable tells that a Persist is on stable storage, and every one before it.
	Durable struct{ Seq uint64 }

	// Done is the result of a Run, nil if it failed.
	Done struct {
		ID     uint64
		Result Result
	}

	// Peer brings bytes from the host of another slot, as this host says: nothing is believed of it. Slots from FirstStranger on
	// are connections of hosts that no slot is known of.
	Peer struct {
		Slot Slot
		Data []byte
	}

	// Admin is an operator's command, which comes by the host: it may change who is in the fleet, and nothing of an account.
	Admin struct {
		ID        uint64
		Command   AdminCommand
		Slot      Slot
		Partition wire.Partition // of AdminTransfer
		All       bool           // of AdminTransfer: every partition that this core leads
	}

	// Stop begins an orderly end: what was begun is finished, see Idle, and nothing is begun.
	Stop struct{}

	// NewEpoch brings the epoch key that a Rotate asked for. The runner made it and has it sealed.
	NewEpoch struct {
		Key    [32]byte
		KeyID  string // the sealer's key that it is sealed under
		Sealed []byte
	}

	// Retired says that a Retire is done: the sealer has destroyed the key, for ever.
	Retired struct{ KeyID string }
)

// Effects.
type (
	// Effect is one of the types below.
	Effect any

	// Persist is to be stored atomically, after every earlier one.
	Persist struct {
		Seq     uint64
		Puts    []Record
		Deletes []Range // done before the puts
	}

	// Record is a key and its value.
	Record struct{ Key, Value []byte }

	// Range is the keys from From up to, but without, To.
	Range struct{ From, To []byte }

	// Run is a job for a worker.
	Run struct {
		ID  uint64
		Job Job
	}

	// Answer answers a request.
	Answer struct {
		ID       uint64
		Envelope []byte
	}

	// Rotate asks for an epoch key of that number, sealed with that associated data; number 0 is the key of a farewell.
	Rotate struct {
		Number uint64
		AAD    []byte
	}

	// Send is for the host of a slot, in any order or not at all: what must arrive is sent again.
	Send struct {
		Slot Slot
		Data []byte
	}

	// Peers is who else is in the fleet, and how its hosts reach each other. It replaces what was said before.
	Peers struct{ Members []Member }

	// Leads says who leads a partition, as far as this core knows; slot 0: nobody.
	Leads struct {
		Partition wire.Partition
		Slot      Slot
	}

	// Told answers an Admin: with a join ticket after AdminInvite, or with why not.
	Told struct {
		ID      uint64
		Ticket  []byte
		Refusal string // empty: done, or begun where that takes time
	}

	// Note is for the operator's log.
	Note struct{ Text string }

	// Retire asks to destroy a key of the sealer for ever.
	Retire struct{ KeyID string }
)

// Slot is a place for a replica in a fleet, from 1 on; 0 is none.
type Slot uint16

// FirstStranger is the first number for connections that belong to no slot.
const FirstStranger Slot = 0x8000

// Member is a slot of the fleet with what its host told of itself: at most MaxHostInfo bytes that only hosts understand.
type Member struct {
	Slot Slot
	Host []byte
}

// MaxHostInfo bounds a Member's Host, in bytes; MaxPeerData what a Send or Peer carries; MaxTicket a join ticket.
const (
	MaxHostInfo = 512
	MaxPeerData = 1 << 20
	MaxTicket   = 8 << 10
)

// AdminCommand is what an operator can ask of a core.
type AdminCommand uint8

// The commands. The numbers are part of the stream's protocol.
const (
	AdminInvite   AdminCommand = 1 // a ticket, good once and for a day, to join in a slot; a replica that has the slot is replaced
	AdminRemove   AdminCommand = 2 // takes a slot out of the fleet
	AdminTransfer AdminCommand = 3 // hands leadership to a slot, or to any (0) that is up to date
)

// request is a client's request that is being worked on.
type request struct {
	id      uint64 // the host's
	part    *partition
	account wire.AccountID
	sealer  *wire.Sealer
	body    wire.Body
	charged *ledger.Charged // of a RecoverStart, once it is committed
	session *session        // of a RecoverFinish whose proof is right
	ticket  ticket          // of a RegisterStart
}

type deadline struct {
	request uint64
	at      uint64 // by the core's elapsed time
}
