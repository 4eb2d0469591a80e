// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// TestFleet is three nodes of one fleet in this process.
func TestFleet(t *testing.T) {
	first := newWorld(t, nil)
	first.policy.Restart = wire.RestartTrustDisk
	first.config.Listen = "127.0.0.1:0"
	first.create()
	first.start()
	if err := Join(t.Context(), first.config, "hello"); !errors.Is(err, ErrNoTicket) {
		t.Errorf("no ticket: %v", err)
	}
	all := []*world{first}
	for slot := Slot(2); slot <= 3; slot++ {
		w := newWorld(t, nil)
		w.config.Listen = "127.0.0.1:0"
		all = append(all, w)
		var ticket string
		eventually(t, "the leader makes a ticket", func() bool {
			var err error
			ticket, err = first.vault.Invite(t.Context(), slot)
			if err != nil && !errors.Is(err, ErrRefused) {
				t.Fatal(err)
			}
			return err == nil
		})
		if err := Join(t.Context(), w.config, ticket); err != nil {
			t.Fatal(err)
		}
		w.start()
		eventually(t, "it votes", func() bool {
			s := w.vault.Status()
			return s.Slot == slot && len(s.Partitions) == 1 && slices.Contains(s.Partitions[0].Voters, slot) && s.Serving
		})
	}
	k := [32]byte{7}
	first.register("alice", "correct horse battery", &k)
	s := first.vault.Status()
	if len(s.Peers) != 3-1 || s.Fleet == "" || s.Restart != "trust-disk" || s.Founding || s.Address == "" || s.Certificate == "" {
		t.Errorf("status: %+v", s)
	}
	var leader *world
	eventually(t, "there is a leader", func() bool {
		n := slices.IndexFunc(all, func(w *world) bool { s := w.vault.Status(); return s.Leads() == 1 && w.vault.host.led() == 1 })
		if n >= 0 {
			leader = all[n]
		}
		return n >= 0
	})
	if err := leader.vault.Drain(t.Context()); err != nil {
		t.Errorf("drain: %v", err)
	}
	if err := first.vault.Remove(t.Context(), 9); !errors.Is(err, ErrRefused) {
		t.Errorf("a slot that nobody has: %v", err)
	}
	for _, w := range all {
		if err := w.halt(); err != nil {
			t.Error(err)
		}
	}
}

// eventually polls: what the cores agree on tells nobody here.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// TestDrainNeedsOthers: leadership is handed on only while the others can elect somebody.
func TestDrainNeedsOthers(t *testing.T) {
	for connected, want := range []bool{false, false, false, true, true} { // of four others
		var others []Peer
		for n := range 4 {
			others = append(others, Peer{Slot: Slot(n + 2), Connected: n < connected})
		}
		if suffice(others) != want {
			t.Errorf("%d of 4: %t", connected, !want)
		}
	}
}
