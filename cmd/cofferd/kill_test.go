// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// acknowledged is what the vault has answered for an account.
type acknowledged struct {
	registered  bool
	serial      wire.Serial
	guessesLeft uint8
}

// TestKill kills the vault under load and starts it again at once: what was answered holds.
func TestKill(t *testing.T) {
	eachCore(t, func(t *testing.T, core string) {
		const enough = 60 // answers before the kill
		dir := t.TempDir()
		d := startDev(t, dir, "--core", core, "--no-limits", "--cooldown", "0s", "--budget", "20")
		l := loadOn(t, d, 200, 8)
		said := make([]acknowledged, l.Accounts)
		var answers atomic.Int64
		ctx, giveUp := context.WithCancel(t.Context()) // or a login would wait for the issuer to come back
		defer giveUp()
		var workers sync.WaitGroup
		for _, w := range l.workers {
			workers.Go(func() {
				for n := w.number; n < l.Accounts && w.hurt(ctx, n, &said[n], &answers) == nil; n += l.Workers {
				}
			})
		}
		until(t, "there is load", func() bool { return answers.Load() >= enough })
		d.signal(t, syscall.SIGKILL)
		d.code(t)

		d = startDev(t, dir, "--core", core, "--no-limits")
		giveUp()
		workers.Wait()
		again := loadOn(t, d, l.Accounts, 1)
		again.run, again.accounts = l.run, l.accounts
		proved := false
		for n, promise := range said {
			if promise.registered {
				check(t, again, n, promise, !proved)
				proved = true
			}
		}
		t.Logf("%d answers before the kill", answers.Load())
	})
}

// loadOn makes accounts and workers for tests to drive. The first login of each account is lazy.
func loadOn(t *testing.T, d *dev, accounts, workers int) *load {
	t.Helper()
	target := must(newTarget(t.Context(), d.url))(t)
	return must(newLoad(&loadCmd{URL: d.url, Accounts: accounts, Workers: workers, Duration: time.Second}, target))(t)
}

// hurt registers an account and guesses without proof, until the vault is gone. What was answered is in said.
func (w *worker) hurt(ctx context.Context, n int, said *acknowledged, answers *atomic.Int64) error {
	if err := w.take(ctx, n); err != nil {
		return err
	}
	if err := w.registerForReal(ctx); err != nil {
		return err
	}
	said.registered, said.guessesLeft = true, 20
	answers.Add(1)
	for serial := wire.Serial(1); serial <= 3; serial++ {
		started, err := ask[*wire.RecoverStarted](ctx, w, &wire.RecoverStart{Registration: w.registration, Serial: serial, KE1: w.device.ke1})
		if err != nil {
			return err
		}
		said.serial, said.guessesLeft = serial, started.GuessesLeft
		answers.Add(1)
	}
	return nil
}

// check compares an account with what was answered. One guess more may have been counted: the one whose answer was lost.
func check(t *testing.T, l *load, n int, promise acknowledged, prove bool) {
	t.Helper()
	w := l.workers[0]
	w.load.accounts[n].tokens = nil // they ask the issuer where it was
	if err := w.take(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	status := must(ask[*wire.StatusAnswer](t.Context(), w, &wire.Status{}))(t)
	if len(status.Registrations) != 1 || status.Registrations[0].ID != w.registration || status.Registrations[0].State != wire.StateLive {
		t.Fatalf("account %d: the registration is lost: %+v", n, status.Registrations)
	}
	left := status.Registrations[0].GuessesLeft
	counted := status.Serial == promise.serial && left == promise.guessesLeft
	oneMore := status.Serial == promise.serial+1 && left == promise.guessesLeft-1
	if !counted && !oneMore {
		t.Errorf("account %d: serial %d with %d guesses left, promised was %+v", n, status.Serial, left, promise)
	}
	if !prove {
		return
	}
	w.serial = status.Serial
	// The device that registered is another worker's, with another K but the same password.
	if err := w.recover(t.Context()); err != nil {
		t.Errorf("account %d: recovery: %v", n, err)
	}
}
