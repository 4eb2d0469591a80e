// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/cryptotest"

	"github.com/coffer-backup/coffer/wire"
)

var chaosSeed = flag.Uint64("chaosseed", 0, "the only seed of TestChaos; 0: always the same few")

// TestChaos: a network that loses, doubles and re-orders; disks that are slow and keep a part of what they were told; replicas that are killed, started
// from old disks, beside themselves, and replaced. All cores apply the same at the same index, no term has two leaders, no slot two votes, and in the end all is well.
func TestChaos(t *testing.T) {
	seed, rounds := *chaosSeed, 1
	if seed == 0 {
		if seed, rounds = 1, 20; testing.Short() {
			rounds = 4
		}
	}
	for n := range rounds {
		seed := seed + uint64(n)
		name := fmt.Sprintf("-chaosseed=%d", seed)
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			if seed%2 == 0 {
				smallSteps(t)
			}
			newChaos(t, seed).run()
		})
	}
}

// chaos is a fleet on which much goes wrong at once.
type chaos struct {
	*fleet
	random  *rand.Rand
	calmed  bool                // what is under way has had its time
	slow    bool                // disks are
	pending map[*host][]Persist // handed out and not stored
	images  map[Slot][]*host    // copies of hosts with their disks
	applied map[string][32]byte // what was applied at an index
	leaders map[string][8]byte  // of a term
	round   map[int]int         // of each account
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{random: rand.New(rand.NewPCG(seed, 1)), pending: map[*host][]Persist{}, images: map[Slot][]*host{},
		applied: map[string][32]byte{}, leaders: map[string][8]byte{}, round: map[int]int{}}
	n, policy := 3+2*c.random.IntN(2), c.random.IntN(3)
	partitions := uint16(1 + c.random.IntN(2))
	c.fleet = newFleet(t, n, func(h *host) {
		if policy > 0 {
			h.policy.Restart = wire.RestartMajority
		}
		h.policy.Partitions = partitions
		h.config.RotateEntries = uint64(6 + c.random.IntN(40))
		h.config.Observe = c.observed
	})
	c.same()
	for _, h := range c.live() {
		c.hook(h)
	}
	c.unruly = c.someMail
	return c
}

// TestFoundingChaos: while a fleet is founded any replica may be killed at any time, and starts from its disk: the fleet is founded all the same.
func TestFoundingChaos(t *testing.T) {
	seed, rounds := *chaosSeed, 1
	if seed == 0 {
		if seed, rounds = 1, 20; testing.Short() {
			rounds = 5
		}
	}
	for n := range rounds {
		seed := seed + uint64(n)
		t.Run(fmt.Sprintf("-chaosseed=%d", seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			c := &chaos{random: rand.New(rand.NewPCG(seed, 2)), pending: map[*host][]Persist{}, applied: map[string][32]byte{}, leaders: map[string][8]byte{}}
			c.fleet = &fleet{t: t, hosts: []*host{nil, newHost(t, func(h *host) {
				h.policy.Restart, h.policy.Partitions, h.config.Observe = wire.RestartMajority, 2, c.observed
			})}}
			c.attach(c.hosts[1], 1)
			c.unruly = c.someMail
			for s := Slot(2); s <= 3; s++ {
				for _, h := range c.live() {
					c.hook(h)
				}
				c.until("somebody leads", func() bool { return c.leader(0) != nil })
				c.join(s)
				c.until("it is in the fleet", func() bool { return len(c.hosts[s].c.parts) > 0 })
				c.slow = true
				for range 20 + c.random.IntN(60) {
					c.pass(100)
					c.check()
					for _, h := range c.hosts[1:] {
						c.some(h, c.random.IntN(6))
						if h.dead {
							c.start(h, h)
						} else if !c.settled() && c.random.IntN(25) == 0 {
							c.kill(h)
						}
					}
				}
				c.calm()
			}
			c.until("it is founded", func() bool { return c.leader(0) != nil && c.leader(0).c.Stats().Founded })
			c.same()
		})
	}
}

// settled tells whether a partition is founded: then a majority can be lost.
func (c *chaos) settled() bool {
	return slices.ContainsFunc(c.all(), func(h *host) bool {
		return slices.ContainsFunc(h.c.parts, func(p *partition) bool { return p.group.founded || len(p.group.members) > 2 })
	})
}

// calm has all disks and hosts work as they should.
func (c *chaos) calm() {
	c.t.Helper()
	c.slow = false
	for _, h := range c.all() {
		c.some(h, 1<<20)
	}
	for _, h := range c.hosts[1:] {
		if h.dead {
			c.start(h, h)
		}
	}
}

