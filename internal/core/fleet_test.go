// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// fleet is some hosts with a network between them that delivers everything in its order, after a tick.
type fleet struct {
	t      testing.TB
	hosts  []*host // by slot, from 1 on; nil: down
	mail   []mail
	moved  []*host // up, at addresses that are not known: FirstStranger and so on
	unruly func()  // delivers instead
	joined int     // replicas so far

	prepare func(*host, Slot) // what joins, before its core is made

	lost   func(from, to Slot) bool // nil: nothing is
	now    mail                     // that is being delivered
	double bool                     // what is delivered comes twice, the second time last
}

type mail struct {
	from, to Slot
	data     []byte
	again    bool // it is the second of two
}

// newFleet makes a fleet of so many replicas, and waits until all of them vote.
func newFleet(t testing.TB, n int, change func(*host)) *fleet {
	return newFleetOf(t, n, change, nil)
}

// newFleetOf has prepare change each host but the first, which change does.
func newFleetOf(t testing.TB, n int, change func(*host), prepare func(*host, Slot)) *fleet {
	f := &fleet{t: t, hosts: []*host{nil, newHost(t, change)}, prepare: prepare}
	f.attach(f.hosts[1], 1)
	for s := Slot(2); int(s) <= n; s++ {
		f.join(s)
		f.until("it votes", func() bool { return f.votes(s) })
	}
	f.until("the fleet serves", func() bool { return f.leader(0) != nil && f.leader(0).c.Stats().Founded })
	return f
}

func (f *fleet) attach(h *host, s Slot) {
	h.slot = s
	h.onSend = func(e Send) { f.mail = append(f.mail, mail{from: s, to: e.Slot, data: e.Data}) }
}

// invite has the leader make a ticket.
func (f *fleet) admin(in Admin) Told {
	f.t.Helper()
	l := f.leader(0)
	l.ids++
	in.ID = l.ids
	l.step(in)
	f.until("the operator is told", func() bool { _, ok := l.told[in.ID]; return ok })
	return l.told[in.ID]
}

// join adds a replica, or replaces one.
func (f *fleet) join(s Slot) {
	f.t.Helper()
	told := f.admin(Admin{Command: AdminInvite, Slot: s})
	if told.Refusal != "" {
		f.t.Fatalf("invite slot %d: %s", s, told.Refusal)
	}
	f.joinWith(s, told.Ticket)
}

// joinWith starts a host that has a ticket.
func (f *fleet) joinWith(s Slot, ticket []byte) {
	f.t.Helper()
	first := f.hosts[1]
	h := &host{t: f.t, signer: first.signer, policy: first.policy, config: first.config, disk: map[string][]byte{}, keys: map[string][32]byte{},
		now: first.now, answer: map[uint64][]byte{}, told: map[uint64]Told{}}
	if f.prepare != nil {
		f.prepare(h, s)
	}
	f.joined++
	h.config.Seed = [32]byte{byte(s), 0, 77, byte(f.joined)}
	c, effects, err := Join(h.config, ticket, fmt.Appendf(nil, "host %d", s), h.newEpoch())
	if err != nil {
		f.t.Fatal(err)
	}
	h.c = c
	f.attach(h, s)
	for int(s) >= len(f.hosts) {
		f.hosts = append(f.hosts, nil)
	}
	f.hosts[s] = h
	h.work(effects)
}

// live are the hosts that are up.
func (f *fleet) live() (live []*host) {
	for _, h := range f.hosts {
		if h != nil && !h.dead {
			live = append(live, h)
		}
	}
	return live
}

// move has a slot's host go on at an address that nobody knows.
func (f *fleet) move(s Slot) *host {
	h := f.hosts[s]
	f.hosts[s] = nil
	f.moved = append(f.moved, h)
	f.attach(h, s)
	from := FirstStranger + Slot(len(f.moved)) - 1
	h.onSend = func(e Send) { f.mail = append(f.mail, mail{from: from, to: e.Slot, data: e.Data}) }
	return h
}

// at returns who is reached at an address, nil if nobody is.
func (f *fleet) at(s Slot) *host {
	switch {
	case s >= FirstStranger && int(s-FirstStranger) < len(f.moved):
		return f.moved[s-FirstStranger]
	case int(s) < len(f.hosts):
		return f.hosts[s]
	}
	return nil
}

// pass lets time pass everywhere, 100 ms at a time.
func (f *fleet) pass(ms int) {
	for ; ms > 0; ms -= 100 {
		for _, h := range append(f.live(), f.moved...) {
			h.now += 100
			h.step(Tick{h.now, 100})
		}
		f.deliver()
	}
}

