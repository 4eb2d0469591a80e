// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/proc"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/seal/sealtest/emulated"
	"github.com/coffer-backup/coffer/vault"
)

// TestFleetInHardware: a fleet whose keys are in two tokens and a TPM is killed, stopped and started. Whole folders that were kept from before, and one of a planned stop that is
// started before the original, gain nothing, and say why.
func TestFleetInHardware(t *testing.T) {
	t.Parallel()
	tokens, tpm := map[vault.Slot]*softHSM{1: newSoftHSM(t), 3: newSoftHSM(t)}, emulated.NewTPM(t).Socket
	f := newNodes(t, `restart = "counter"`)
	f.adapt = func(slot vault.Slot, file string) {
		if k := tokens[slot]; k != nil {
			pin := filepath.Join(filepath.Dir(file), "pin")
			if err := os.WriteFile(pin, []byte(emulated.PIN), 0o600); err != nil {
				t.Fatal(err)
			}
			k.settings(file, `pin_file = "pin"`)
		} else {
			addSettings(t, file, "seal = \"tpm2\"\n", fmt.Sprintf("\n[tpm2]\ndevice = %q\n", tpm))
		}
		addSettings(t, file, "epoch = \"1s\"\n", "")
	}
	f.use = func(slot vault.Slot) preparation {
		if k := tokens[slot]; k != nil {
			return k.Use
		}
		return nothing
	}
	f.create()
	f.join(2)
	f.join(3)
	f.openGateway()
	alice, k, left := f.client("alice"), [32]byte{1, 2, 3}, uint8(10)
	id, _, err := alice.Register(t.Context(), &k, "correct horse battery", recovery.RegisterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	guess := func() {
		t.Helper()
		left--
		if _, err := alice.Recover(t.Context(), fmt.Sprint("wrong ", left), id); err == nil {
			t.Fatal("a wrong password was right")
		}
		if status := must(alice.Status(t.Context()))(t); status.Registrations[0].GuessesLeft != left {
			t.Fatalf("%d guesses are left, not %d", status.Registrations[0].GuessesLeft, left)
		}
	}
	folder := func(slot vault.Slot) string { return filepath.Dir(f.file(slot)) }
	kept := map[vault.Slot]string{}
	keep := func() {
		for slot := vault.Slot(1); slot <= 3; slot++ {
			kept[slot] = filepath.Join(t.TempDir(), "node")
			copyPrivate(t, kept[slot], folder(slot))
		}
	}
	guess()
	before, _ := f.status(1)
	for _, pid := range proc.ChildrenOf(f.running[1].Process.Pid) { // a core
		syscall.Kill(pid, syscall.SIGKILL)
	}
	f.await(1, "its next core votes", func(s *operator.Status) bool { return votes(s) && s.Incarnation != before.Incarnation })
	f.running[2].Process.Kill() // a host
	<-f.running[2].ended
	f.start(2)
	f.awaitVote(2)
	guess()
	f.stopInOrder(1, 2, 3)
	keep()
	f.startAll(1, 2, 3)
	guess()

	// One whole node from before, beside the living majority, and in the place of the original.
	for slot := vault.Slot(2); slot <= 3; slot++ {
		if testing.Short() && slot == 2 {
			continue
		}
		f.stopInOrder(slot)
		current := filepath.Join(t.TempDir(), "node")
		if err := os.Rename(folder(slot), current); err != nil {
			t.Fatal(err)
		}
		copyPrivate(t, folder(slot), kept[slot])
		f.start(slot)
		old := f.running[slot]
		until(t, "the old copy says why it gains nothing", func() bool {
			said := old.said(old.err)
			return strings.Contains(said, usedUp) || strings.Contains(said, "cannot be opened any more") || strings.Contains(said, "older copy")
		})
		old.Process.Kill()
		<-old.ended
		if err := errors.Join(os.RemoveAll(folder(slot)), os.Rename(current, folder(slot))); err != nil {
			t.Fatal(err)
		}
		f.start(slot)
		f.awaitVote(slot)
		guess()
	}
	f.await(1, "what was destroyed is gone everywhere", func(s *operator.Status) bool { return len(s.Erasure.Stragglers()) == 0 && s.Sealer.For == 0 })
	f.stopInOrder(1, 2, 3)
}
