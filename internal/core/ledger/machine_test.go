// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/coffer-backup/coffer/wire"
)

// machine is an account with an honest user, a thief who has a token, a host that
// replays everything that was ever said, and a clock that jumps. The checkers look at each step.
type machine struct {
	*world
	keys  []wire.ManageHash // the user's K first; the others are thieves'
	said  []Op
	owned map[wire.RegistrationID]wire.ManageHash
	ids   []wire.RegistrationID
}

func newMachine(t *rapid.T) *machine {
	w := newWorld(nil)
	w.t = t
	m := &machine{world: w, owned: map[wire.RegistrationID]wire.ManageHash{}}
	for range 3 {
		m.keys = append(m.keys, w.manage())
	}
	m.p.Budget = uint8(rapid.IntRange(1, 10).Draw(t, "budget"))
	m.p.GraceMs = rapid.SampledFrom([]uint64{0, minuteMs, 30 * dayMs}).Draw(t, "grace")
	return m
}

func (m *machine) say(op Op) Outcome {
	m.said = append(m.said, op)
	return m.do(op)
}

func (m *machine) id(t *rapid.T) wire.RegistrationID {
	if len(m.ids) == 0 {
		t.Skip("no registration yet")
	}
	recent := m.ids[max(0, len(m.ids)-6):]
	return rapid.SampledFrom(recent).Draw(t, "id")
}

func (m *machine) key(t *rapid.T) wire.ManageHash { return rapid.SampledFrom(m.keys).Draw(t, "key") }

func (m *machine) maybeKey(t *rapid.T) *wire.ManageHash {
	if rapid.Bool().Draw(t, "without") {
		return nil
	}
	k := m.key(t)
	return &k
}

func (m *machine) register(t *rapid.T) {
	k := m.key(t)
	op := m.newRegister(k)
	op.Ticket -= min(op.Ticket, rapid.Uint64Range(0, 1).Draw(t, "age"))
	if o := m.say(op); o.Registered != nil {
		m.ids = append(m.ids, op.ID)
		m.owned[op.ID] = k
	}
}

func (m *machine) confirm(t *rapid.T) {
	m.say(&Confirm{ID: m.id(t), Manage: m.key(t), Replaces: m.maybeKey(t)})
}

// confirmOwn is what a client does right after register.
func (m *machine) confirmOwn(t *rapid.T) {
	if len(m.ids) == 0 {
		t.Skip("no registration yet")
	}
	id := m.ids[len(m.ids)-1]
	m.say(&Confirm{ID: id, Manage: m.owned[id]})
}

func (m *machine) guess(t *rapid.T) {
	serial := m.a.Serial + 1
	if rapid.IntRange(0, 7).Draw(t, "stale") == 0 {
		serial = wire.Serial(rapid.Uint64Range(0, uint64(m.a.Serial)+3).Draw(t, "serial"))
	}
	m.say(&Charge{ID: m.id(t), Serial: serial, Element: m.element()})
}

func (m *machine) waitAndGuess(t *rapid.T) {
	id := m.id(t)
	if r := m.a.find(id); r != nil {
		m.now = max(m.now, r.LockedUntil)
	}
	m.say(&Charge{ID: id, Serial: m.a.Serial + 1, Element: m.element()})
}

func (m *machine) proveLast(t *rapid.T) {
	// The core proposes Prove only after KE3 was right, for a guess that it evaluated. A
	// replay of it is in said.
	m.say(&Prove{ID: m.a.LastGuess.ID, Serial: m.a.Serial})
}

func (m *machine) proveAny(t *rapid.T) {
	m.say(&Prove{ID: m.id(t), Serial: wire.Serial(rapid.Uint64Range(0, uint64(m.a.Serial)+1).Draw(t, "serial"))})
}

func (m *machine) delete(t *rapid.T) { m.say(&Delete{ID: m.id(t), Proof: m.maybeKey(t)}) }

func (m *machine) freshness(t *rapid.T) {
	f := wire.Freshness{
		Archive:    wire.ArchiveID{rapid.ByteRange(0, 5).Draw(t, "archive")},
		Generation: rapid.Uint64Range(0, 3).Draw(t, "generation"), Digest: [32]byte{rapid.ByteRange(0, 1).Draw(t, "digest")},
	}
	m.say(&PutFreshness{ID: m.id(t), Manage: m.key(t), Freshness: f})
}

