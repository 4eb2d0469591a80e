// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// The whole story over HTTP: a password, a lost phone, a new password, back to the key alone.
func TestPasswordStory(t *testing.T) {
	f := newFleet(t)
	w := newWorld(t)
	d := w.device()
	if _, err := d.LoggedIn(); !errors.Is(err, coffer.ErrNotLoggedIn) {
		t.Errorf("before the login: %v", err)
	}
	options := coffer.LoginOptions{URL: f.server.URL, Account: "alice", Role: "primary"}
	login, err := d.Login(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if !login.FirstSeen || login.Account != "alice" || login.Role != "primary" || login.Restart != "trust-disk" || login.Tier != "software" {
		t.Errorf("login: %+v", login)
	}
	if v := status(t, d); v.State != "none" || v.Mine || len(v.Registrations) != 0 {
		t.Errorf("before the password: %+v", v)
	}
	if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	set(t, d, first)
	backup(t, d, coffer.BackupOptions{})
	if v := status(t, d); v.State != "live" || !v.Mine || v.GuessesLeft != 3 || v.LockedUntil != nil || v.LastGuessAt != nil {
		t.Errorf("with a password: %+v", v)
	}

	// The phone is lost. The new one has the account and the password.
	phone := coffer.OpenDevice(filepath.Join(w.dir, "phone"), coffer.Options{})
	options.Fingerprint = strings.ToUpper(login.Fingerprint)
	if login, err = phone.Login(t.Context(), options); err != nil || login.FirstSeen {
		t.Fatalf("%+v, %v", login, err)
	}
	_, err = phone.RecoverKey(t.Context(), wrong, coffer.RecoverOptions{})
	wantWrong(t, err, 2)
	if v := status(t, phone); v.GuessesLeft != 2 || v.LastGuessAt == nil || v.Mine {
		t.Errorf("after a wrong password: %+v", v)
	}
	r, err := phone.RecoverKey(t.Context(), first, coffer.RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.GuessesLeft != 3 {
		t.Errorf("%d guesses after the right one", r.GuessesLeft)
	}
	a, err := phone.OpenAt(t.Context(), w.setup.Destination, coffer.ID{}, r.Key, false)
	if err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(w.dir, "restored")
	if _, err := a.Restore(t.Context(), archive.RestoreConfig{Snapshot: "latest", Dir: restored}); err != nil {
		t.Fatal(err)
	}
	if _, err := phone.Adopt(t.Context(), coffer.Setup{Source: restored, Destination: w.setup.Destination}, a.ID(), r.Key); err != nil {
		t.Fatal(err)
	}
	if v := status(t, phone); !v.Mine {
		t.Errorf("the registration is not the new phone's: %+v", v)
	}
	backup(t, phone, coffer.BackupOptions{})
	serial := status(t, phone).Serial

	// Reminders and the change of the password use no guess, and the old password stops at once.
	if err := phone.CheckPassword(first); err != nil {
		t.Errorf("the password that was right: %v", err)
	}
	if err := phone.CheckPassword(wrong); !errors.Is(err, coffer.ErrOtherPassword) {
		t.Errorf("another password: %v", err)
	}
	if _, err := phone.ChangePassword(t.Context(), wrong, second, coffer.PasswordOptions{}); !errors.Is(err, coffer.ErrOtherPassword) {
		t.Errorf("a change without the old password: %v", err)
	}
	done, err := phone.ChangePassword(t.Context(), first, second, coffer.PasswordOptions{})
	if err != nil || done.Replaced != 1 || done.PreviousKept != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if v := status(t, phone); v.Serial != serial || len(v.Registrations) != 1 || !v.Mine {
		t.Errorf("after the change: %+v", v)
	}
	alice := f.account("alice")
	_, _, err = alice.newPhone(t, first, coffer.RecoverOptions{})
	wantWrong(t, err, 2)
	if _, again, err := alice.newPhone(t, second, coffer.RecoverOptions{}); err != nil || again.Key != r.Key {
		t.Errorf("the new password brings another key, or %v", err)
	}

	// Back to the key.
	if retained, err := phone.RemovePassword(t.Context(), false); err != nil || retained != 0 {
		t.Errorf("%v, %v", retained, err)
	}
	if v := status(t, phone); v.State != "none" || v.Mine || v.HasPassword {
		t.Errorf("without a password: %+v", v)
	}
	if _, _, err = alice.newPhone(t, second, coffer.RecoverOptions{}); !errors.Is(err, recovery.ErrNoRegistration) {
		t.Errorf("recovery without a registration: %v", err)
	}
	if err := phone.CheckPassword(second); !errors.Is(err, coffer.ErrNoCheck) {
		t.Errorf("a check without a password: %v", err)
	}
	if err := phone.ChangeKey(t.Context(), coffer.NewKey()); err != nil {
		t.Errorf("a change of the key alone: %v", err)
	}
}

func TestWeakPasswords(t *testing.T) {
	for pass, want := range map[string]error{
		"short": coffer.ErrWeakPassword, "password1": coffer.ErrWeakPassword, "": recovery.ErrPassword, "tab\tinside it": recovery.ErrPassword,
		first: nil,
	} {
		if err := coffer.JudgePassword(pass); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", pass, err, want)
		}
	}
	if err := coffer.JudgePassword("margarethe2", "Margarethe"); !errors.Is(err, coffer.ErrWeakPassword) {
		t.Errorf("the user's own name: %v", err)
	}
	a := newFleet(t).account("alice")
	w := newWorld(t)
	d := a.device(t, w.state)
	if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.SetPassword(t.Context(), "12345678", coffer.PasswordOptions{}); !errors.Is(err, coffer.ErrWeakPassword) {
		t.Errorf("weak: %v", err)
	}
	if v := status(t, d); v.State != "none" {
		t.Errorf("a weak password was set: %+v", v)
	}
	if _, err := d.SetPassword(t.Context(), "12345678", coffer.PasswordOptions{AllowWeak: true}); err != nil {
		t.Errorf("weak, insisted: %v", err)
	}
}

// A device that does not keep the key keeps nothing that the password could be found with.
func TestCheckGoesWithKey(t *testing.T) {
	a := newFleet(t).account("alice")
	w, _, _ := withPassword(t, a)
	phone, r, err := a.newPhone(t, first, coffer.RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	remembers := func() bool {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(phone.Dir(), "vault.json"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), `"check": "`)
	}
	if remembers() {
		t.Error("before it keeps the key")
	}
	if _, err := phone.Adopt(t.Context(), w.setup, coffer.ID{}, r.Key); err != nil {
		t.Fatal(err)
	}
	if !remembers() || phone.CheckPassword(first) != nil {
		t.Error("the password cannot be checked")
	}
	// Recovered and adopted once more, by processes of which each does one of the two.
	open := func() *coffer.Device { return coffer.OpenDevice(phone.Dir(), coffer.Options{Tokens: a, Transport: a}) }
	if _, err := open().RecoverKey(t.Context(), first, coffer.RecoverOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := open().Adopt(t.Context(), w.setup, coffer.ID{}, r.Key); err != nil {
		t.Fatal(err)
	}
	if err := open().CheckPassword(first); err != nil {
		t.Errorf("after adopting once more: %v", err)
	}
}

// A destination that is put back is noticed by a phone that has nothing but the password.
func TestNewPhoneSeesRollback(t *testing.T) {
	a := newFleet(t).account("alice")
	w, d, _ := withPassword(t, a)
	old := filepath.Join(w.dir, "old")
	if err := os.CopyFS(old, os.DirFS(w.setup.Destination)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.setup.Source, "more"), "text")
	backup(t, d, coffer.BackupOptions{})

	phone, r, err := a.newPhone(t, first, coffer.RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Freshness) != 1 {
		t.Fatalf("freshness: %+v", r.Freshness)
	}
	if _, err := phone.OpenAt(t.Context(), w.setup.Destination, coffer.ID{}, r.Key, false); err != nil {
		t.Errorf("the newest state: %v", err)
	}
	if _, err := phone.OpenAt(t.Context(), old, coffer.ID{}, r.Key, false); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("an older state: %v", err)
	}
	if _, err := phone.OpenAt(t.Context(), old, coffer.ID{}, r.Key, true); err != nil {
		t.Errorf("an older state, accepted: %v", err)
	}
	setup := coffer.Setup{Source: w.setup.Source, Destination: old}
	if _, err := phone.Adopt(t.Context(), setup, coffer.ID{}, r.Key); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("an older state, adopted: %v", err)
	}
	setup.AcceptOlder = true
	if _, err := phone.Adopt(t.Context(), setup, coffer.ID{}, r.Key); err != nil {
		t.Errorf("an older state, adopted and accepted: %v", err)
	}
	// What it writes now is behind what the vault knows. The backup is good all the same, and says so.
	write(t, filepath.Join(w.setup.Source, "again"), "text")
	if report := backup(t, phone, coffer.BackupOptions{}); len(report.Notices) == 0 {
		t.Error("nobody is told that the vault knows a newer state")
	}
}

