// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/coffer-backup/coffer/wire"
)

const (
	policyCooldownMs = 1_000
	scheduleMs       = 20_000
	leapMs           = 1 << 40 // what SetClock's N is relative to, so that clocks go back, too
)

// weighted is an action and how often it is chosen next to others.
type weighted struct {
	kind   Kind
	weight int
}

var clientKinds = []weighted{
	{Register, 6}, {Change, 3}, {Wrong, 10}, {Right, 8}, {Again, 5}, {Ask, 6}, {Delete, 1}, {Drop, 1},
	{ThiefRegisters, 4}, {ThiefGuesses, 8}, {ThiefProves, 4}, {ThiefRepeats, 3}, {ThiefDeletes, 1},
}

var hostKinds = []weighted{
	{Crash, 6}, {Lie, 3}, {SlowDisk, 2}, {SetClock, 2}, {Pause, 3}, {Resend, 4}, {Leap, 1}, {Stop, 3}, {StopAll, 1},
	{Cut, 4}, {CutOneWay, 3}, {Starve, 2}, {Replay, 3}, {Transfer, 2}, {Image, 4}, {Rewind, 4}, {Clone, 3}, {CloneAll, 1}, {PowerCut, 3}, {Depose, 3}, {Replace, 1}, {Remove, 1},
	{HalfStop, 2}, {HalfBoot, 2}, {NewToken, 1},
}

// Generate makes the schedule of a seed. Each seed takes some of the faults only, each at a rate of its own: where all happen at once they
// hide each other.
func Generate(seed uint64, allow func(*Setup)) *Schedule {
	random := rand.New(rand.NewPCG(seed, 1))
	s := &Schedule{Seed: seed, Setup: newSetup(random)}
	if allow != nil {
		allow(&s.Setup)
	}
	kinds := slices.Clone(clientKinds)
	for _, k := range hostKinds {
		if s.Setup.allows(k.kind) && random.IntN(2) == 0 {
			kinds = append(kinds, weighted{k.kind, k.weight * (1 + random.IntN(3))})
		}
	}
	if s.Setup.Focus != 0 {
		kinds = append(kinds, weighted{s.Setup.Focus, 40})
	}
	for range 20 + random.IntN(60) {
		s.Actions = append(s.Actions, s.Setup.action(random, pick(random, kinds)))
	}
	for n := range s.Setup.Accounts { // something to lose, early
		s.Actions = append(s.Actions, Action{AtMs: uint64(random.IntN(2000)), Kind: Register, Other: n})
	}
	slices.SortStableFunc(s.Actions, func(a, b Action) int { return cmp.Compare(a.AtMs, b.AtMs) })
	for i := range s.Actions {
		s.Actions[i].Number = i
	}
	return s
}

func newSetup(random *rand.Rand) Setup {
	s := Setup{
		Restart: wire.RestartMajority, Replicas: 3, Partitions: 1 + uint16(random.IntN(3)), Budget: uint8(3 + random.IntN(5)),
		RotateEntries: uint64(5 + random.IntN(60)), Accounts: 1 + random.IntN(3),
		StepBytes: []int{0, 1, 64, 1024}[random.IntN(4)], DiskMs: 1 << random.IntN(8), EndMs: scheduleMs,
		Network: Network{DelayMs: 1 + uint64(random.IntN(60))},
	}
	switch random.IntN(8) {
	case 0:
		s.Restart, s.Replicas = wire.RestartTrustDisk, 1
	case 1, 2:
		s.Restart = wire.RestartTrustDisk
	case 3:
		s.Replicas = 5
	case 4:
		s.Replicas, s.Restart = 5, wire.RestartCounter
	case 5:
		s.Restart = wire.RestartCounter
	}
	// The policy majority holds without a sealer that destroys, but for copies from before the founding.
	s.KeepsKeys = s.Restart == wire.RestartMajority && random.IntN(2) == 0
	s.Gentle = random.IntN(4) > 0
	if random.IntN(2) == 0 {
		s.Network.DropPercent = random.IntN(15)
	}
	if random.IntN(2) == 0 {
		s.Network.RepeatPercent = random.IntN(15)
	}
	return s
}

// allows tells what a host may do under a policy without that anybody may complain: trust-disk gives up the protection against disks
// that are set back, cloned or lie, and nobody can be replaced in a fleet of one.
func (s *Setup) allows(k Kind) bool {
	switch k {
	case Image, Rewind, Clone, CloneAll, Lie:
		return s.Restart != wire.RestartTrustDisk || s.Attacked
	case StopAll:
		return s.Restart != wire.RestartMajority
	case PowerCut:
		return s.Restart == wire.RestartTrustDisk || !s.Gentle
	case Cut, CutOneWay, Starve, Replay, Transfer, Depose, Replace, Remove, NewToken:
		return s.Replicas > 1
	}
	return true
}

func (s *Setup) action(random *rand.Rand, k Kind) Action {
	a := Action{AtMs: 2000 + uint64(random.IntN(scheduleMs-2000)), Kind: k, Node: random.IntN(s.Replicas)}
	a.Other = (a.Node + 1 + random.IntN(max(s.Replicas-1, 1))) % s.Replicas
	if k >= Register {
		a.Node, a.Other = 0, random.IntN(s.Accounts)
	}
	switch k {
	case Crash, Rewind, Cut, CutOneWay, Starve, Pause, SlowDisk, Lie, Stop, StopAll, PowerCut, Depose, Leap, Remove, HalfStop, HalfBoot:
		a.N = 100 << random.IntN(7) // up to 6.4 s
	case SetClock:
		a.N = leapMs + uint64(random.IntN(48*3600_000)) - 24*3600_000
	}
	if k == Rewind || k == Clone || k == CloneAll {
		a.N = uint64(random.IntN(8))
	}
	return a
}

func pick(random *rand.Rand, kinds []weighted) Kind {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := random.IntN(total)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			return k.kind
		}
	}
	panic("sim: no action")
}
