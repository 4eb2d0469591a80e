// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// What the core did not seal is never a fact: each code, at each step of a recovery.
func TestUnsealedRefusals(t *testing.T) {
	v := newVault(t)
	for code := wire.CodeMalformed; code <= wire.CodeParameters; code++ {
		t.Run(code.String(), func(t *testing.T) {
			lie := wire.PlainRefusal(&wire.Error{Code: code, RetryAfterMs: 1000, Serial: 99})
			over := &line{Transport: v, after: func(int, []byte) ([]byte, error) { return lie, nil }}
			_, err := v.device("alice", over).Recover(t.Context(), right, wire.RegistrationID{1})
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			assertNoFact(t, err)
			plain := code == wire.CodeMalformed || code == wire.CodeVersion || code == wire.CodeUnknownKey || code == wire.CodeOverloaded
			if strings.Contains(err.Error(), code.String()) != plain {
				t.Errorf("what only the core may say is shown: %v", err)
			}
		})
	}
}

// assertNoFact fails if an error claims what only the core may say.
func assertNoFact(t *testing.T, err error) {
	t.Helper()
	_, wrong := errors.AsType[*WrongPassword](err)
	_, locked := errors.AsType[*Locked](err)
	for _, fact := range []error{ErrDestroyed, ErrExhausted, ErrNoRegistration, ErrReplaced, ErrRace, ErrProof, ErrNotPrimary, ErrLogin, ErrFleetChanged} {
		wrong = wrong || errors.Is(err, fact)
	}
	if wrong || locked {
		t.Errorf("it was believed: %v", err)
	}
}

// The same in the middle of a guess that was counted: the lies hide the answer, so the guess is tried again, free.
func TestUnsealedRefusalsOfAGuess(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	lies := []wire.Code{
		0,                                                                                 // the status
		wire.CodeDestroyed, wire.CodeStaleSerial, wire.CodeLocked, wire.CodeUnknownKey, 0, // the guess
		wire.CodeProof, wire.CodeSession, wire.CodeDestroyed, // its proof
	}
	over := &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
		if n <= len(lies) && lies[n-1] != 0 {
			return wire.PlainRefusal(wire.Refuse(lies[n-1])), nil
		}
		return answer, nil
	}}
	mustRecover(t, v.device("alice", over), id, k)
	if got := v.charges("alice"); got != 1 || over.calls != len(lies)+1 {
		t.Errorf("%d guesses were charged in %d calls", got, over.calls)
	}
}

// An answer to another request, or one that was changed, is no answer.
func TestForeignAnswers(t *testing.T) {
	v := newVault(t)
	var first []byte
	for name, forge := range map[string]func(n int, answer []byte) []byte{
		"replayed": func(n int, answer []byte) []byte {
			if n == 1 {
				first = answer
				return nil
			}
			return first
		},
		"flipped":   func(_ int, a []byte) []byte { a[len(a)/2] ^= 1; return a },
		"truncated": func(_ int, a []byte) []byte { return a[:len(a)-1] },
		"too long":  func(_ int, a []byte) []byte { return append(a, make([]byte, wire.MaxEnvelope)...) },
		"empty":     func(int, []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			over := &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) { return forge(n, answer), nil }}
			_, err := v.device("alice", over).Status(t.Context())
			if !errors.Is(err, ErrUnavailable) || over.calls != maxTries {
				t.Errorf("%d calls, %v", over.calls, err)
			}
		})
	}
}

// The fleet behind the gateway is not the pinned one.
func TestOtherFleet(t *testing.T) {
	pinned, other := newVault(t), newVault(t)
	_, err := pinned.device("alice", other).Status(t.Context())
	if !errors.Is(err, ErrFleetChanged) || !strings.Contains(err.Error(), other.descriptor.Fingerprint()) {
		t.Errorf("got %v", err)
	}
}

// Nobody can tell a client by a hint alone that its fleet has changed.
func TestFleetSaidToHaveChanged(t *testing.T) {
	v := newVault(t)
	over := &line{Transport: v, after: func(int, []byte) ([]byte, error) { return wire.PlainRefusal(wire.Refuse(wire.CodeUnknownKey)), nil }}
	_, err := v.device("alice", over).Status(t.Context())
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFleetChanged) {
		t.Errorf("got %v", err)
	}
}