// Backups go on without the vault, and tell it later.
func TestBackupWithoutVault(t *testing.T) {
	a := newFleet(t).account("alice")
	w, d, _ := withPassword(t, a)
	a.gone(true)
	write(t, filepath.Join(w.setup.Source, "more"), "text")
	if report := backup(t, d, coffer.BackupOptions{}); len(report.Notices) != 1 {
		t.Errorf("notices: %q", report.Notices)
	}
	h, err := d.History()
	if err != nil {
		t.Fatal(err)
	}
	if last := h.Runs[len(h.Runs)-1]; last.Vault == "" || last.Outcome != coffer.OutcomeOK {
		t.Errorf("recorded: %+v", last)
	}
	if _, err := d.VaultStatus(t.Context()); coffer.CauseOf(err) != coffer.CauseVault {
		t.Errorf("status: %v", err)
	}
	if _, err := d.RecoverKey(t.Context(), first, coffer.RecoverOptions{}); coffer.CauseOf(err) != coffer.CauseVault || !strings.Contains(err.Error(), "No guess was used") {
		t.Errorf("recovery: %v", err)
	}
	a.gone(false)
	if report := backup(t, d, coffer.BackupOptions{}); !report.Unchanged || len(report.Notices) != 0 {
		t.Errorf("the next one: %+v", report)
	}
	archived, err := d.Open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, r, err := a.newPhone(t, first, coffer.RecoverOptions{}); err != nil || len(r.Freshness) != 1 || r.Freshness[0].Generation != archived.Head().Generation {
		t.Errorf("the vault knows %+v, %v", r, err)
	}
}