// observed checks that what is applied at an index is the same everywhere, and that a slot has one vote.
func (c *chaos) observed(o Observation) {
	var key string
	var value [32]byte
	switch o := o.(type) {
	case Applied:
		key, value = fmt.Sprint("account ", o.Partition, o.Index), sha256.Sum256([]byte(string(o.Account[:])+o.Before+"|"+o.After))
	case Configured:
		key, value = fmt.Sprint("group ", o.Partition, o.Index), sha256.Sum256(fmt.Append(nil, o.Voters, o.Learners))
		slots := map[Slot]bool{}
		for _, v := range o.Voters {
			if v.Slot != 0 && slots[v.Slot] {
				c.t.Fatalf("two incarnations of slot %d vote", v.Slot)
			}
			slots[v.Slot] = true
		}
	default:
		return
	}
	if old, ok := c.applied[key]; ok && old != value {
		c.t.Fatalf("two replicas differ: %s", key)
	}
	c.applied[key] = value
}

// hook makes a host's disk slow.
func (c *chaos) hook(h *host) {
	h.idle = func() bool { return false }
	h.onPersist = func(p Persist) fate {
		if !c.slow && len(c.pending[h]) == 0 {
			return stored
		}
		c.pending[h] = append(c.pending[h], p)
		return delayed
	}
}

// some stores some of what a host was told to store.
func (c *chaos) some(h *host, n int) {
	for ; n > 0 && len(c.pending[h]) > 0; n-- {
		p := c.pending[h][0]
		c.pending[h] = c.pending[h][1:]
		h.store(p)
		h.step(Durable{p.Seq})
	}
}

// someMail delivers most of the mail, in some order.
func (c *chaos) someMail() {
	for n := 0; len(c.mail) > 0 && n < 3000; n++ {
		i := 0
		if c.random.IntN(4) == 0 {
			i = c.random.IntN(min(len(c.mail), 20))
		}
		m := c.mail[i]
		c.mail = slices.Delete(c.mail, i, i+1)
		switch c.random.IntN(30) {
		case 0:
			continue
		case 1, 2:
			c.mail = append(c.mail, m)
		}
		if to := c.at(m.to); to != nil {
			to.step(Peer{m.from, m.data})
		}
	}
}

// all are the hosts that are up, those that are a slot's second included.
func (c *chaos) all() []*host {
	return append(c.live(), slices.DeleteFunc(slices.Clone(c.moved), func(h *host) bool { return h.dead })...)
}

// spare tells whether a host can be killed, and the fleet goes on: in each partition those voters that are left and alive are a majority, and no member is on its way.
func (c *chaos) spare(victim *host) bool {
	for n := range victim.c.parts {
		l := c.leaderOf(n)
		if l == nil {
			return false
		}
		g, alive := &l.c.parts[n].group, 0
		for _, h := range c.all() {
			if n >= len(h.c.parts) {
				continue
			}
			m := g.member(h.c.parts[n].id)
			if h.c.parts[n].node == nil || m == nil || h.policy.Restart == wire.RestartMajority && m.incarnation != h.c.place.incarnation {
				continue
			}
			if !g.voter(m.id) {
				if !c.calmed {
					return false
				}
				continue
			}
			if !slices.Equal(h.c.parts[n].group.conf.GetVoters(), g.conf.GetVoters()) {
				return false // it counts as those say that it knows, and they may be dead
			}
			if h != victim {
				alive++
			}
		}
		if alive <= len(g.conf.GetVoters())/2 {
			return false
		}
	}
	return len(victim.c.parts) > 0
}

// leaderOf returns who leads a partition, whichever of a slot's hosts it is.
func (c *chaos) leaderOf(n int) (found *host) {
	for _, h := range c.all() {
		if n < len(h.c.parts) && h.c.parts[n].ready && (found == nil || h.c.parts[n].node.BasicStatus().GetTerm() > found.c.parts[n].node.BasicStatus().GetTerm()) {
			found = h
		}
	}
	return found
}

func (c *chaos) check() {
	c.t.Helper()
	for _, h := range c.all() {
		for n, p := range h.c.parts {
			if !p.ready {
				continue
			}
			key, who := fmt.Sprint(n, " ", p.node.BasicStatus().GetTerm()), [8]byte(h.c.place.incarnation[:8])
			if old, ok := c.leaders[key]; ok && old != who {
				c.t.Fatalf("two lead partition and term %s", key)
			}
			c.leaders[key] = who
		}
	}
}

func (c *chaos) run() {
	c.slow = true
	for range 400 {
		c.pass(100)
		for _, h := range c.all() {
			c.some(h, c.random.IntN(8))
		}
		c.check()
		c.work()
		if c.random.IntN(8) == 0 {
			c.harm()
		}
	}
	c.heal()
}

// work proposes what happens to accounts.
func (c *chaos) work() {
	for range c.random.IntN(5) {
		i := c.random.IntN(16)
		p := i % int(c.hosts[1].policy.Partitions)
		if l := c.leaderOf(p); l != nil && l.c.parts[p].propose(0, wire.AccountID{byte(i)}, lifeOf(c.round[i])) == nil {
			c.round[i]++
			l.step()
		}
	}
}

