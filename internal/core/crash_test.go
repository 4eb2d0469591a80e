// SPDX-License-Identifier: Apache-2.0

package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// smallSteps makes rotations long, so that much happens within one.
func smallSteps(t *testing.T) {
	was := rotationStep
	rotationStep = 1
	t.Cleanup(func() { rotationStep = was })
}

// TestKilledTwice kills the core at one of its writes, and the next one, which may be finishing what the first one began, at one of its own.
func TestKilledTwice(t *testing.T) {
	for _, f := range []fate{lostAndDead, storedAndDead} {
		for first := 1; first <= 12; first++ {
			for second := 1; second <= 12; second++ {
				h := newHost(t, func(h *host) { h.config.RotateEntries = 5 })
				live := func(name string, deadly int) {
					writes := 0
					h.onPersist = func(Persist) fate {
						if writes++; writes == deadly {
							return f
						}
						return stored
					}
					for i := 0; i < 4 && !h.dead; i++ {
						h.work1(fmt.Sprint(name, i))
					}
				}
				live("first", first)
				h.bootOr(t, first, second)
				live("second", second)
				h.bootOr(t, first, second)
				h.step(Stop{})
				h.bootOr(t, first, second)
				h.pass(11 * 60_000)
				h.bootOr(t, first, second)
			}
		}
	}
}

// work1 registers an account and lets a little time pass; the core may die in it.
func (h *host) work1(name string) {
	u := h.user(name)
	element, _ := blinded(h.t)
	answer, err := u.ask(&wire.RegisterStart{Blinded: element})
	if err != nil {
		return
	}
	started := answer.(*wire.RegisterStarted)
	if _, err := u.ask(&wire.RegisterFinish{Ticket: started.Ticket, Record: someRecord(h.t), Manage: wire.ManageSecret{1}.Hash(), KSF: someKSF}); err == nil {
		_, _ = u.ask(&wire.RegisterConfirm{Registration: started.Registration, Manage: wire.ManageSecret{1}})
	}
	h.pass(500)
}

func (h *host) bootOr(t *testing.T, numbers ...int) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("killed at %v: the next start panics: %v", numbers, r)
		}
	}()
	if err := h.boot(); err != nil {
		t.Fatalf("killed at %v: %v", numbers, err)
	}
}

// TestCrashes: a disk that is slow and dies at random moments, with a random part of its queue stored, also several times within one
// rotation. Every guess that was answered stays counted, and every registration that was confirmed stays.
func TestCrashes(t *testing.T) {
	smallSteps(t)
	seed := uint64(time.Now().UnixNano())
	if s := *crashSeed; s != 0 {
		seed = s
	}
	t.Logf("go test -run %s -crashseed %d repeats this", t.Name(), seed)
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		newCrasher(t, seed+uint64(i)).run()
	}
}

// crasher is a host whose disk is behind: writes wait in a queue.
type crasher struct {
	*host
	random  *rand.Rand
	pending []Persist
	users   []*crashUser

	impatient bool // the host stops waiting, and crashes
}

var crashSeed = flag.Uint64("crashseed", 0, "seed of TestCrashes; 0: a new one")

type crashUser struct {
	*user
	id      wire.RegistrationID
	live    bool
	serial  wire.Serial // of the last guess that was answered
	guesses int         // that were answered
}

func newCrasher(t *testing.T, seed uint64) *crasher {
	c := &crasher{random: rand.New(rand.NewPCG(seed, 0))}
	c.host = newHost(t, func(h *host) { h.config.RotateEntries, h.policy.CooldownMs = 6, 0 })
	for i := range 8 {
		c.users = append(c.users, &crashUser{user: c.user(fmt.Sprint("user-", i))})
	}
	c.onPersist = func(p Persist) fate {
		c.pending = append(c.pending, p)
		return delayed
	}
	c.idle = c.someDurable
	return c
}

func (c *crasher) run() {
	for range 40 {
		u := c.users[c.random.IntN(len(c.users))]
		c.impatient = c.random.IntN(4) == 0
		if u.live {
			c.guess(u)
		} else {
			c.register(u)
		}
		c.pass(300)
		if c.impatient {
			c.crash()
			c.learn(u)
		}
		c.check()
	}
}

// someDurable stores some of the waiting writes. It reports that there is no more to wait for when there is none, or when the host is impatient,
// sometimes, and will crash.
func (c *crasher) someDurable() bool {
	if len(c.pending) == 0 || c.impatient && c.random.IntN(4) == 0 {
		return false
	}
	for range 1 + c.random.IntN(len(c.pending)) {
		p := c.pending[0]
		c.pending = c.pending[1:]
		c.store(p)
		c.step(Durable{p.Seq})
	}
	return true
}

// crash stores a part of what waits, starts again, and does so once more, sometimes.
func (c *crasher) crash() {
	for again := true; again; again = c.random.IntN(3) == 0 {
		for range c.random.IntN(len(c.pending) + 1) {
			c.store(c.pending[0])
			c.pending = c.pending[1:]
		}
		c.pending, c.impatient = nil, false
		if err := c.boot(); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *crasher) register(u *crashUser) {
	element, _ := blinded(c.t)
	manage := wire.ManageSecret{1}
	started, err := u.ask(&wire.RegisterStart{Blinded: element})
	if err != nil {
		return
	}
	s := started.(*wire.RegisterStarted)
	if _, err := u.ask(&wire.RegisterFinish{Ticket: s.Ticket, Record: someRecord(c.t), Manage: manage.Hash(), KSF: someKSF}); err != nil {
		return
	}
	if _, err := u.ask(&wire.RegisterConfirm{Registration: s.Registration, Manage: manage}); err == nil {
		u.id, u.live = s.Registration, true
	}
}

func (c *crasher) guess(u *crashUser) {
	_, ke1 := blinded(c.t)
	if _, err := u.ask(&wire.RecoverStart{Registration: u.id, Serial: u.serial + 1, KE1: ke1}); err == nil {
		u.serial++
		u.guesses++
	}
}

// learn finds out what became of a request that was not answered: it has happened or it has not.
func (c *crasher) learn(u *crashUser) {
	s := u.status()
	if s.Serial == u.serial+1 {
		u.serial++
		u.guesses++
	}
	for _, r := range s.Registrations {
		if !u.live && r.State == wire.StateLive {
			u.id, u.live = r.ID, true
		}
	}
}

// check compares every account with what was answered.
func (c *crasher) check() {
	c.t.Helper()
	for _, u := range c.users {
		s := u.status()
		if s.Serial != u.serial {
			c.t.Fatalf("%s is at guess %d, and %d were answered", u.name, s.Serial, u.serial)
		}
		if !u.live {
			continue
		}
		if len(s.Registrations) != 1 || s.Registrations[0].ID != u.id {
			c.t.Fatalf("%s has %+v", u.name, s.Registrations)
		}
		if left := int(s.Registrations[0].GuessesLeft); left != max(10-u.guesses, 0) && s.Registrations[0].State != wire.StateDestroyed {
			c.t.Fatalf("%s has %d guesses left after %d", u.name, left, u.guesses)
		}
	}
}