// deliver brings all mail, and what is written in answer to it, up to a bound.
func (f *fleet) deliver() {
	if f.unruly != nil {
		f.unruly()
		return
	}
	for n := 0; len(f.mail) > 0 && n < 100_000; n++ {
		m := f.mail[0]
		f.mail, f.now = f.mail[1:], m
		if f.double && !m.again {
			m.again = true
			f.mail = append(f.mail, m)
		}
		if to := f.at(m.to); to != nil && (f.lost == nil || !f.lost(m.from, m.to)) {
			to.step(Peer{m.from, m.data})
		}
	}
}

func (f *fleet) until(what string, done func() bool) {
	f.t.Helper()
	for n := 0; n < 600; n++ {
		if done() {
			return
		}
		f.pass(100)
	}
	for _, h := range f.live() {
		f.t.Logf("slot %d: %+v members %+v", h.slot, h.c.Stats(), h.c.parts[0].group.members)
	}
	f.t.Fatalf("a minute has passed, and not yet: %s", what)
}

// votes tells whether a slot's replica votes in every partition, and knows it.
func (f *fleet) votes(s Slot) bool {
	h := f.hosts[s]
	if h == nil || len(h.c.parts) == 0 {
		return false
	}
	for _, p := range h.c.parts {
		if p.node == nil || !p.group.voter(p.id) || p.leader == 0 {
			return false
		}
	}
	return true
}

// leader returns the host whose core leads a partition, nil if there is none.
func (f *fleet) leader(n int) *host {
	for _, h := range f.live() {
		if n < len(h.c.parts) && h.c.parts[n].ready {
			return h
		}
	}
	return nil
}

// ask has a user ask the leader, again and again until it is answered.
func (f *fleet) ask(name string, body wire.Body) (wire.Body, error) {
	for range 100 {
		h := f.leader(0)
		if h == nil {
			f.pass(100)
			continue
		}
		u := h.user(name)
		envelope, opener, err := h.c.Descriptor().Seal(u.account, &wire.Request{Token: u.token(), Body: body})
		if err != nil {
			f.t.Fatal(err)
		}
		h.ids++
		id := h.ids
		h.step(Request{id, envelope})
		for n := 0; n < 30 && h.answer[id] == nil && !h.dead; n++ {
			f.pass(100)
		}
		raw, ok := h.answer[id]
		if !ok {
			continue
		}
		answer, _, err := opener.Open(raw)
		var refusal *wire.Error
		if errors.As(err, &refusal) && refusal.Code == wire.CodeUnavailable {
			f.pass(100)
			continue
		}
		return answer, err
	}
	f.t.Fatalf("%T is never answered", body)
	return nil, nil
}

func wantOf[T wire.Body](f *fleet, name string, body wire.Body) T {
	f.t.Helper()
	answer, err := f.ask(name, body)
	if err != nil {
		f.t.Fatalf("%T: %v", body, err)
	}
	return answer.(T)
}

// register makes a live registration.
func (f *fleet) register(name string) wire.RegistrationID {
	f.t.Helper()
	element, _ := blinded(f.t)
	started := wantOf[*wire.RegisterStarted](f, name, &wire.RegisterStart{Blinded: element})
	wantOf[*wire.RegisterFinished](f, name, &wire.RegisterFinish{Ticket: started.Ticket, Record: someRecord(f.t), Manage: wire.ManageSecret{1}.Hash(), KSF: someKSF})
	wantOf[*wire.RegisterConfirmed](f, name, &wire.RegisterConfirm{Registration: started.Registration, Manage: wire.ManageSecret{1}})
	return started.Registration
}

func (f *fleet) guess(name string, id wire.RegistrationID, serial wire.Serial) *wire.RecoverStarted {
	f.t.Helper()
	_, ke1 := blinded(f.t)
	return wantOf[*wire.RecoverStarted](f, name, &wire.RecoverStart{Registration: id, Serial: serial, KE1: ke1})
}

// same waits until all replicas have applied the same, and have the same.
func (f *fleet) same() {
	f.t.Helper()
	f.until("all replicas have the same", func() bool {
		var first *host
		for _, h := range f.live() {
			if first == nil {
				first = h
			} else if h.c.Digest() != first.c.Digest() {
				return false
			}
			if !f.votes(h.slot) {
				return false
			}
		}
		return true
	})
	for _, h := range f.live() {
		for _, p := range h.c.parts {
			slots := map[Slot]bool{}
			for _, m := range p.group.members {
				if p.group.voter(m.id) && slots[m.slot] {
					f.t.Errorf("two incarnations of slot %d vote", m.slot)
				}
				slots[m.slot] = true
			}
		}
	}
}

