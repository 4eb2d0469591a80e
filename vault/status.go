// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/coffer-backup/coffer/internal/core/stream"
	"github.com/coffer-backup/coffer/wire"
)

// Slot is a place for a node in a fleet, from 1 on. 0 is none, or any.
type Slot uint16

// Role is what a node is in a partition.
type Role string

// The roles.
const (
	RoleNone      Role = "none" // not admitted yet
	RoleLearner   Role = "learner"
	RoleFollower  Role = "follower"
	RoleCandidate Role = "candidate"
	RoleLeader    Role = "leader"
)

// Status is what a node knows of itself and of its fleet. None of it tells anything about one account.
type Status struct {
	Fleet       string `json:"fleet"`       // its id; empty while a node that joins does not know its fleet yet, as the next three
	Fingerprint string `json:"fingerprint"` // of the fleet's descriptor, which clients pin
	Restart     string `json:"restart"`     // policy
	Founding    bool   `json:"founding"`    // policy majority, and there were never three voters: clients are refused

	Slot        Slot   `json:"slot"`
	Incarnation string `json:"incarnation"` // of the core: another one after each boot
	Address     string `json:"address"`     // that is told to the others
	Certificate string `json:"certificate"` // its fingerprint, which gateways pin
	Serving     bool   `json:"serving"`     // a voter in every partition, or being caught up, and each has a leader

	Accounts uint64 `json:"accounts"`
	Epoch    uint64 `json:"epoch"` // of the key that seals the log: 1 more with every snapshot

	Sealer  Sealer  `json:"sealer"`
	Erasure Erasure `json:"erasure"`

	DiskBytes uint64 `json:"disk_bytes"`

	Since Counts `json:"since"` // this node was started

	Partitions []Partition `json:"partitions"`
	Peers      []Peer      `json:"peers"`
}

// Sealer is what a node knows of what seals it.
type Sealer struct {
	Tier  string `json:"tier"`  // software, tpm2, pkcs11
	Error string `json:"error"` // why it fails at present; empty: it works, as far as is known
	For   uint64 `json:"failing_ms"`
}

// Erasure is how far what was destroyed is gone. It can be read by who has a node's disk, any copy of it, and its sealer, until that node has made its next
// snapshot under a new epoch key.
type Erasure struct {
	Within uint64     `json:"within_ms"` // it is done at every node after that time, or somebody should look why not
	Nodes  []Unerased `json:"nodes"`     // of the fleet, this one first
}

// Unerased is for how long something that was destroyed may have been readable at a node. It counts on while the node is not heard of.
type Unerased struct {
	Slot Slot   `json:"slot"`
	Ms   uint64 `json:"unerased_ms"` // 0: nothing is
}

// Stragglers are the nodes at which something is readable for longer than it should be.
func (e *Erasure) Stragglers() (list []Unerased) {
	for _, n := range e.Nodes {
		if n.Ms > e.Within {
			list = append(list, n)
		}
	}
	return list
}

// Counts only grow.
type Counts struct {
	DiskSyncs   uint64 `json:"disk_syncs"`
	DiskWritten uint64 `json:"disk_written_bytes"` // by compactions, too
	PeerBytes   uint64 `json:"peer_sent_bytes"`    // to the other nodes, TLS included
	PeerWrites  uint64 `json:"peer_sent_writes"`
}

// Partition is one Raft group as this node sees it.
type Partition struct {
	Number     uint16 `json:"number"`
	Role       Role   `json:"role"`
	Leader     Slot   `json:"leader"` // 0: none is known
	Term       uint64 `json:"term"`
	Applied    uint64 `json:"applied"`   // index of the last log entry that took effect here
	Committed  uint64 `json:"committed"` // of the last one that is known to be on a majority
	Lag        uint64 `json:"lag"`       // entries that this node is behind, or its slowest follower, if it leads
	LogEntries uint64 `json:"log_entries"`
	Voters     []Slot `json:"voters"`
	Learners   []Slot `json:"learners"`
}

