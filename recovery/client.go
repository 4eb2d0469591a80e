// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/internal/opaque"
	"github.com/coffer-backup/coffer/wire"
)

// Transport carries sealed envelopes to a vault and answers back. Nobody on
// it is trusted: it may fail at any time, before or after the vault has seen a
// request, repeat requests, and return anything. A lost answer is normal; the caller
// repeats. An error that wraps ErrLogin ends the attempt and one that is a *Busy says how long
// to wait; every other error counts as a lost answer. It is safe for concurrent use.
type Transport interface {
	// Call sends a sealed request, at most wire.MaxEnvelope bytes, and returns the answer. It bounds what it reads.
	Call(ctx context.Context, envelope []byte) ([]byte, error)

	// Descriptor returns the fleet descriptor that the vault shows, at most wire.MaxDescriptor bytes. It needs no login.
	Descriptor(ctx context.Context) ([]byte, error)
}

// TokenSource returns a current token of the account for an audience. Its error
// wraps ErrLogin if the user has to log in again; every other error may pass. It is safe for concurrent use.
type TokenSource interface {
	Token(ctx context.Context, audience string) (string, error)
}

// Config is what a Client works with. All fields but Wait are required.
type Config struct {
	Descriptor *wire.Descriptor // pinned, see Pin
	Account    wire.AccountID   // see AccountOf
	Transport  Transport
	Tokens     TokenSource

	// Wait waits between tries, until the context ends. Nil: by the clock.
	Wait func(context.Context, time.Duration) error
}

// Client speaks to the vault for one account. It is safe for concurrent use; recoveries run one after the other.
type Client struct {
	config Config

	guessing   sync.Mutex
	unfinished *guess // whose answer got lost: the same password again is the same guess
}

// New returns a client. It sends nothing.
func New(c Config) (*Client, error) {
	if c.Descriptor == nil || c.Transport == nil || c.Tokens == nil {
		return nil, errors.New("recovery: a client needs a descriptor, a transport and tokens")
	}
	if c.Account == (wire.AccountID{}) {
		return nil, errors.New("recovery: a client needs an account")
	}
	if c.Wait == nil {
		c.Wait = sleep
	}
	return &Client{config: c}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// identities binds every OPAQUE run to account and fleet, so that a record cannot be answered for another account.
func (c *Client) identities() opaque.Identities {
	return opaque.Identities{Client: c.config.Account[:], Server: c.config.Descriptor.Fleet[:]}
}

// context is what the sealed K is bound to: fleet, account and registration.
func (c *Client) context(id wire.RegistrationID) []byte {
	fleet, account := c.config.Descriptor.Fleet, c.config.Account
	return append(append(append(make([]byte, 0, 64), fleet[:]...), account[:]...), id[:]...)
}

// manage returns the manage secret of K here.
func (c *Client) manage(k *[32]byte) wire.ManageSecret {
	return wire.NewManageSecret(k[:], c.config.Descriptor.Fleet, c.config.Account)
}
