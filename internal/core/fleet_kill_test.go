// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"testing"
)

// TestLeaderKilledAtEachStep: wherever in the admission of a restarted replica the leader dies, its successor goes on, and the leader comes back as well.
func TestLeaderKilledAtEachStep(t *testing.T) {
	smallSteps(t)
	for step := 1; step <= 5; step++ {
		var watch func(Observation)
		f := newFleet(t, 5, func(h *host) {
			majority(h)
			h.config.RotateEntries = 8
			h.config.Observe = func(o Observation) {
				if watch != nil {
					watch(o)
				}
			}
		})
		f.same()
		l := f.leader(0)
		restarted := l.slot%5 + 1
		f.crash(restarted)
		f.pass(500)
		steps, newest := 0, uint64(0)
		watch = func(o Observation) {
			if c, ok := o.(Configured); ok && c.Self == l.c.parts[0].id && c.Index > newest && !l.dead {
				if newest = c.Index; steps+1 == step {
					l.dead = true
				}
				steps++
			}
		}
		f.restart(restarted)
		f.until("the restarted one votes, or the leader is dead", func() bool { return l.dead || f.votes(restarted) })
		f.until(fmt.Sprintf("killed at step %d: it votes", step), func() bool { return f.votes(restarted) })
		if l.dead {
			f.restart(l.slot)
		}
		f.until("the leader votes again", func() bool { return f.votes(l.slot) })
		f.same()
	}
}

// TestTwoAtOnce: two of five are started again at once, also with the leader among them.
func TestTwoAtOnce(t *testing.T) {
	f := newFleet(t, 5, majority)
	for s := Slot(1); s <= 5; s++ {
		f.same()
		a, b := s, s%5+1
		f.crash(a)
		f.crash(b)
		f.restart(a)
		f.restart(b)
		f.until("both vote", func() bool { return f.votes(a) && f.votes(b) })
	}
	f.same()
}

// TestKilledWhileJoining: a replica that is killed at any of its writes while it joins and is caught up joins all the same; if it had stored nothing, with another ticket.
func TestKilledWhileJoining(t *testing.T) {
	smallSteps(t)
	for _, policy := range []func(*host){nil, majority} {
		f := newFleet(t, 3, func(h *host) {
			if h.config.RotateEntries = 8; policy != nil {
				policy(h)
			}
		})
		for n := range 40 {
			f.propose(n)
		}
		for _, end := range []fate{lostAndDead, storedAndDead} {
			for deadly := 1; deadly <= 9; deadly++ {
				f.join(4)
				h, writes := f.hosts[4], 0
				h.onPersist = func(Persist) fate {
					if writes++; writes == deadly {
						return end
					}
					return stored
				}
				f.until("it votes, or is dead", func() bool { return h.dead || f.votes(4) })
				if h.dead && len(h.disk) == 0 {
					f.join(4)
				} else if h.dead {
					f.restart(4)
				}
				f.until(fmt.Sprintf("killed at write %d: it votes", deadly), func() bool { return f.votes(4) })
				f.same()
			}
		}
	}
}

// propose has the leader do something to an account.
func (f *fleet) propose(n int) {
	if l := f.leader(0); l != nil {
		_ = l.c.parts[0].propose(0, accounts(16)[n%16], lifeOf(n/16))
		l.step()
		f.deliver()
	}
}

// TestTicketUsedTwice: of two who have the same ticket one gets the slot, and its request counts for nothing once another has it.
func TestTicketUsedTwice(t *testing.T) {
	f := newFleet(t, 3, majority)
	var request []byte
	f.lost = func(from, to Slot) bool {
		if f.now.data[0] == peerJoin && from == 4 {
			request = f.now.data
		}
		return false
	}
	told := f.admin(Admin{Command: AdminInvite, Slot: 4})
	for n := range 2 {
		f.joinWith(4, told.Ticket)
		f.hosts[4].record = true
		f.pass(joinNoteMs + 1000)
		noted := slices.ContainsFunc(f.hosts[4].effects, func(e Effect) bool { _, ok := e.(Note); return ok })
		if noted != (n == 1) {
			t.Errorf("joiner %d: a note is there: %v", n, noted)
		}
		if joined := len(f.hosts[4].c.parts) > 0; joined != (n == 0) {
			t.Fatalf("joiner %d: %v", n, joined)
		}
	}
	f.join(4)
	f.until("who has a new ticket votes", func() bool { return f.votes(4) })
	f.lost = nil
	was := f.leader(0).c.slot(4).serial
	for range 5 {
		for s := Slot(1); s <= 3; s++ {
			f.hosts[s].step(Peer{FirstStranger, request})
		}
		f.pass(1000)
	}
	if f.leader(0).c.slot(4).serial != was {
		t.Error("an old request takes the slot")
	}
	f.same()
}

// TestStateBeforeInstall: what is stored of raft's state while a snapshot waits to be installed fits the log that is stored.
func TestStateBeforeInstall(t *testing.T) {
	f := newFleet(t, 1, nil)
	f.join(2)
	var p *partition
	f.until("a snapshot has come", func() bool {
		if c := f.hosts[2].c; len(c.parts) > 0 {
			p = c.parts[0]
		}
		return p != nil && p.install != nil
	})
	if p.hard.commit > p.lastIndex {
		t.Errorf("commit is %d, and the log ends at %d", p.hard.commit, p.lastIndex)
	}
	f.until("it votes", func() bool { return f.votes(2) })
}
