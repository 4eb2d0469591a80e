// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coffer-backup/coffer/recovery"
	"github.com/coffer-backup/coffer/wire"
)

// account is what a worker knows of one: little, for there may be millions.
type account struct {
	tokens       recovery.TokenSource // nil: not logged in yet
	registration wire.RegistrationID
	serial       wire.Serial // of the last guess
	lost         bool        // an operation failed, so the vault may know more
}

// worker is one device after the other, on one connection.
type worker struct {
	load      *load
	number    int
	transport *recovery.HTTP
	device    *device
	times     *times
	failures  map[string]int
	example   error // of a failure

	// The account at hand.
	*account
	id                      wire.AccountID
	coreToken, gatewayToken string
}

func newWorker(l *load, number int) (*worker, error) {
	w := &worker{load: l, number: number, times: newTimes(), failures: map[string]int{}}
	var err error
	w.transport, err = recovery.NewHTTP(recovery.HTTPConfig{
		URL: l.target.url, Tokens: w, Audience: l.target.fleet.Policy.GatewayAudience,
		Client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{}},
	})
	if err != nil {
		return nil, err
	}
	w.device, err = newDevice(l.target.fleet)
	return w, err
}

// requestTimeout is shorter than what the histogram can hold.
const requestTimeout = 30 * time.Second

// Token gives the gateway's token of the account at hand.
func (w *worker) Token(context.Context, string) (string, error) { return w.gatewayToken, nil }

// take makes an account the one at hand. No other worker has it then.
func (w *worker) take(ctx context.Context, n int) (err error) {
	w.account = &w.load.accounts[n]
	policy := &w.load.target.fleet.Policy
	w.id = wire.NewAccountID(policy.Issuer, w.load.name(n))
	tokens := w.account.tokens
	if tokens == nil {
		if tokens, err = w.load.target.login(ctx, w.load.name(n)); err != nil {
			return fmt.Errorf("login: %w", err)
		}
	}
	if !w.load.Dev { // there they cost little to make again, and millions of them would cost much to keep
		w.account.tokens = tokens
	}
	if w.coreToken, err = tokens.Token(ctx, policy.CoreAudience); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	if w.gatewayToken, err = tokens.Token(ctx, policy.GatewayAudience); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	return nil
}

// measure works until the schedule ends.
func (w *worker) measure(ctx context.Context, s *schedule) error {
	operation := operations[w.load.Mix]
	for n := w.number; ; n += len(w.load.workers) {
		if n >= len(w.load.accounts) {
			n = w.number
		}
		begin, more := s.next(ctx)
		if !more {
			return ctx.Err()
		}
		if err := w.take(ctx, n); err != nil {
			return err
		}
		if err := w.refresh(ctx); err != nil {
			w.fail(err)
			continue
		}
		if s.closed() {
			begin = time.Now() // the login is not what is measured
		}
		if err := operation(w, ctx); err != nil {
			w.lost = true
			w.fail(err)
			continue
		}
		w.times.add(time.Since(begin))
		s.done()
	}
}

// refresh asks for the account's serial where a failure made it uncertain.
func (w *worker) refresh(ctx context.Context) error {
	if !w.lost {
		return nil
	}
	status, err := ask[*wire.StatusAnswer](ctx, w, &wire.Status{})
	if err != nil {
		return err
	}
	w.serial, w.lost = status.Serial, false
	return nil
}

// fail counts a failure by its cause.
func (w *worker) fail(err error) {
	cause := "transport"
	if refusal, ok := errors.AsType[*wire.Error](err); ok {
		cause = refusal.Code.String()
	}
	w.failures[cause]++
	w.example = err
}

// ask sends a sealed request and opens its answer.
func ask[A wire.Body](ctx context.Context, w *worker, body wire.Body) (answer A, err error) {
	envelope, opener, err := w.load.target.fleet.Seal(w.id, &wire.Request{Token: w.coreToken, Body: body})
	if err != nil {
		return answer, err
	}
	raw, err := w.transport.Call(ctx, envelope)
	if err != nil {
		return answer, err
	}
	got, _, err := opener.Open(raw)
	if err != nil {
		return answer, err
	}
	answer, ok := got.(A)
	if !ok {
		return answer, fmt.Errorf("the vault answered a %T with a %T", body, got)
	}
	return answer, nil
}
