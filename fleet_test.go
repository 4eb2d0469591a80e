// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/internal/gateway"
	"github.com/coffer-backup/coffer/internal/issuer"
	"github.com/coffer-backup/coffer/internal/token"
	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/vault"
	"github.com/coffer-backup/coffer/wire"
)

const (
	issuerName = "https://issuer.example"
	first      = "seven blue herons wade"
	second     = "a lantern under oak roots"
	wrong      = "nine grey herons sleep"
)

// fleet is a real vault behind a real gateway, with an issuer that lets everybody in.
type fleet struct {
	vault   *vault.Vault
	issuer  *issuer.Issuer
	server  *httptest.Server
	instead http.Handler // of the issuer

	wellKnown http.HandlerFunc // instead of the right answer
}

// newFleet starts a fleet that the test's end stops.
func newFleet(t *testing.T, change ...func(*wire.Policy)) *fleet {
	t.Helper()
	f := new(fleet)
	var err error
	if f.issuer, err = issuer.Open(filepath.Join(t.TempDir(), "issuer"), issuerName); err != nil {
		t.Fatal(err)
	}
	policy := wire.DefaultPolicy()
	policy.Restart, policy.CooldownMs, policy.Budget = wire.RestartTrustDisk, 0, 3
	policy.Issuer, policy.CoreAudience, policy.GatewayAudience = issuerName, "core", "gateway"
	for _, k := range f.issuer.Keys() {
		policy.TokenKeys = append(policy.TokenKeys, wire.TokenKey{ID: k.ID, Algorithm: wire.EdDSA, Public: k.Public})
	}
	for _, c := range change {
		c(&policy)
	}
	config := vault.Config{Dir: filepath.Join(t.TempDir(), "vault")}
	if err := vault.Create(t.Context(), config, &policy); err != nil {
		t.Fatal(err)
	}
	if f.vault, err = vault.Open(config); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.vault.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("vault: %v", err)
		}
	})
	if err := f.vault.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.serve(t)
	return f
}

func (f *fleet) serve(t *testing.T) {
	t.Helper()
	verifier, err := token.NewVerifier(issuerName, "gateway", f.issuer.Keys())
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{
		Backend: f.vault, Verify: verifier.Verify, Logger: slog.New(slog.DiscardHandler),
		Limits: gateway.Limits{PerAccountPerMinute: -1, PerAddressPerMinute: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", g.Handler())
	f.instead = f.issuer.Handler()
	mux.Handle("/issuer/", http.StripPrefix("/issuer", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.instead.ServeHTTP(w, r) })))
	mux.HandleFunc("/.well-known/coffer", func(w http.ResponseWriter, r *http.Request) {
		if f.wellKnown != nil {
			f.wellKnown(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer_url": f.server.URL + "/issuer"})
	})
	f.server = httptest.NewServer(mux)
	t.Cleanup(f.server.Close)
}

// account is one account of a fleet as an app's own tokens and transport reach it. It never waits for a vault that is gone.
type account struct {
	*fleet
	name string
	role token.Role

	mu     sync.Mutex
	before func() error                        // of each call; nil: it goes through
	after  func(answer []byte) ([]byte, error) // of each call
	do     func(call func() error) (err error) // instead of calling; nil: call
}

func (f *fleet) account(name string) *account {
	return &account{fleet: f, name: name, role: token.Primary}
}

// Token implements recovery.TokenSource.
func (a *account) Token(_ context.Context, audience string) (string, error) {
	return a.issuer.Token(a.name, a.role, audience), nil
}

// Call implements recovery.Transport.
func (a *account) Call(ctx context.Context, envelope []byte) (answer []byte, err error) {
	a.mu.Lock()
	before, after, do := a.before, a.after, a.do
	a.mu.Unlock()
	if before != nil {
		if err := before(); err != nil {
			return nil, err
		}
	}
	call := func() error {
		answer, err = a.vault.Handle(ctx, envelope)
		return err
	}
	if do != nil {
		err = do(call)
	} else {
		err = call()
	}
	if err == nil && after != nil {
		return after(answer)
	}
	return answer, err
}

// Descriptor implements recovery.Transport.
func (a *account) Descriptor(ctx context.Context) ([]byte, error) { return a.vault.Descriptor(ctx) }

// gone makes the vault unreachable, or reachable again.
func (a *account) gone(gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = nil
	if gone {
		// Told to wait for so long, a client gives up at once.
		a.before = func() error { return &recovery.Busy{RetryAfter: time.Hour} }
	}
}

// device is a device in a state directory that uses the account and is logged in.
func (a *account) device(t *testing.T, state string) *coffer.Device {
	t.Helper()
	d := coffer.OpenDevice(state, coffer.Options{Tokens: a, Transport: a})
	if _, err := d.Login(t.Context(), coffer.LoginOptions{}); err != nil {
		t.Fatal(err)
	}
	return d
}

// withPassword is a device that is set up and has a password, with one backup.
func withPassword(t *testing.T, a *account) (world, *coffer.Device, coffer.Key) {
	t.Helper()
	w, key := newWorld(t), coffer.NewKey()
	d := a.device(t, w.state)
	if err := d.Enable(t.Context(), w.setup, key); err != nil {
		t.Fatal(err)
	}
	set(t, d, first)
	backup(t, d, coffer.BackupOptions{})
	return w, d, key
}

func set(t *testing.T, d *coffer.Device, pass string) coffer.PasswordSet {
	t.Helper()
	done, err := d.SetPassword(t.Context(), pass, coffer.PasswordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// newPhone gets a key back on a device that has nothing but the login and the password.
func (a *account) newPhone(t *testing.T, pass string, o coffer.RecoverOptions) (*coffer.Device, *coffer.Recovery, error) {
	t.Helper()
	d := a.device(t, filepath.Join(t.TempDir(), "phone"))
	r, err := d.RecoverKey(t.Context(), pass, o)
	return d, r, err
}

func status(t *testing.T, d *coffer.Device) coffer.VaultStatus {
	t.Helper()
	v, err := d.VaultStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantWrong(t *testing.T, err error, left uint8) {
	t.Helper()
	if e, ok := errors.AsType[*recovery.WrongPassword](err); !ok || e.GuessesLeft != left {
		t.Errorf("%v, want a wrong password and %d guesses left", err, left)
	}
}