func TestWaits(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		waits []time.Duration
	}{
		"lost":      {errCut, []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}},
		"busy":      {&Busy{RetryAfter: 3 * time.Second}, []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second, 4 * time.Second}},
		"very busy": {&Busy{RetryAfter: time.Hour}, nil},
		"login":     {fmt.Errorf("%w: said the gateway", ErrLogin), nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			var waits []time.Duration
			c := v.device("alice", &line{Transport: v, before: func(int) error { return test.err }})
			c.config.Wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
			_, err := c.Status(t.Context())
			if !errors.Is(err, test.err) || fmt.Sprint(waits) != fmt.Sprint(test.waits) {
				t.Errorf("waited %v, then %v", waits, err)
			}
		})
	}
}

type badTokens struct {
	token string
	err   error
}

func (b badTokens) Token(context.Context, string) (string, error) { return b.token, b.err }

func TestNoToken(t *testing.T) {
	v := newVault(t)
	for name, test := range map[string]struct {
		tokens TokenSource
		want   error
	}{
		"log in":   {badTokens{err: ErrLogin}, ErrLogin},
		"issuer":   {badTokens{err: errCut}, ErrUnavailable},
		"empty":    {badTokens{}, ErrLogin},
		"too long": {badTokens{token: strings.Repeat("x", wire.MaxTokenSize+1)}, ErrLogin},
	} {
		over := &line{Transport: v}
		c := v.device("alice", over)
		c.config.Tokens = test.tokens
		if _, err := c.Recover(t.Context(), right, wire.RegistrationID{}); !errors.Is(err, test.want) || over.calls != 0 {
			t.Errorf("%s: %d calls, %v", name, over.calls, err)
		}
	}
}

// The core's own words, sealed, are believed; each has its meaning.
func TestExplain(t *testing.T) {
	for code, want := range map[wire.Code]error{
		wire.CodeMalformed: ErrProtocol, wire.CodeVersion: ErrProtocol, wire.CodeUnknownKey: ErrProtocol,
		wire.CodeWrongPartition: ErrProtocol, wire.CodeElement: ErrProtocol, wire.CodeParameters: ErrProtocol,
		wire.CodeToken: ErrLogin, wire.CodeTokenExpired: ErrLogin, wire.CodeNotPrimary: ErrNotPrimary,
		wire.CodeNoRegistration: ErrNoRegistration, wire.CodePending: ErrNoRegistration, wire.CodeDestroyed: ErrDestroyed,
		wire.CodeStaleSerial: ErrRace, wire.CodeReplaced: ErrReplaced, wire.CodeProof: ErrProof, wire.CodeOldFreshness: ErrOldFreshness,
		wire.CodeTicket: ErrUnavailable, wire.CodeSession: ErrUnavailable,
	} {
		if err := explain(wire.Refuse(code)); !errors.Is(err, want) {
			t.Errorf("%v: %v", code, err)
		}
	}
	if e, _ := explain(&wire.Error{Code: wire.CodeLocked, RetryAfterMs: 1000, GuessesLeft: 3}).(*Locked); e == nil || *e != (Locked{time.Second, 3}) {
		t.Errorf("locked: %v", e)
	}
	if e, _ := explain(&wire.Error{Code: wire.CodeTooMany, RetryAfterMs: 1000}).(*TooMany); e == nil || *e != (TooMany{time.Second}) {
		t.Errorf("too many: %v", e)
	}
	for code := wire.CodeMalformed; code <= wire.CodeParameters; code++ {
		err := explain(&wire.Error{Code: code, RetryAfterMs: 1<<64 - 1, GuessesLeft: 3})
		if _, raw := errors.AsType[*wire.Error](err); err == nil || raw {
			t.Errorf("%v is not explained: %v", code, err)
		}
		if strings.Contains(err.Error(), "-") && strings.Contains(err.Error(), "in -") {
			t.Errorf("%v: a time overflowed: %v", code, err)
		}
	}
}
