// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/recovery"
)

// jealous is an issuer that replaces the refresh token at every use, and takes a second use of an old one for theft.
type jealous struct {
	*fleet
	mu      sync.Mutex
	url     string
	uses    int
	current string
	stolen  bool
}

func (j *jealous) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	answer := map[string]any{"issuer": issuerName, "device_authorization_endpoint": j.url + "/device", "token_endpoint": j.url + "/token"}
	switch r.URL.Path {
	case "/device":
		answer = map[string]any{"device_code": "code", "user_code": "AB-CD", "verification_uri": j.url, "interval": 1, "expires_in": 60}
	case "/token":
		if r.FormValue("grant_type") == "refresh_token" && r.FormValue("refresh_token") != j.current {
			j.stolen = true
			w.WriteHeader(http.StatusBadRequest)
			answer = map[string]any{"error": "invalid_grant"}
			break
		}
		j.uses++
		j.current = fmt.Sprintf("refresh-token-%d", j.uses)
		token := j.issuer.Token("alice", 1, r.FormValue("resource"))
		answer = map[string]any{"access_token": token, "refresh_token": j.current, "expires_in": 1} // never worth keeping
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// Two processes of one device share a refresh token, and never use one twice.
func TestRefreshTokenIsUsedOnce(t *testing.T) {
	f := newFleet(t)
	j := &jealous{fleet: f}
	f.instead = j
	j.url = f.server.URL + "/issuer"
	w := newWorld(t)
	prompted := ""
	_, err := w.device().Login(t.Context(), coffer.LoginOptions{URL: f.server.URL, Prompt: func(_, code string) {
		prompted = code
		if err := w.device().Exclusive("backup", func() error { return nil }); err != nil {
			t.Errorf("while the user is asked: %v", err)
		}
	}})
	if err != nil || prompted != "AB-CD" {
		t.Fatalf("prompted %q, %v", prompted, err)
	}
	var all sync.WaitGroup
	for range 2 {
		d := w.device()
		all.Go(func() {
			for range 5 {
				if _, err := d.VaultStatus(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if j.stolen || j.uses < 20 {
		t.Errorf("stolen %v after %d uses", j.stolen, j.uses)
	}

	// The token lies nowhere in the clear, and is gone after the logout.
	if found := contains(t, w.state, "refresh-token-"); found != "" {
		t.Errorf("%s holds the refresh token", found)
	}
	d := w.device()
	if err := d.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.VaultStatus(t.Context()); !errors.Is(err, coffer.ErrNotLoggedIn) || coffer.CauseOf(err) != coffer.CauseLogin {
		t.Errorf("after the logout: %v", err)
	}
	if login, err := d.LoggedIn(); err != nil || !login.LoggedOut || login.Account != "alice" {
		t.Errorf("%+v, %v", login, err)
	}
	if err := d.Logout(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	// Another process whose login is gone says so, and does not repeat the request.
	j.stolen, j.current = false, "another"
	if _, err := w.device().Login(t.Context(), coffer.LoginOptions{URL: f.server.URL}); err != nil {
		t.Fatal(err)
	}
	j.current = "revoked"
	if _, err := w.device().VaultStatus(t.Context()); !errors.Is(err, recovery.ErrLogin) {
		t.Errorf("a login that was revoked: %v", err)
	}
}

// forgetful is a key store that fails when it is told to.
type forgetful struct {
	coffer.KeyStore
	fail atomic.Bool
}

func (k *forgetful) Load(name string) (coffer.Key, error) {
	if k.fail.Swap(false) {
		return coffer.Key{}, errors.New("the key store does not answer")
	}
	return k.KeyStore.Load(name)
}

// A refresh token that came and could not be saved is used on, and saved later: the one before is worthless.
func TestUnsavedRefreshToken(t *testing.T) {
	f := newFleet(t)
	j := &jealous{fleet: f, url: f.server.URL + "/issuer"}
	f.instead = j
	w := newWorld(t)
	keys := &forgetful{KeyStore: coffer.FileKeys(w.state)}
	d := coffer.OpenDevice(w.state, coffer.Options{Keys: keys})
	if _, err := d.Login(t.Context(), coffer.LoginOptions{URL: f.server.URL}); err != nil {
		t.Fatal(err)
	}
	f.instead = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j.ServeHTTP(w, r)
		j.mu.Lock()
		defer j.mu.Unlock()
		if r.URL.Path == "/token" && j.uses == 4 {
			keys.fail.Store(true) // in the next step, which saves what this request brought
		}
	})
	for range 3 {
		if _, err := d.VaultStatus(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := coffer.OpenDevice(w.state, coffer.Options{}).VaultStatus(t.Context()); err != nil {
		t.Errorf("in another process: %v", err)
	}
	if j.stolen || j.uses < 6 || keys.fail.Load() {
		t.Errorf("stolen %v after %d uses", j.stolen, j.uses)
	}
}

// contains returns the file below dir that holds a text.
func contains(t *testing.T, dir, text string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLoginPins(t *testing.T) {
	one, two := newFleet(t).account("alice"), newFleet(t).account("alice")
	w := newWorld(t)
	open := func(a *account) *coffer.Device { return a.offline(w) }
	if _, err := open(one).Login(t.Context(), coffer.LoginOptions{Fingerprint: strings.Repeat("0", 64)}); !errors.Is(err, recovery.ErrFleetChanged) {
		t.Errorf("another fingerprint than the user's: %v", err)
	}
	if _, err := open(one).LoggedIn(); !errors.Is(err, coffer.ErrNotLoggedIn) {
		t.Errorf("a refused login left something: %v", err)
	}
	d := one.device(t, w.state)
	if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	set(t, d, first)

	// Somebody in front of the vault shows another fleet.
	_, err := open(two).Login(t.Context(), coffer.LoginOptions{})
	if !errors.Is(err, recovery.ErrFleetChanged) || coffer.CauseOf(err) != coffer.CauseFleet {
		t.Errorf("another fleet: %v", err)
	}
	other, err := two.device(t, filepath.Join(w.dir, "other")).LoggedIn()
	if err != nil {
		t.Fatal(err)
	}
	said := coffer.LoginOptions{Fingerprint: other.Fingerprint}
	if _, err := open(two).Login(t.Context(), said); !errors.Is(err, coffer.ErrHasPassword) {
		t.Errorf("another fleet, on the user's word, while a password is set: %v", err)
	}
	said.Forget = true
	login, err := open(two).Login(t.Context(), said)
	if err != nil || login.Fleet != other.Fleet || login.HasPassword || login.FirstSeen {
		t.Errorf("%+v, %v", login, err)
	}
	if err := open(two).CheckPassword(first); !errors.Is(err, coffer.ErrNoCheck) {
		t.Errorf("the password of a fleet that was let go: %v", err)
	}

	// Logging in again keeps what is known.
	set(t, open(two), second)
	if err := open(two).Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := open(two).ChangeKey(t.Context(), coffer.NewKey()); !errors.Is(err, coffer.ErrHasPassword) {
		t.Errorf("a change of the key that the vault keeps: %v", err)
	}
	if login, err := open(two).Login(t.Context(), coffer.LoginOptions{}); err != nil || !login.HasPassword {
		t.Errorf("%+v, %v", login, err)
	}
	if err := open(two).CheckPassword(second); err != nil {
		t.Errorf("the password after logging in again: %v", err)
	}
	if err := open(two).Disable(); err != nil {
		t.Fatal(err)
	}
	if err := open(two).CheckPassword(second); !errors.Is(err, coffer.ErrNoCheck) {
		t.Errorf("the device was disabled and still tests passwords: %v", err)
	}
}
