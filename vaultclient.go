// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// exchangeTimeout bounds the wait for one answer of gateway or issuer. A client asks several times before it gives up, and
// somebody may be watching.
const exchangeTimeout = 10 * time.Second

// session is this process's client of the vault. It lives as long as the login does not change, because a guess whose
// answer got lost can be repeated only by the client that made it.
type session struct {
	mu     sync.Mutex
	of     *vaultState // the login that client is of
	client *recovery.Client
	lost   lostGuess
	proved registration // whose password RecoverKey has proved: its id and check
}

// lostGuess is a guess that may have been counted without an answer. The zero value is none.
type lostGuess struct {
	id    wire.RegistrationID
	asked RecoverOptions
}

// client returns the client of this device's login.
func (d *Device) client() (*recovery.Client, *vaultState, error) {
	s, err := d.vault()
	if err != nil {
		return nil, nil, err
	}
	if s.LoggedOut {
		return nil, nil, ErrNotLoggedIn
	}
	d.session.mu.Lock()
	defer d.session.mu.Unlock()
	if d.session.client != nil && sameLogin(d.session.of, s) {
		return d.session.client, s, nil
	}
	client, err := d.newClient(s)
	if err == nil {
		d.session.of, d.session.client, d.session.lost = s, client, lostGuess{}
	}
	return client, s, err
}

func sameLogin(a, b *vaultState) bool {
	return a.ID == b.ID && a.URL == b.URL && a.IssuerURL == b.IssuerURL && a.Account == b.Account && bytes.Equal(a.Descriptor, b.Descriptor)
}

func (d *Device) newClient(s *vaultState) (*recovery.Client, error) {
	descriptor, err := s.descriptor()
	if err != nil {
		return nil, err
	}
	tokens := d.o.Tokens
	if tokens == nil {
		tokens = &deviceTokens{d: d, issuer: issuerAt(s.IssuerURL, descriptor)}
	}
	transport, err := d.transport(s.URL, descriptor, tokens)
	if err != nil {
		return nil, err
	}
	return recovery.New(recovery.Config{
		Descriptor: descriptor,
		Account:    wire.NewAccountID(descriptor.Policy.Issuer, s.Account),
		Transport:  transport,
		Tokens:     tokens,
	})
}

func issuerAt(url string, descriptor *wire.Descriptor) recovery.Issuer {
	return recovery.Issuer{URL: url, Name: descriptor.Policy.Issuer, Client: &http.Client{Timeout: exchangeTimeout}}
}

// transport reaches the gateway at a URL, or what the app has in its place.
func (d *Device) transport(url string, descriptor *wire.Descriptor, tokens recovery.TokenSource) (recovery.Transport, error) {
	if d.o.Transport != nil {
		return d.o.Transport, nil
	}
	c := recovery.HTTPConfig{URL: url, Tokens: tokens, Client: &http.Client{Timeout: exchangeTimeout}}
	if descriptor != nil {
		c.Audience = descriptor.Policy.GatewayAudience
	}
	transport, err := recovery.NewHTTP(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVaultURL, err)
	}
	return transport, nil
}

func (d *Device) setProved(r registration) {
	d.session.mu.Lock()
	defer d.session.mu.Unlock()
	d.session.proved = r
}

// addCheck gives a registration that this device makes its own the check of its password, if that was proved by this process.
func (d *Device) addCheck(r *registration) {
	d.session.mu.Lock()
	defer d.session.mu.Unlock()
	if r != nil && r.ID == d.session.proved.ID {
		r.Check = d.session.proved.Check
	}
}

func (d *Device) lostGuess() lostGuess {
	d.session.mu.Lock()
	defer d.session.mu.Unlock()
	return d.session.lost
}

func (d *Device) setLostGuess(g lostGuess) {
	d.session.mu.Lock()
	defer d.session.mu.Unlock()
	d.session.lost = g
}