// Who sets up anew instead of restoring displaces nothing for good.
func TestPreviousStaysRecoverable(t *testing.T) {
	a := newFleet(t).account("alice")
	_, _, key := withPassword(t, a)
	w := newWorld(t)
	newcomer := a.device(t, w.state)
	if err := newcomer.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	if done := set(t, newcomer, second); done.Replaced != 0 || done.PreviousKept <= 0 {
		t.Errorf("%+v", done)
	}
	if _, r, err := a.newPhone(t, first, coffer.RecoverOptions{Previous: true}); err != nil || r.Key != key {
		t.Errorf("the previous key: %v", err)
	}
	// By the login alone the newcomer's cannot be ended at once either.
	other := a.device(t, filepath.Join(t.TempDir(), "other"))
	if retained, err := other.RemovePassword(t.Context(), true); err != nil || retained <= 0 {
		t.Errorf("%v, %v", retained, err)
	}
	if _, err := other.RemovePassword(t.Context(), false); !errors.Is(err, coffer.ErrNotEnabled) {
		t.Errorf("without a key: %v", err)
	}
}

func TestGuessesRunOut(t *testing.T) {
	a := newFleet(t).account("alice")
	withPassword(t, a)
	d := a.device(t, filepath.Join(t.TempDir(), "thief"))
	for left := uint8(3); left > 0; left-- {
		_, err := d.RecoverKey(t.Context(), wrong, coffer.RecoverOptions{})
		wantWrong(t, err, left-1)
		if cause := coffer.CauseOf(err); (cause == coffer.CauseDestroyed) != (left == 1) {
			t.Errorf("%d left: %s", left, cause)
		}
	}
	_, err := d.RecoverKey(t.Context(), first, coffer.RecoverOptions{})
	if coffer.CauseOf(err) != coffer.CauseDestroyed {
		t.Errorf("after the last: %v", err)
	}
	if v := status(t, d); v.State != "exhausted" || v.GuessesLeft != 0 {
		t.Errorf("%+v", v)
	}
}

