// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/vault"
)

// TestFleet is an operator's life with a fleet, under each restart policy, while clients ask all the time: none may notice.
func TestFleet(t *testing.T) {
	for _, restart := range []string{"trust-disk", "counter", "majority"} {
		if testing.Short() && restart != "majority" {
			continue
		}
		t.Run(restart, func(t *testing.T) {
			t.Parallel()
			f := newNodes(t, fmt.Sprintf("restart = %q\npartitions = 3", restart))
			f.create()
			if s, _ := f.status(1); s.Founding != (restart != "trust-disk") || s.Serving == s.Founding {
				t.Errorf("alone: founding %t, serving %t", s.Founding, s.Serving)
			}
			f.join(2)
			f.join(3)
			f.members(1, 2, 3)
			f.await(1, "it serves", func(s *operator.Status) bool { return s.Serving && !s.Founding && s.Restart == restart })
			f.openGateway()
			const password = "correct horse battery staple"
			alice, k := f.client("alice"), [32]byte{1, 2, 3}
			id, _, err := alice.Register(t.Context(), &k, password, recovery.RegisterOptions{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = alice.Recover(t.Context(), "another password", id)
			if wrong, ok := errors.AsType[*recovery.WrongPassword](err); !ok || wrong.GuessesLeft != 9 {
				t.Fatalf("a wrong password: %v", err)
			}
			end := f.askAllTheTime()
			f.moveLeadership()
			f.rollRestart(restart == "counter")
			f.replaceDead()
			f.grow()
			end()
			if restart != "majority" {
				f.stopAll()
			}
			if status := must(alice.Status(t.Context()))(t); status.Registrations[0].GuessesLeft != 9 {
				t.Errorf("in the end %d guesses are left", status.Registrations[0].GuessesLeft)
			}
			if r, err := alice.Recover(t.Context(), password, id); err != nil || r.K != k {
				t.Errorf("the right password: %v", err)
			}
		})
	}
}

// askAllTheTime has devices of several accounts, so of all partitions, ask until the function is called. Each must be answered.
func (f *nodes) askAllTheTime() (end func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	var all sync.WaitGroup
	for n := range 6 {
		c := f.client(fmt.Sprint("asks-", n))
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Status(ctx); err != nil && ctx.Err() == nil {
					f.t.Errorf("a client noticed: %v", err)
					return
				}
			}
		})
	}
	f.t.Cleanup(cancel)
	return func() { cancel(); all.Wait() }
}

// moveLeadership hands one partition to a certain node, and then has that node hand all it has away.
func (f *nodes) moveLeadership() {
	f.t.Helper()
	from := f.leader(0)
	to := from%3 + 1
	f.do(from, "transfer", "--partition", "0", "--to", fmt.Sprint(to), "--yes")
	f.await(to, "it leads partition 0", func(s *operator.Status) bool { return s.Partitions[0].Role == vault.RoleLeader })
	if out := f.do(to, "status"); !strings.Contains(out, "leader") || !strings.Contains(out, "1,2,3") {
		f.t.Errorf("status says %s", out)
	}
	f.do(to, "drain")
	f.await(to, "it leads nothing", func(s *operator.Status) bool { return s.Leads() == 0 })
}

// rollRestart stops and starts one node after the other. After a planned stop a core may be the same incarnation as before.
func (f *nodes) rollRestart(same bool) {
	f.t.Helper()
	for slot := range vault.Slot(3) {
		slot++
		before, _ := f.status(slot)
		f.running[slot].signal(f.t, syscall.SIGTERM)
		if code := f.running[slot].code(f.t); code != codeOK {
			f.t.Errorf("node %d: exit code %d", slot, code)
		}
		f.start(slot)
		f.awaitVote(slot)
		if after, _ := f.status(slot); (after.Incarnation == before.Incarnation) != same || after.Address != before.Address {
			f.t.Errorf("node %d was %s at %s, and is %s at %s", slot, before.Incarnation, before.Address, after.Incarnation, after.Address)
		}
		f.members(1, 2, 3)
	}
}

// replaceDead kills a machine for good and puts a new one in its place.
func (f *nodes) replaceDead() {
	f.t.Helper()
	dead := f.leader(0)
	f.running[dead].signal(f.t, syscall.SIGKILL)
	f.running[dead].code(f.t)
	delete(f.running, dead)
	f.join(dead)
	f.members(1, 2, 3)
}

// grow adds a node, and removes another.
func (f *nodes) grow() {
	f.t.Helper()
	used := f.join(4)
	f.members(1, 2, 3, 4)
	f.prepare(5)
	if code, _, said := cofferd(f.t, "vault", "join", "--config", f.file(5), "--ticket", used, "--timeout", "2s"); code != codeFailed || !strings.Contains(said, "was used already") {
		f.t.Errorf("a ticket that was used: exit code %d: %s", code, said)
	}
	gone := f.leader(0)%3 + 1 // it leads no more than others
	f.atLeader(0, "remove", "--slot", fmt.Sprint(gone), "--yes")
	f.running[gone].signal(f.t, syscall.SIGKILL)
	f.running[gone].code(f.t)
	delete(f.running, gone)
	var left []vault.Slot
	for slot := range vault.Slot(4) {
		if slot+1 != gone {
			left = append(left, slot+1)
		}
	}
	f.members(left...)
}

// stopAll stops every node in order, and starts all of them again.
func (f *nodes) stopAll() {
	f.t.Helper()
	for slot, p := range f.running {
		p.signal(f.t, syscall.SIGTERM)
		if code := p.code(f.t); code != codeOK {
			f.t.Errorf("node %d: exit code %d", slot, code)
		}
	}
	for slot := range f.running {
		f.start(slot)
	}
	for slot := range f.running {
		f.await(slot, "it serves again", func(s *operator.Status) bool { return s.Serving })
	}
	until(f.t, "the gateway is ready again", func() bool { return get(f.t, f.url+"/readyz") == 200 })
}
