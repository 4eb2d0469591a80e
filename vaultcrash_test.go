// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/wire"
)

// Where the vault takes part, its requests are steps, too. After every death a new phone must get the archive back
// with a password that the user was promised, before anybody mends anything.

// process is a device of an account whose process dies when the fuse blows.
func (a *account) process(t *testing.T, w world, f *fuse) *coffer.Device {
	t.Helper()
	mortal := &account{fleet: a.fleet, name: a.name, role: a.role, do: f.do}
	return coffer.OpenDevice(w.state, coffer.Options{
		Tokens: mortal, Transport: mortal,
		Keys: mortalKeys{coffer.FileKeys(w.state), f},
		OpenDestination: func(ctx context.Context, destination string, create bool) (blob.Store, error) {
			store, err := coffer.OpenDestination(ctx, destination, create)
			return mortalStore{store, f}, err
		},
	})
}

// opensAnywhere reports whether a new phone gets the archive back with a password, from the registration now or the previous one.
func (a *account) opensAnywhere(t *testing.T, w world, pass string) error {
	t.Helper()
	var errs error
	for _, previous := range []bool{false, true} {
		phone, r, err := a.newPhone(t, pass, coffer.RecoverOptions{Previous: previous})
		if err == nil {
			var opened *archive.Archive
			if opened, err = phone.OpenAt(t.Context(), w.setup.Destination, coffer.ID{}, r.Key, false); err == nil {
				opened.Close()
				return nil
			}
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

// settled is what must hold when everything is mended: there is one living registration, and it keeps the device's key.
func settled(t *testing.T, d *coffer.Device, passwords ...string) {
	t.Helper()
	v := status(t, d)
	usable := slices.DeleteFunc(v.Registrations, func(r coffer.RegistrationStatus) bool {
		return r.State == "pending" // of a dead process that had not saved its name; nobody can use it, and it expires
	})
	if !v.Mine || v.Unfinished || len(usable) != 1 || usable[0].State != "live" {
		t.Errorf("not settled: %+v", v)
	}
	if !slices.ContainsFunc(passwords, func(pass string) bool { return d.CheckPassword(pass) == nil }) {
		t.Error("the device remembers none of the passwords")
	}
}

// everyDeathOf is everyDeath for stories in which passwords are stretched, which takes its time.
func everyDeathOf(t *testing.T, run func(t *testing.T, f *fuse) (alive bool)) {
	everyDeath(t, func(t *testing.T, f *fuse) bool {
		if testing.Short() && f.step%4 != 3 {
			return false
		}
		return run(t, f)
	})
}

func TestSetPasswordKilled(t *testing.T) {
	f := newFleet(t, func(p *wire.Policy) { p.Budget = 100 })
	everyDeathOf(t, func(t *testing.T, fuse *fuse) bool {
		a := f.account(fmt.Sprintf("alice %d %v", fuse.step, fuse.after))
		w, _, _ := withPassword(t, a)
		alive := survives(func() {
			if _, err := a.process(t, w, fuse).ChangePassword(t.Context(), first, second, coffer.PasswordOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		firstErr, secondErr := a.opensAnywhere(t, w, first), a.opensAnywhere(t, w, second)
		if (firstErr == nil) == (secondErr == nil) {
			t.Errorf("not exactly one password works: %v; %v", firstErr, secondErr)
		}
		told := false
		d := coffer.OpenDevice(w.state, coffer.Options{Tokens: a, Transport: a, OnPasswordSet: func() { told = true }})
		unfinished := status(t, d).Unfinished
		if report := backup(t, d, coffer.BackupOptions{}); len(report.Notices) > 0 {
			t.Errorf("notices: %q", report.Notices)
		}
		if told != unfinished {
			t.Errorf("told %v, unfinished %v", told, unfinished)
		}
		settled(t, d, first, second)
		pass := first
		if d.CheckPassword(second) == nil {
			pass = second
		}
		if secondErr == nil && pass == first {
			t.Error("the device takes a password for right that has stopped working")
		}
		if err := a.opensAnywhere(t, w, pass); err != nil {
			t.Errorf("the password that the device remembers: %v", err)
		}
		return alive
	})
}

func TestChangeKeyWithPasswordKilled(t *testing.T) {
	f := newFleet(t, func(p *wire.Policy) { p.Budget = 100 })
	everyDeathOf(t, func(t *testing.T, fuse *fuse) bool {
		a := f.account(fmt.Sprintf("alice %d %v", fuse.step, fuse.after))
		w, _, key := withPassword(t, a)
		next := coffer.NewKey()
		alive := survives(func() {
			if err := a.process(t, w, fuse).ChangeKeyWithPassword(t.Context(), next, first, coffer.PasswordOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		if err := a.opensAnywhere(t, w, first); err != nil {
			t.Errorf("the device is lost now, and the password does not bring the archive back: %v", err)
		}
		// Without the vault the backup goes on under whichever key the archive has.
		a.gone(true)
		backup(t, a.offline(w), coffer.BackupOptions{})
		a.gone(false)

		d := a.offline(w)
		backup(t, d, coffer.BackupOptions{}) // may notice that the change was given up
		if report := backup(t, d, coffer.BackupOptions{}); len(report.Notices) > 0 {
			t.Errorf("notices: %q", report.Notices)
		}
		now, _, err := d.Key(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch now {
		case next:
			w.refuses(t, key)
		case key:
			if alive {
				t.Error("the key was not changed")
			}
		default:
			t.Error("a key from nowhere")
		}
		settled(t, d, first)
		w.opensWith(t, now)
		if left, _ := filepath.Glob(filepath.Join(w.state, "*-next.key")); len(left) > 0 {
			t.Errorf("a change of the key is left over: %v", left)
		}
		return alive
	})
}

// offline is a device that has logged in before.
func (a *account) offline(w world) *coffer.Device {
	return coffer.OpenDevice(w.state, coffer.Options{Tokens: a, Transport: a})
}

// A registration that the vault forgot before it could be made live changes nothing.
func TestNotTaken(t *testing.T) {
	f := newFleet(t, func(p *wire.Policy) { p.PendingMs = 0 })
	a := f.account("alice")
	w := newWorld(t)
	d, key := a.device(t, w.state), coffer.NewKey()
	if err := d.Enable(t.Context(), w.setup, key); err != nil {
		t.Fatal(err)
	}
	if _, err := d.SetPassword(t.Context(), first, coffer.PasswordOptions{}); !errors.Is(err, coffer.ErrNotTaken) {
		t.Errorf("a password: %v", err)
	}
	if err := d.ChangeKeyWithPassword(t.Context(), coffer.NewKey(), first, coffer.PasswordOptions{}); !errors.Is(err, coffer.ErrNotTaken) {
		t.Errorf("a key: %v", err)
	}
	if now, _, err := d.Key(t.Context()); err != nil || now != key {
		t.Errorf("the key has changed, or %v", err)
	}
	if v := status(t, d); v.Unfinished || v.Mine {
		t.Errorf("%+v", v)
	}
	w.opensWith(t, key)
	backup(t, d, coffer.BackupOptions{})
}