// An answer that got lost costs no second guess, also when it was the last one.
func TestLostAnswer(t *testing.T) {
	a := newFleet(t, func(p *wire.Policy) { p.Budget = 1 }).account("alice")
	_, _, key := withPassword(t, a)
	d := a.device(t, filepath.Join(t.TempDir(), "phone"))
	calls := 0
	a.after = func(answer []byte) ([]byte, error) {
		if calls++; calls <= 2 {
			return answer, nil // which registration there is, and which serial is next
		}
		return nil, &recovery.Busy{RetryAfter: time.Hour}
	}
	_, err := d.RecoverKey(t.Context(), first, coffer.RecoverOptions{})
	if _, ok := errors.AsType[*recovery.MaybeCounted](err); !ok {
		t.Fatalf("an answer that got lost: %v", err)
	}
	a.after = nil
	if v := status(t, d); v.State != "exhausted" {
		t.Fatalf("before the repetition: %+v", v)
	}
	if _, err := d.RecoverKey(t.Context(), wrong, coffer.RecoverOptions{}); !errors.Is(err, recovery.ErrExhausted) {
		t.Fatalf("a slip of the finger: %v", err)
	}
	r, err := d.RecoverKey(t.Context(), first, coffer.RecoverOptions{})
	if err != nil || r.Key != key {
		t.Fatalf("the same guess again: %v", err)
	}
	if v := status(t, d); v.Serial != 1 {
		t.Errorf("%d guesses were counted", v.Serial)
	}
}

// A device finds out by itself that the vault keeps its key.
func TestOtherDeviceSetsPassword(t *testing.T) {
	a := newFleet(t).account("alice")
	w, d, key := withPassword(t, a)
	sibling := a.device(t, filepath.Join(w.dir, "sibling"))
	if _, err := sibling.Adopt(t.Context(), w.setup, coffer.ID{}, key); err != nil {
		t.Fatal(err)
	}
	if err := sibling.ChangeKey(t.Context(), coffer.NewKey()); !errors.Is(err, coffer.ErrHasPassword) {
		t.Errorf("a change of a key that another device put into the vault: %v", err)
	}
	set(t, sibling, second)
	write(t, filepath.Join(w.setup.Source, "more"), "text")
	if report := backup(t, d, coffer.BackupOptions{}); len(report.Notices) != 0 || !status(t, d).Mine {
		t.Errorf("the first device: %q", report.Notices)
	}
	// Set on the other device again, it is replaced all the same by the next key under a password.
	set(t, sibling, first)
	next := coffer.NewKey()
	if err := d.ChangeKeyWithPassword(t.Context(), next, second, coffer.PasswordOptions{}); err != nil {
		t.Fatal(err)
	}
	if v := status(t, d); len(v.Registrations) != 1 || !v.Mine {
		t.Errorf("a registration of the key before is left: %+v", v)
	}
	if _, r, err := a.newPhone(t, second, coffer.RecoverOptions{}); err != nil || r.Key != next {
		t.Errorf("the next key: %v", err)
	}
}

func TestCompanion(t *testing.T) {
	f := newFleet(t)
	primary := f.account("alice")
	withPassword(t, primary)
	companion := f.account("alice")
	companion.role = token.Companion
	w := newWorld(t)
	d := companion.device(t, w.state)
	if v := status(t, d); v.State != "live" || v.Role != "companion" {
		t.Errorf("%+v", v)
	}
	if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	_, setErr := d.SetPassword(t.Context(), second, coffer.PasswordOptions{})
	_, recoverErr := d.RecoverKey(t.Context(), first, coffer.RecoverOptions{})
	_, removeErr := d.RemovePassword(t.Context(), true)
	for _, err := range []error{setErr, recoverErr, removeErr} {
		if !errors.Is(err, recovery.ErrNotPrimary) || coffer.CauseOf(err) != coffer.CauseNotPrimary {
			t.Errorf("%v, want ErrNotPrimary", err)
		}
	}
	if v := status(t, d); v.Serial != 0 || len(v.Registrations) != 1 {
		t.Errorf("a companion changed something: %+v", v)
	}
}