func (c *chaos) harm() {
	s := Slot(1 + c.random.IntN(len(c.hosts)-1))
	h := c.hosts[s]
	strict := h.policy.Restart == wire.RestartMajority
	switch c.random.IntN(8) {
	case 0, 1, 2:
		if !h.dead && (!strict || c.spare(h)) {
			c.kill(h)
		}
	case 3, 4:
		if h.dead {
			c.start(h, h)
		}
	case 5: // a copy is made, or one is started in the place of the dead one
		if !h.dead {
			c.images[s] = append(c.images[s], c.copy(h))
		} else if old := c.images[s]; strict && len(old) > 0 {
			c.start(h, old[c.random.IntN(len(old))])
		}
	case 6: // or beside the living one
		if old := c.images[s]; strict && len(old) > 0 && len(c.moved) < 8 && c.random.IntN(3) == 0 {
			clone := c.copy(h)
			c.moved = append(c.moved, clone)
			from := FirstStranger + Slot(len(c.moved)) - 1
			clone.onSend = func(e Send) { c.mail = append(c.mail, mail{from: from, to: e.Slot, data: e.Data}) }
			c.start(clone, old[c.random.IntN(len(old))])
		}
	case 7:
		if n := len(c.moved); n > 0 {
			if clone := c.moved[c.random.IntN(n)]; !clone.dead && c.spare(clone) {
				c.kill(clone)
			}
		}
	}
}

// copy is a host with a copy of its disk and its sealer's keys.
func (c *chaos) copy(h *host) *host {
	n := *h
	n.disk, n.keys, n.queue, n.answer, n.told = h.image(), maps.Clone(h.keys), nil, map[uint64][]byte{}, map[uint64]Told{}
	return &n
}

// kill ends a core. Some of what waits for the disk is stored.
func (c *chaos) kill(h *host) {
	h.dead = true
	for range c.random.IntN(len(c.pending[h]) + 1) {
		h.store(c.pending[h][0])
		c.pending[h] = c.pending[h][1:]
	}
	c.pending[h] = nil
}

// start starts a host from its disk, or from an older one.
func (c *chaos) start(h, image *host) {
	c.t.Helper()
	c.pending[h] = nil
	h.disk, h.keys, h.queue = image.image(), maps.Clone(image.keys), nil
	for i := range h.config.Seed {
		h.config.Seed[i] = byte(c.random.Uint32())
	}
	for _, o := range c.all() {
		h.now = max(h.now, o.now)
	}
	c.hook(h)
	if err := h.start(); err != nil {
		c.t.Fatalf("slot %d: %v", h.slot, err)
	}
}

// heal ends all harm. A host that another took the place of is started again.
func (c *chaos) heal() {
	c.t.Helper()
	c.unruly = nil
	c.calm()
	c.pass(5000)
	c.calmed = true
	c.until("leaders", func() bool {
		return !slices.ContainsFunc(c.hosts[1].c.parts, func(p *partition) bool { return c.leaderOf(int(p.number)) == nil })
	})
	for _, h := range c.hosts[1:] {
		if !c.agrees(h) && c.spare(h) {
			c.again(h)
		}
	}
	for _, clone := range c.moved {
		if clone.dead {
			continue
		}
		c.until(fmt.Sprintf("the second of slot %d can be spared", clone.slot), func() bool { return c.spare(clone) })
		c.kill(clone)
		c.again(c.hosts[clone.slot])
	}
	for _, h := range c.hosts[1:] {
		c.until("it is known who votes", func() bool {
			return !slices.ContainsFunc(h.c.parts, func(p *partition) bool { return c.leaderOf(int(p.number)) == nil })
		})
		if !c.agrees(h) {
			c.again(h)
		}
		c.until(fmt.Sprintf("slot %d votes", h.slot), func() bool { return c.votes(h.slot) && c.agrees(h) })
	}
	c.moved = nil
	c.same()
}

// again starts a host again, in whose place another was.
func (c *chaos) again(h *host) {
	c.t.Helper()
	c.pass(3000)
	c.until(fmt.Sprintf("slot %d can be spared", h.slot), func() bool { return c.spare(h) })
	c.kill(h)
	c.start(h, h)
	c.until(fmt.Sprintf("slot %d is in its place", h.slot), func() bool {
		return c.votes(h.slot) && c.agrees(h) || slices.ContainsFunc(c.moved, func(o *host) bool { return !o.dead && o.slot == h.slot })
	})
}

// agrees tells whether the leaders count a host's core among the voters: it may not know that it is out.
func (c *chaos) agrees(h *host) bool {
	return !slices.ContainsFunc(h.c.parts, func(p *partition) bool {
		l := c.leaderOf(int(p.number))
		return l == nil || !l.c.parts[p.number].group.voter(p.id)
	})
}
