// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/wire"
)

// rolledBack is a password device whose two destinations hold generation 2, and old, which holds generation 1.
func rolledBack(t *testing.T, a *account) (w world, key coffer.Key, old string) {
	t.Helper()
	w, d, key := withPassword(t, a)
	if _, err := d.AddDestination(t.Context(), w.second()); err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
	old = filepath.Join(w.dir, "old")
	copyDir(t, w.setup.Destination, old)
	w.next(t, "two")
	backup(t, d, coffer.BackupOptions{})
	return w, key, old
}

// TestNewPhoneWithSeveralDestinations: a destination that is older than the vault knows is refused alone, with both generations named, and merely behind beside
// one that has the newest state.
func TestNewPhoneWithSeveralDestinations(t *testing.T) {
	a := newFleet(t).account("alice")
	w, key, old := rolledBack(t, a)
	phone, _, err := a.newPhone(t, first, coffer.RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	setup := coffer.Setup{Source: w.setup.Source, Destination: old}
	_, err = phone.Adopt(t.Context(), setup, coffer.ID{}, key)
	if !errors.Is(err, archive.ErrRolledBack) || !strings.Contains(err.Error(), "shows generation 1") || !strings.Contains(err.Error(), "knows generation 2") {
		t.Errorf("alone: %v", err)
	}
	setup.Also = []string{w.second(), filepath.Join(w.dir, "new")}
	head, err := phone.Adopt(t.Context(), setup, coffer.ID{}, key)
	if err != nil || head.Generation != 2 {
		t.Fatalf("beside the newest: %+v, %v", head, err)
	}
	for name, state := range survey(t, phone) {
		if want := map[string]coffer.State{"old": coffer.StateBehind, "new": coffer.StateBehind, "second": coffer.StateNewest}[name]; state.State != want {
			t.Errorf("%s: %+v", name, state)
		}
	}
	w.next(t, "three")
	backup(t, phone, coffer.BackupOptions{})
	for _, place := range []string{old, w.second(), filepath.Join(w.dir, "new")} {
		holds(t, place, key, 3, "two", "three")
	}
}

// TestDigitsSeeRollback: whoever has the account and types the digits, and no password, sees it, too. A vault that does not answer is named.
func TestDigitsSeeRollback(t *testing.T) {
	a := newFleet(t).account("alice")
	w, key, old := rolledBack(t, a)
	phone := a.device(t, filepath.Join(w.dir, "phone"))
	if _, err := phone.OpenAt(t.Context(), old, coffer.ID{}, key, false); !errors.Is(err, archive.ErrRolledBack) || !strings.Contains(err.Error(), "knows generation 2") {
		t.Errorf("an older state: %v", err)
	}
	if _, err := phone.Adopt(t.Context(), coffer.Setup{Source: w.setup.Source, Destination: old}, coffer.ID{}, key); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("an older state, adopted: %v", err)
	}
	newest, err := phone.OpenAt(t.Context(), w.second(), coffer.ID{}, key, false)
	if err != nil {
		t.Fatal(err)
	}
	newest.Close()
	a.gone(true)
	unproven, err := phone.OpenAt(t.Context(), old, coffer.ID{}, key, false)
	if err != nil {
		t.Fatal(err)
	}
	defer unproven.Close()
	if !slices.ContainsFunc(unproven.Notices(), func(n string) bool { return strings.Contains(n, "the vault could not be asked") }) {
		t.Errorf("notices: %q", unproven.Notices())
	}
}

// TestDigitsAloneSeeRollback: an account that never had a password keeps the newest state all the same, for whoever has the key.
func TestDigitsAloneSeeRollback(t *testing.T) {
	a := newFleet(t).account("alice")
	w := newWorld(t)
	d := a.device(t, w.state)
	key := coffer.NewKey()
	if err := d.Enable(t.Context(), w.setup, key); err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
	old := filepath.Join(w.dir, "old")
	copyDir(t, w.setup.Destination, old)
	w.next(t, "two")
	backup(t, d, coffer.BackupOptions{})

	phone := a.device(t, filepath.Join(w.dir, "phone"))
	_, err := phone.OpenAt(t.Context(), old, coffer.ID{}, key, false)
	if !errors.Is(err, archive.ErrRolledBack) || !strings.Contains(err.Error(), "shows generation 1") {
		t.Errorf("an older state: %v", err)
	}
	if _, err := phone.Adopt(t.Context(), coffer.Setup{Source: w.setup.Source, Destination: old}, coffer.ID{}, key); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("an older state, adopted: %v", err)
	}
	newest, err := phone.OpenAt(t.Context(), w.setup.Destination, coffer.ID{}, key, false)
	if err != nil {
		t.Fatal(err)
	}
	newest.Close()

	other := a.device(t, filepath.Join(w.dir, "other")) // a password later: the registration takes over what was told
	accepted, err := other.OpenAt(t.Context(), old, coffer.ID{}, key, true)
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	set(t, d, first)
	if _, err := other.OpenAt(t.Context(), old, coffer.ID{}, key, false); !errors.Is(err, archive.ErrRolledBack) || !strings.Contains(err.Error(), "knows generation 2") {
		t.Errorf("an older state beside a registration: %v", err)
	}
}

// TestKeysWithoutPassword: the vault's few places do not fill up with keys that were replaced, and a companion is not told what only others may do.
func TestKeysWithoutPassword(t *testing.T) {
	f := newFleet(t)
	for _, role := range []token.Role{token.Primary, token.Companion} {
		a := f.account("alice-" + string(role))
		a.role = role
		w := newWorld(t)
		d := a.device(t, w.state)
		if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
			t.Fatal(err)
		}
		for i := range wire.MaxFreshness + 2 {
			w.next(t, string(rune('a'+i)))
			backup(t, d, coffer.BackupOptions{})
			if h, err := d.History(); err != nil || h.Runs[len(h.Runs)-1].Vault != "" {
				t.Fatalf("%s, key %d: %q, %v", role, i+1, h.Runs[len(h.Runs)-1].Vault, err)
			}
			if err := d.ChangeKey(t.Context(), coffer.NewKey()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestToldBesideARegistration: a device that knows of no registration tells at the one that another device has made since.
func TestToldBesideARegistration(t *testing.T) {
	a := newFleet(t).account("alice")
	w, key := newWorld(t), coffer.NewKey()
	d := a.device(t, w.state)
	if err := d.Enable(t.Context(), w.setup, key); err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
	second := a.device(t, filepath.Join(w.dir, "second"))
	if _, err := second.Adopt(t.Context(), w.setup, coffer.ID{}, key); err != nil {
		t.Fatal(err)
	}
	set(t, d, first)
	w.next(t, "two")
	backup(t, d, coffer.BackupOptions{})
	old := filepath.Join(w.dir, "old")
	copyDir(t, w.setup.Destination, old)
	w.next(t, "three")
	backup(t, second, coffer.BackupOptions{})
	phone := a.device(t, filepath.Join(w.dir, "phone"))
	if _, err := phone.OpenAt(t.Context(), old, coffer.ID{}, key, false); !errors.Is(err, archive.ErrRolledBack) || !strings.Contains(err.Error(), "knows generation 3") {
		t.Errorf("an older state: %v", err)
	}
}