// Peer is another node of the fleet.
type Peer struct {
	Slot      Slot      `json:"slot"`
	Address   string    `json:"address"`
	Connected bool      `json:"connected"`
	Heard     time.Time `json:"heard"` // zero: never since this node started
}

// Leads counts the partitions that this node leads.
func (s *Status) Leads() (n int) {
	for _, p := range s.Partitions {
		if p.Role == RoleLeader {
			n++
		}
	}
	return n
}

// Behind is the lag of the partition that lags most.
func (s *Status) Behind() (lag uint64) {
	for _, p := range s.Partitions {
		lag = max(lag, p.Lag)
	}
	return lag
}

// Status returns what is known at this moment, of the core at most a second ago.
func (v *Vault) Status() Status {
	f := v.replica.Stats()
	s := Status{
		Slot: Slot(f.Slot), Incarnation: hex.EncodeToString(f.Incarnation[:]), Serving: f.Serving && f.Founded,
		Accounts: f.Accounts, Epoch: f.Epoch, DiskBytes: v.replica.DiskBytes(), Partitions: []Partition{}, Peers: v.host.peers(),
	}
	s.Sealer = Sealer{Tier: string(v.launcher.config.Seal.tier()), Error: f.Sealer.Error, For: f.Sealer.FailingMs}
	s.Erasure = Erasure{Within: f.ErasedWithin, Nodes: []Unerased{{Slot(f.Slot), f.Unerased}}}
	for _, o := range f.Others {
		s.Erasure.Nodes = append(s.Erasure.Nodes, Unerased{Slot(o.Slot), o.Ms})
	}
	s.Since.DiskSyncs, s.Since.DiskWritten = v.replica.Disk()
	for n, p := range f.Partitions {
		s.Partitions = append(s.Partitions, partition(uint16(n), p))
	}
	if v.host.network != nil {
		s.Since.PeerBytes, s.Since.PeerWrites = v.host.network.Sent()
		s.Address, s.Certificate = v.host.info.Address, hex.EncodeToString(v.host.info.Fingerprint[:])
	}
	if encoded, err := v.Descriptor(context.Background()); err == nil {
		s.describe(encoded, f.Founded)
	}
	return s
}

// describe fills in what is known of the fleet.
func (s *Status) describe(encoded []byte, founded bool) {
	d, err := wire.ParseDescriptor(encoded)
	if err != nil {
		return // the core's own; it is not known, then
	}
	s.Fleet, s.Fingerprint, s.Restart = hex.EncodeToString(d.Fleet[:]), d.Fingerprint(), d.Policy.Restart.String()
	s.Founding = !founded && d.Policy.Restart != wire.RestartTrustDisk
}

var roles = []Role{RoleNone, RoleLearner, RoleFollower, RoleCandidate, RoleLeader} // by core.Role's numbers

func partition(number uint16, p stream.Partition) Partition {
	role := RoleNone
	if int(p.Role) < len(roles) {
		role = roles[p.Role]
	}
	return Partition{
		Number: number, Role: role, Leader: Slot(p.Leader), Term: p.Term, Applied: p.Applied, Committed: p.Committed,
		Lag: max(p.Lag, p.Committed-min(p.Committed, p.Applied)), LogEntries: p.LogEntries, Voters: slots(p.Voters), Learners: slots(p.Learners),
	}
}

func slots(numbers []uint16) []Slot {
	list := make([]Slot, len(numbers))
	for i, n := range numbers {
		list[i] = Slot(n)
	}
	return list
}

func (h *host) peers() []Peer {
	list := []Peer{}
	if h.network == nil {
		return list
	}
	for _, p := range h.network.Peers() {
		list = append(list, Peer{Slot: Slot(p.Node.Slot), Address: p.Node.Info.Address, Connected: p.Connected, Heard: p.Heard})
	}
	return list
}
