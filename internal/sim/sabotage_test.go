// SPDX-License-Identifier: Apache-2.0

//go:build sabotage

package sim

import (
	"slices"
	"testing"

	"github.com/coffer-backup/coffer/internal/core"
	"github.com/coffer-backup/coffer/internal/core/ledger"
	"github.com/coffer-backup/coffer/wire"
)

const sabotageSeeds = 150 // in which each sabotage must be found

// TestSabotage leaves one rule out of the core at a time. The simulator must notice, by a checker that says what is wrong: that a fleet does
// not serve does not count. Rules that do not show when they alone are left out, because another one holds against the same, are not here: that a raft id
// belongs to one incarnation, for one, without which an incarnation still has no id but the one that it was admitted with.
func TestSabotage(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(*Setup)
		sabot func() (mend func())
		found []string // by which checks
	}{
		{"a guess is evaluated before it is charged", nil, rule("commit first"), []string{"budget"}},
		{"answers do not wait for the disk", often(Crash, slowDisks), rule("durable first"), []string{"log", "core"}},
		{"a vote is kept over a restart", majority, rule("boot has no vote"), []string{"log", "incarnation", "core"}},
		{"a new incarnation votes beside the old one", majority, rule("remove first"), []string{"incarnation"}},
		{"disks from before the founding live on", often(CloneAll, majority), rule("founded anew"), []string{"log", "incarnation"}},
		{"a status asks no majority", often(Depose, majority), rule("ask majority"), []string{"linearizable"}},
		{"entries are applied again to a snapshot that has them", nil, rule("mark installed"), []string{"log", "account"}},
		{"trust-disk under attack", attacked, sound, []string{"log", "incarnation", "core", "budget"}},
		{"the key of a farewell outlives a boot", counted, sound, []string{"log", "incarnation", "core", "budget"}},
		{"a pending registration can be guessed at", nil, apply(pendingAsLive), []string{"account"}},
		{"a confirmation refills the budget", nil, apply(confirmRefills), []string{"account"}},
		{"a proof refills every registration", nil, apply(proofRefillsAll), []string{"account"}},
		{"a thief's registration displaces the owner's", nil, apply(confirmDisplaces), []string{"account"}},
		{"a replayed guess is charged again", nil, apply(serialIgnored), []string{"account"}},
		{"guesses do not end", nil, apply(endless), []string{"account"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer c.sabot()()
			for seed := uint64(1); seed <= sabotageSeeds; seed++ {
				result, _ := play(t, Generate(seed, c.setup), 0)
				if f := result.Failure; f != nil && slices.Contains(c.found, f.Check) {
					t.Logf("found with seed %d: %v", seed, f)
					return
				}
			}
			t.Errorf("not found with %d seeds", sabotageSeeds)
		})
	}
}

func trustDisk(s *Setup) { s.Restart, s.Replicas, s.KeepsKeys = wire.RestartTrustDisk, 3, false }
func majority(s *Setup) {
	s.Restart, s.Replicas, s.KeepsKeys = wire.RestartMajority, max(s.Replicas, 3), false
}
func counted(s *Setup) {
	s.Restart, s.Replicas, s.KeepsKeys = wire.RestartCounter, max(s.Replicas, 3), true
}
func slowDisks(s *Setup) { trustDisk(s); s.DiskMs, s.Network.DelayMs = 500, 2 }
func attacked(s *Setup)  { trustDisk(s); s.Attacked = true }

// often has something happen often.
func often(k Kind, setup func(*Setup)) func(*Setup) {
	return func(s *Setup) {
		if s.Focus = k; setup != nil {
			setup(s)
		}
	}
}

func sound() (mend func()) { return func() {} }

func rule(name string) func() func() { return func() func() { return core.Break(name) } }

// apply puts a rule of an account's out of force.
func apply(wrong func(core.ApplyFunc) core.ApplyFunc) func() func() {
	return func() func() { return core.BreakApply(wrong) }
}

// around does something to an account after an operation.
func around(wrong func(before []ledger.Registration, a *ledger.Account, op ledger.Op, out *ledger.Outcome)) func(core.ApplyFunc) core.ApplyFunc {
	return func(real core.ApplyFunc) core.ApplyFunc {
		return func(p *wire.Policy, now wire.UnixMs, a *ledger.Account, op ledger.Op) ledger.Outcome {
			before := slices.Clone(a.Registrations)
			out := real(p, now, a, op)
			wrong(before, a, op, &out)
			return out
		}
	}
}

func pendingAsLive(real core.ApplyFunc) core.ApplyFunc {
	return func(p *wire.Policy, now wire.UnixMs, a *ledger.Account, op ledger.Op) ledger.Outcome {
		for i := range a.Registrations {
			if g, guess := op.(*ledger.Charge); guess && a.Registrations[i].ID == g.ID && a.Registrations[i].State == wire.StatePending {
				a.Registrations[i].State = wire.StateRetained
				defer func() { a.Registrations[i].State = wire.StatePending }()
			}
		}
		return real(p, now, a, op)
	}
}

var confirmRefills = around(func(_ []ledger.Registration, a *ledger.Account, op ledger.Op, out *ledger.Outcome) {
	if c, ok := op.(*ledger.Confirm); ok && out.Confirmed != nil {
		refill(a, func(r *ledger.Registration) bool { return r.ID == c.ID })
	}
})

var proofRefillsAll = around(func(_ []ledger.Registration, a *ledger.Account, _ ledger.Op, out *ledger.Outcome) {
	if out.Proved != nil {
		refill(a, func(*ledger.Registration) bool { return true })
	}
})

func refill(a *ledger.Account, which func(*ledger.Registration) bool) {
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.State != wire.StateDestroyed && which(r) {
			r.GuessesLeft, r.LockedUntil, r.ProvableUntil = r.Budget, 0, 0
		}
	}
}

var confirmDisplaces = around(func(_ []ledger.Registration, a *ledger.Account, _ ledger.Op, out *ledger.Outcome) {
	if out.Confirmed != nil {
		a.Registrations = slices.DeleteFunc(a.Registrations, func(r ledger.Registration) bool { return r.State == wire.StateRetained })
	}
})

func serialIgnored(real core.ApplyFunc) core.ApplyFunc {
	return func(p *wire.Policy, now wire.UnixMs, a *ledger.Account, op ledger.Op) ledger.Outcome {
		if g, ok := op.(*ledger.Charge); ok && g.Serial <= a.Serial && g.Element != a.LastGuess.Element {
			again := *g
			again.Serial = a.Serial + 1
			op = &again
		}
		return real(p, now, a, op)
	}
}

var endless = around(func(before []ledger.Registration, a *ledger.Account, _ ledger.Op, out *ledger.Outcome) {
	if out.Charged == nil {
		return
	}
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.GuessesLeft == 0 && i < len(before) && before[i].GuessesLeft > 0 {
			r.GuessesLeft, r.ProvableUntil = 1, 0
		}
	}
})
