// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

func TestChoose(t *testing.T) {
	of := func(state wire.State, created wire.UnixMs) wire.RegistrationStatus {
		return wire.RegistrationStatus{ID: wire.RegistrationID{byte(state), byte(created)}, State: state, CreatedAt: created}
	}
	live, pending, exhausted, destroyed := of(wire.StateLive, 5), of(wire.StatePending, 9), of(wire.StateExhausted, 4), of(wire.StateDestroyed, 3)
	older, newer := of(wire.StateRetained, 1), of(wire.StateRetained, 2)
	for name, test := range map[string]struct {
		list     []wire.RegistrationStatus
		previous bool
		want     wire.RegistrationStatus
		err      error
	}{
		"live":                       {[]wire.RegistrationStatus{older, pending, live, newer, destroyed}, false, live, nil},
		"previous":                   {[]wire.RegistrationStatus{older, live, newer}, true, newer, nil},
		"none":                       {nil, false, wire.RegistrationStatus{}, ErrNoRegistration},
		"pending only":               {[]wire.RegistrationStatus{pending}, false, wire.RegistrationStatus{}, ErrNoRegistration},
		"retained only":              {[]wire.RegistrationStatus{older}, false, wire.RegistrationStatus{}, ErrNoRegistration},
		"exhausted":                  {[]wire.RegistrationStatus{destroyed, exhausted}, false, wire.RegistrationStatus{}, ErrExhausted},
		"destroyed":                  {[]wire.RegistrationStatus{destroyed, older}, false, wire.RegistrationStatus{}, ErrDestroyed},
		"alive anew":                 {[]wire.RegistrationStatus{destroyed, live}, false, live, nil},
		"no previous":                {[]wire.RegistrationStatus{live, destroyed}, true, wire.RegistrationStatus{}, ErrNoRegistration},
		"previous of none":           {nil, true, wire.RegistrationStatus{}, ErrNoRegistration},
		"previous of destroyed ones": {[]wire.RegistrationStatus{destroyed, newer}, true, newer, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(&wire.StatusAnswer{Registrations: test.list}, test.previous)
			if !errors.Is(err, test.err) || (got == nil) != (test.err != nil) || got != nil && got.ID != test.want.ID {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestPin(t *testing.T) {
	v := newVault(t)
	raw, fingerprint := v.descriptor.Append(nil), v.descriptor.Fingerprint()
	for _, text := range []string{
		fingerprint, strings.ToUpper(fingerprint), strings.ReplaceAll(fingerprint, " ", ""), "\n " + strings.ReplaceAll(fingerprint, " ", "\t"),
	} {
		if d, err := Pin(raw, text); err != nil || d.Fleet != v.descriptor.Fleet {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", fingerprint[1:], fingerprint + "0", newVault(t).descriptor.Fingerprint()} {
		if d, err := Pin(raw, text); !errors.Is(err, ErrFleetChanged) || d != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Pin(raw[:len(raw)-1], fingerprint); !errors.Is(err, ErrProtocol) {
		t.Errorf("a truncated descriptor: %v", err)
	}
}

func TestNewWants(t *testing.T) {
	v := newVault(t)
	full := Config{Descriptor: &v.descriptor, Account: wire.AccountID{1}, Transport: v, Tokens: role("")}
	if c, err := New(full); err != nil || c.config.Wait == nil {
		t.Fatal(err)
	}
	for name, lack := range map[string]func(*Config){
		"descriptor": func(c *Config) { c.Descriptor = nil },
		"account":    func(c *Config) { c.Account = wire.AccountID{} },
		"transport":  func(c *Config) { c.Transport = nil },
		"tokens":     func(c *Config) { c.Tokens = nil },
	} {
		c := full
		lack(&c)
		if _, err := New(c); err == nil {
			t.Errorf("a client without %s", name)
		}
	}
}

func TestSleep(t *testing.T) {
	if err := sleep(t.Context(), 0); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	record, err := NewCheck("Zoe\u0308's pass") // decomposed, as a Mac types it
	if err != nil {
		t.Fatal(err)
	}
	if !VerifyCheck(record, "Zo\u00eb's pass") {
		t.Error("the right password fails")
	}
	if VerifyCheck(record, "Zoe's pass") || VerifyCheck(record, "") {
		t.Error("a wrong password passes")
	}
	if _, err := NewCheck(""); !errors.Is(err, ErrPassword) {
		t.Errorf("an empty password: %v", err)
	}
}

// What is no record is refused before it costs anything: the whole test takes no Argon2id.
func FuzzParseCheck(f *testing.F) {
	good := check{ksf: opaque.DefaultKSF}
	f.Add(good.encode())
	f.Add(good.encode()[1:])
	f.Add(append(good.encode(), 0))
	for _, ksf := range []opaque.KSF{{}, {TimeCost: 3, MemoryKiB: 1 << 31, Lanes: 4}, {TimeCost: 1 << 31, MemoryKiB: 1 << 16, Lanes: 4}} {
		bad := check{ksf: ksf}
		if _, ok := parseCheck(bad.encode()); ok {
			f.Errorf("%+v is accepted", ksf)
		}
		f.Add(bad.encode())
	}
	if _, ok := parseCheck(good.encode()); !ok {
		f.Error("a good record is refused")
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		c, ok := parseCheck(record)
		if ok && (!bytes.Equal(c.encode(), record) || c.ksf.Check() != nil) {
			t.Errorf("%x is accepted as %+v", record, c)
		}
		if !ok && VerifyCheck(record, right) {
			t.Errorf("%x verifies a password", record)
		}
	})
}