func (m *machine) freshnessWithout(t *rapid.T) {
	f := wire.Freshness{
		Archive:    wire.ArchiveID{rapid.ByteRange(0, 2).Draw(t, "archive")},
		Generation: rapid.Uint64Range(0, 3).Draw(t, "generation"), Digest: [32]byte{rapid.ByteRange(0, 1).Draw(t, "digest")},
	}
	m.say(&PutFreshness{Manage: m.key(t), Freshness: f})
}

func (m *machine) replay(t *rapid.T) {
	if len(m.said) == 0 {
		t.Skip("nothing was said yet")
	}
	for range rapid.IntRange(1, 3).Draw(t, "times") {
		m.do(m.said[rapid.IntRange(0, len(m.said)-1).Draw(t, "said")])
	}
}

func (m *machine) wait(t *rapid.T) {
	m.now += wire.UnixMs(rapid.SampledFrom([]uint64{1, minuteMs, 10 * minuteMs, 60 * minuteMs, dayMs, 30 * dayMs}).Draw(t, "ms"))
	if rapid.Bool().Draw(t, "sweep") {
		m.do(&Expire{})
	}
}

func (m *machine) tightenPolicy(t *rapid.T) {
	m.p.Budget = uint8(rapid.IntRange(1, int(m.p.Budget)).Draw(t, "budget"))
	m.p.CooldownMs = min(m.p.CooldownMs*2, maxCooldownMs)
}

func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"register": m.register, "confirm": m.confirm, "confirm own": m.confirmOwn, "guess": m.guess,
			"wait and guess": m.waitAndGuess, "prove last": m.proveLast, "prove any": m.proveAny,
			"delete": m.delete, "freshness": m.freshness, "freshness without a registration": m.freshnessWithout, "replay": m.replay, "wait": m.wait,
			"tighten policy": m.tightenPolicy,
			"": func(t *rapid.T) {
				if n := len(Status(m.now, m.a).Registrations); n > wire.MaxRegistrations {
					t.Fatalf("a status of %d registrations", n)
				}
			},
		})
	})
}

// A newcomer took over the account: he registers, guesses, proves and deletes what is his,
// replays, and waits. The old registration gives away no guess more than it had.
func TestNewcomerGainsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		m.p = wire.DefaultPolicy()
		owner := m.keys[0]
		old := m.live(owner)
		m.keys = m.keys[1:] // the newcomer does not know the owner's
		m.guesses(rapid.IntRange(0, 9).Draw(t, "owner's wrong guesses"), old)
		had, atOld, charged := int(m.left(old)), 0, 0
		say := func(op Op) {
			r := m.a.find(old)
			open := r != nil && r.guessable() && r.GuessesLeft > 0 && m.now >= r.LockedUntil
			o := m.do(op)
			if o.Charged == nil || o.Charged.Repeated() {
				return
			}
			if open {
				charged++
			}
			if o.Charged.Registration() == old {
				atOld++
			}
		}
		sayNew := func(op Op) {
			m.said = append(m.said, op)
			say(op)
		}
		t.Repeat(map[string]func(*rapid.T){
			"register": m.register, "confirm own": m.confirmOwn, "confirm": m.confirm, "delete": m.delete,
			"guess at his own": func(t *rapid.T) {
				id := m.id(t)
				if r := m.a.find(id); r != nil {
					m.now = max(m.now, r.LockedUntil)
				}
				sayNew(m.newGuess(id))
			},
			"guess at the old": func(*rapid.T) { sayNew(m.newGuess(old)) },
			"wait and guess at the old": func(*rapid.T) {
				if r := m.a.find(old); r != nil {
					m.now = max(m.now, r.LockedUntil)
				}
				sayNew(m.newGuess(old))
			},
			"prove his own": func(t *rapid.T) {
				if m.a.LastGuess.ID == old {
					t.Skip("he does not know the owner's password")
				}
				m.proveLast(t)
			},
			"delete the old": func(*rapid.T) { m.say(&Delete{ID: old}) },
			"replay": func(t *rapid.T) {
				if len(m.said) > 0 {
					say(m.said[rapid.IntRange(0, len(m.said)-1).Draw(t, "said")])
				}
			},
			"wait": m.wait,
			"": func(t *rapid.T) {
				if atOld > had {
					t.Fatalf("%d guesses at the old registration, which had %d", atOld, had)
				}
				// While it can be guessed, each guess anywhere cost it one, unless it was locked.
				if r := m.a.find(old); r != nil && r.guessable() && int(r.GuessesLeft) != had-charged {
					t.Fatalf("%d guesses left after %d of %d", r.GuessesLeft, charged, had)
				}
			},
		})
	})
}
