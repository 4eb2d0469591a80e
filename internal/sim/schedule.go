// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strings"

	"github.com/coffer-backup/coffer/wire"
)

// A Schedule says all that a run does, but for what its seed decides on the way: how long a message takes, which one is lost.
type Schedule struct {
	Seed    uint64
	Setup   Setup
	Actions []Action // in the order of their times
}

// Setup is what a run starts with.
type Setup struct {
	Restart       wire.Restart
	Replicas      int
	Partitions    uint16
	Budget        uint8
	RotateEntries uint64
	StepBytes     int    // of a core's rotations and snapshots; 0: as in production
	DiskMs        uint64 // that a write takes at most
	Accounts      int
	Network       Network
	Attacked      bool   // the host does to disks what trust-disk gives up the protection against
	KeepsKeys     bool   // the host has copies of the sealer's keys, so that none is ever destroyed
	Focus         Kind   // what happens often; 0: nothing in particular
	Gentle        bool   // the host does not end the majority that a policy lives by, so that the fleet must serve in the end
	EndMs         uint64 // when the last action is over
}

// Network says how bad messages have it, while the schedule runs.
type Network struct {
	DropPercent, RepeatPercent int
	DelayMs                    uint64 // at most; with it messages overtake each other
}

// Action is one thing that happens at a time. What Node, Other and N are is told with each Kind.
type Action struct {
	Number int // of its place in the schedule that the seed makes
	AtMs   uint64
	Kind   Kind
	Node   int    // of machines, from 0
	Other  int    // another machine; for clients: the account
	N      uint64 // a duration in ms, a number of an image, ...
}

// Kind is what an action does.
type Kind uint8

// What hosts do.
const (
	Crash     Kind = iota + 1 // Node loses what is not synced, and starts again after N ms
	Image                     // the host keeps a copy of Node's disk
	Rewind                    // Node crashes and starts from its image number N
	Clone                     // a second core of Node starts from its image number N, beside the first if that runs
	PowerCut                  // all machines crash at once, and start again within N ms
	Depose                    // Node's leaderships go to Other, and for N ms Node hears nothing of it, and clients ask it all the same
	CloneAll                  // the same on every machine, from images of one age: a fleet beside the fleet
	Lie                       // for N ms Node says Durable at once and stores only later
	SlowDisk                  // for N ms Node's disk is slow
	SetClock                  // Node's time of day goes N-leapMs ms forward
	Cut                       // for N ms no message passes between Node and Other
	CutOneWay                 // for N ms no message passes from Node to Other
	Starve                    // for N ms Node gets no message from a peer
	Pause                     // for N ms Node does nothing
	Replay                    // the network brings old peer messages to Node again
	Resend                    // the host gives Node old requests of clients again
	Transfer                  // the operator hands Node's leaderships to Other's slot
	Replace                   // the operator gives Node's slot to a new machine
	Remove                    // the operator takes Node's slot out, and invites a new machine for it after N ms
	Stop                      // Node stops in good order, and starts again after N ms
	StopAll                   // every machine does
	Leap                      // for N ms time runs twenty times as fast
	HalfStop                  // Node begins to stop in good order, loses power soon after, and starts again after N ms
	HalfBoot                  // Node stops in good order; its next start dies when the sealer has destroyed keys, and nothing else is done; it starts again after N ms
	NewToken                  // Node's sealer is exchanged for an empty one, and the operator has Node join anew
)

// What clients do. Other is the account.
const (
	Register Kind = iota + 64 // the owner registers, without proof of what was before
	Change                    // the owner registers with proof: a password change
	Wrong                     // the owner guesses wrong
	Right                     // the owner recovers
	Again                     // the owner repeats the last guess with the same element
	Ask                       // the owner asks for the status
	Delete                    // the owner deletes, with proof
	Drop                      // the owner deletes, with the token alone
	ThiefRegisters
	ThiefGuesses // at the owner's registration
	ThiefProves  // guesses at a registration of his own, and proves it
	ThiefRepeats
	ThiefDeletes // the owner's registration, with the token alone
)

var kindNames = map[Kind]string{
	Crash: "crash", Image: "image", Rewind: "rewind", Clone: "clone", CloneAll: "clone all", PowerCut: "power cut", Depose: "depose", Lie: "lie", SlowDisk: "slow disk", SetClock: "set clock",
	Cut: "cut", CutOneWay: "cut one way", Starve: "starve", Pause: "pause", Replay: "replay", Resend: "resend", Transfer: "transfer",
	Replace: "replace", Remove: "remove", Stop: "stop", StopAll: "stop all", Leap: "leap",
	HalfStop: "half stop", HalfBoot: "half boot", NewToken: "new token",
	Register: "register", Change: "change", Wrong: "wrong", Right: "right", Again: "again", Ask: "ask", Delete: "delete", Drop: "drop",
	ThiefRegisters: "thief registers", ThiefGuesses: "thief guesses", ThiefProves: "thief proves", ThiefRepeats: "thief repeats",
	ThiefDeletes: "thief deletes",
}

func (k Kind) String() string { return kindNames[k] }

func (a Action) String() string {
	if a.Kind >= Register {
		return fmt.Sprintf("%6d ms  account %d: %v", a.AtMs, a.Other, a.Kind)
	}
	return fmt.Sprintf("%6d ms  machine %d: %v (other %d, n %d)", a.AtMs, a.Node, a.Kind, a.Other, a.N)
}

func (s *Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %+v\n", s.Seed, s.Setup)
	for _, a := range s.Actions {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}
