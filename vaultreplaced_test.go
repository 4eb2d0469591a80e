// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// loseThird loses the third answer, which says that a registration is live, and all after it.
func (a *account) loseThird() {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := 0
	a.after = func(answer []byte) ([]byte, error) {
		if calls++; calls < 3 {
			return answer, nil
		}
		return nil, &recovery.Busy{RetryAfter: time.Hour}
	}
}

func (a *account) answerAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.after = nil
}

// displace lets another device of the account put another key in the place of the living one.
func (a *account) displace(t *testing.T, pass string) {
	t.Helper()
	w := newWorld(t)
	d := a.fleet.account(a.name).device(t, w.state)
	if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	set(t, d, pass)
}

// A password whose registration was live, and was displaced before this device knew, was set: the device remembers it, says
// what has happened, and nothing stays pending.
func TestReplacedWhilePending(t *testing.T) {
	a := newFleet(t).account("alice")
	w, d, key := withPassword(t, a)
	a.loseThird()
	if _, err := d.SetPassword(t.Context(), second, coffer.PasswordOptions{}); !errors.Is(err, recovery.ErrUnavailable) {
		t.Fatalf("an answer that got lost: %v", err)
	}
	a.answerAgain()
	a.displace(t, first)
	if v := status(t, d); !v.Unfinished {
		t.Fatalf("before the backup: %+v", v)
	}
	report := backup(t, a.offline(w), coffer.BackupOptions{})
	if len(report.Notices) != 1 || !strings.Contains(report.Notices[0], recovery.ErrReplaced.Error()) {
		t.Errorf("notices: %q", report.Notices)
	}
	if v := status(t, d); v.Unfinished || v.Mine {
		t.Errorf("after it: %+v", v)
	}
	if err := d.CheckPassword(second); err != nil {
		t.Errorf("the password that was set: %v", err)
	}
	if _, r, err := a.newPhone(t, second, coffer.RecoverOptions{Previous: true}); err != nil || r.Key != key {
		t.Errorf("the previous key: %v", err)
	}
	set(t, d, second)
	settledBeside(t, d)
}

// The same with a change of the key: it goes on, and what the vault keeps of the key before is deleted.
func TestKeyReplacedWhilePending(t *testing.T) {
	for name, finish := range map[string]func(*testing.T, *account, world, *coffer.Device){
		"by a backup": func(t *testing.T, a *account, w world, _ *coffer.Device) {
			told := false
			d := coffer.OpenDevice(w.state, coffer.Options{Tokens: a, Transport: a, OnKeyChanged: func() { told = true }})
			report := backup(t, d, coffer.BackupOptions{})
			if len(report.Notices) != 1 || !strings.Contains(report.Notices[0], recovery.ErrReplaced.Error()) || !told {
				t.Errorf("told %v, notices: %q", told, report.Notices)
			}
		},
		"by another password": func(t *testing.T, a *account, _ world, d *coffer.Device) { set(t, d, second) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newFleet(t).account("alice")
			w, d, key := withPassword(t, a)
			next := coffer.NewKey()
			a.loseThird()
			if err := d.ChangeKeyWithPassword(t.Context(), next, second, coffer.PasswordOptions{}); !errors.Is(err, recovery.ErrUnavailable) {
				t.Fatalf("an answer that got lost: %v", err)
			}
			a.answerAgain()
			a.displace(t, first)
			finish(t, a, w, d)
			if now, _, err := d.Key(t.Context()); err != nil || now != next {
				t.Errorf("the key is not changed, or %v", err)
			}
			w.opensWith(t, next)
			w.refuses(t, key)
			if v := status(t, d); v.Unfinished || len(v.Registrations) != 2 {
				t.Errorf("want the other device's and one of the next key: %+v", v)
			}
			if err := d.CheckPassword(second); err != nil {
				t.Errorf("the password: %v", err)
			}
		})
	}
}

// A registration that was destroyed before this device knew that it was live is not pending for ever either.
func TestDestroyedWhilePending(t *testing.T) {
	f := newFleet(t, func(p *wire.Policy) { p.ProvableMs = 0 })
	a := f.account("alice")
	_, d, _ := withPassword(t, a)
	a.loseThird()
	if _, err := d.SetPassword(t.Context(), second, coffer.PasswordOptions{}); !errors.Is(err, recovery.ErrUnavailable) {
		t.Fatalf("an answer that got lost: %v", err)
	}
	a.answerAgain()
	for range 3 {
		a.newPhone(t, wrong, coffer.RecoverOptions{})
	}
	if v := status(t, d); v.State != "destroyed" || !v.Unfinished {
		t.Fatalf("%+v", v)
	}
	set(t, d, second)
	settledBeside(t, d)
}

// settledBeside is settled where the account has other registrations, too.
func settledBeside(t *testing.T, d *coffer.Device) {
	t.Helper()
	if v := status(t, d); !v.Mine || v.Unfinished || v.State != "live" {
		t.Errorf("not settled: %+v", v)
	}
}
