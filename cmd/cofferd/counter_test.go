// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/vault"
)

// What cores say of an old store: there is no key any more for the farewell in it, or for anything in it.
const (
	usedUp  = "was used already"
	keyGone = "the sealer has no such key"
)

// TestCounter: a fleet that was stopped in order goes on, once. Who puts old stores back, beside sealers that have gone on, as one that is no file
// does, finds a node that the majority has to admit, and with all of them a fleet that does not serve.
func TestCounter(t *testing.T) {
	t.Parallel()
	f := newNodes(t, "restart = \"counter\"\npartitions = 2")
	f.create()
	f.join(2)
	f.join(3)
	f.openGateway()
	alice, k := f.client("alice"), [32]byte{1, 2, 3}
	id, _, err := alice.Register(t.Context(), &k, "correct horse battery", recovery.RegisterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	guess := func(left uint8) {
		t.Helper()
		if _, err := alice.Recover(t.Context(), fmt.Sprint("wrong ", left), id); err == nil {
			t.Fatal("a wrong password was right")
		}
		if status := must(alice.Status(t.Context()))(t); status.Registrations[0].GuessesLeft != left {
			t.Fatalf("%d guesses are left, not %d", status.Registrations[0].GuessesLeft, left)
		}
	}
	guess(9)
	f.stopInOrder(1, 2, 3)
	old := t.TempDir()
	for slot := vault.Slot(1); slot <= 3; slot++ {
		copyTo(t, filepath.Join(old, fmt.Sprint(slot)), f.store(slot))
	}
	f.startAll(1, 2, 3)
	guess(8)

	f.stopInOrder(2)
	f.restore(2, old)
	f.start(2)
	f.awaitVote(2)
	if said := f.running[2].said(f.running[2].err); !strings.Contains(said, usedUp) {
		t.Errorf("a node with an old store votes, and says %s", said)
	}
	guess(7)

	f.stopInOrder(1, 2, 3)
	for slot := vault.Slot(1); slot <= 3; slot++ {
		f.restore(slot, old)
	}
	for slot := vault.Slot(1); slot <= 3; slot++ {
		f.start(slot)
	}
	for slot := vault.Slot(1); slot <= 3; slot++ {
		p := f.running[slot]
		until(t, "it says why it has no place", func() bool {
			said := p.said(p.err)
			return strings.Contains(said, usedUp) || strings.Contains(said, keyGone)
		})
	}
	for slot := vault.Slot(1); slot <= 3; slot++ {
		if s, ok := f.status(slot); ok && (s.Serving || s.Leads() > 0) {
			t.Errorf("node %d serves from an old store: %+v", slot, s)
		}
	}
}

func (f *nodes) store(slot vault.Slot) string {
	return filepath.Join(filepath.Dir(f.file(slot)), "store")
}

func (f *nodes) stopInOrder(slots ...vault.Slot) {
	f.t.Helper()
	for _, slot := range slots {
		f.running[slot].signal(f.t, syscall.SIGTERM)
		if code := f.running[slot].code(f.t); code != codeOK {
			f.t.Errorf("node %d: exit code %d", slot, code)
		}
	}
}

// startAll starts nodes and waits until they serve.
func (f *nodes) startAll(slots ...vault.Slot) {
	f.t.Helper()
	for _, slot := range slots {
		f.start(slot)
	}
	for _, slot := range slots {
		f.await(slot, "it serves again", func(s *operator.Status) bool { return s.Serving })
	}
	until(f.t, "the gateway is ready again", func() bool { return get(f.t, f.url+"/readyz") == 200 })
}

// restore puts an old store in the place of a node's.
func (f *nodes) restore(slot vault.Slot, old string) {
	f.t.Helper()
	if err := os.RemoveAll(f.store(slot)); err != nil {
		f.t.Fatal(err)
	}
	copyTo(f.t, f.store(slot), filepath.Join(old, fmt.Sprint(slot)))
}

func copyTo(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