func majority(h *host) { h.policy.Restart = wire.RestartMajority }

// crash ends a core at once. What was handed out for storage is stored.
func (f *fleet) crash(s Slot) { f.hosts[s].dead = true }

func (f *fleet) restart(s Slot) {
	f.t.Helper()
	h := f.hosts[s]
	h.now = max(h.now, f.live()[0].now)
	if err := h.start(); err != nil {
		f.t.Fatalf("slot %d: %v", s, err)
	}
}

// TestFleet: three replicas, of which each is killed and started again; guesses are counted once, by all.
func TestFleet(t *testing.T) {
	for name, policy := range map[string]func(*host){
		"trust-disk": nil,
		"majority":   majority,
		"partitions": func(h *host) { majority(h); h.policy.Partitions = 3 },
		"snapshots":  func(h *host) { majority(h); h.config.RotateEntries = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 3, policy)
			if name == "partitions" {
				for n := range 3 {
					f.until("it leads", func() bool { return f.leader(n) != nil })
				}
				f.rolling()
				f.same()
				return
			}
			id := f.register("alice")
			serial := wire.Serial(0)
			for range 3 {
				serial++
				if left := f.guess("alice", id, serial).GuessesLeft; int(left) != 10-int(serial) {
					t.Fatalf("%d guesses are left after %d", left, serial)
				}
				l := f.leader(0)
				f.crash(l.slot)
				f.until("another leads", func() bool { return f.leader(0) != nil })
				if s := wantOf[*wire.StatusAnswer](f, "alice", &wire.Status{}); s.Serial != serial {
					t.Fatalf("serial is %d after %d guesses", s.Serial, serial)
				}
				f.restart(l.slot)
				f.until("it votes again", func() bool { return f.votes(l.slot) })
			}
			f.rolling()
			f.same()
		})
	}
}

// rolling restarts one after the other.
func (f *fleet) rolling() {
	f.t.Helper()
	for s := 1; s < len(f.hosts); s++ {
		f.crash(Slot(s))
		f.pass(500)
		f.restart(Slot(s))
		f.until(fmt.Sprintf("slot %d votes again", s), func() bool { return f.votes(Slot(s)) })
		f.same()
	}
}

// TestReplaceReplica: a replica whose disk is lost is replaced, with a ticket, and one is removed.
func TestReplaceReplica(t *testing.T) {
	for _, policy := range []func(*host){nil, majority} {
		f := newFleet(t, 5, policy)
		id := f.register("alice")
		f.guess("alice", id, 1)
		l := f.leader(0)
		lost := l.slot%5 + 1
		f.crash(lost)
		f.join(lost)
		f.until("the new one votes", func() bool { return f.votes(lost) })
		f.same()
		gone := lost%5 + 1
		if gone == f.leader(0).slot {
			gone = gone%5 + 1
		}
		if told := f.admin(Admin{Command: AdminRemove, Slot: gone}); told.Refusal != "" {
			t.Fatal(told.Refusal)
		}
		f.until("it is out", func() bool { return !slices.Contains(f.leader(0).c.Stats().Partitions[0].Voters, gone) })
		f.hosts[gone] = nil
		f.same()
		f.guess("alice", id, 2)
	}
}

// TestClone: under the policy majority a core that is started from a copy of the disk, beside the original, gets no vote by it, and
// nothing is forgotten.
func TestClone(t *testing.T) {
	f := newFleet(t, 5, majority)
	id := f.register("alice")
	victim := f.hosts[2]
	image := victim.image()
	keys := map[string][32]byte{}
	for k, v := range victim.keys {
		keys[k] = v
	}
	f.guess("alice", id, 1)
	f.crash(2)
	f.pass(1000)
	victim.disk, victim.keys = image, keys
	f.restart(2)
	if victim.c.parts[0].node != nil {
		t.Fatal("it has its place from the disk alone")
	}
	f.until("it is admitted", func() bool { return f.votes(2) })
	f.same()
	if s := wantOf[*wire.StatusAnswer](f, "alice", &wire.Status{}); s.Serial != 1 {
		t.Fatalf("serial is %d", s.Serial)
	}
}
