// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

// hoarder keeps the envelopes that pass.
type hoarder struct {
	Transport
	envelopes [][]byte
}

func (h *hoarder) Call(ctx context.Context, envelope []byte) ([]byte, error) {
	h.envelopes = append(h.envelopes, envelope)
	return h.Transport.Call(ctx, envelope)
}

// The core refuses a guess because it comes too early. A host that has kept it delivers it when the wait is over, and makes the
// registration's last guess of it: the user, who tries the same password again, must be able to prove just that one.
func TestGuessDeliveredLater(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	host := &hoarder{Transport: v}
	c := v.device("alice", &line{Transport: host, before: func(n int) error {
		if r := &v.account("alice").Registrations[0]; n == 2 {
			r.GuessesLeft, r.LockedUntil = 1, v.now+60_000
		}
		return nil
	}})
	_, err := c.Recover(t.Context(), right, id)
	if e, _ := err.(*Locked); e == nil || e.RetryAfter != time.Minute || e.GuessesLeft != 1 || v.charges("alice") != 0 {
		t.Fatalf("too early: %v", err)
	}
	v.now += 60_000
	if _, err := host.Call(t.Context(), host.envelopes[1]); err != nil || v.charges("alice") != 1 {
		t.Fatalf("%d guesses were charged, %v", v.charges("alice"), err)
	}
	mustRecover(t, c, id, k)
	if got := v.charges("alice"); got != 1 {
		t.Errorf("%d guesses were charged", got)
	}
}

// A gateway lets a guess pass and says that the login is not valid. It is not believed about the guess.
func TestGatewayLiesAboutLogin(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	c := v.device("alice", &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
		if n == 2 {
			return nil, ErrLogin
		}
		return answer, nil
	}})
	_, err := c.Recover(t.Context(), right, id)
	if maybe, _ := errors.AsType[*MaybeCounted](err); maybe == nil || !errors.Is(err, ErrLogin) {
		t.Errorf("got %v", err)
	}
	mustRecover(t, c, id, k)
	if got := v.charges("alice"); got != 1 {
		t.Errorf("%d guesses were charged", got)
	}
}

// The answer to the last guess gets lost, and the registration is destroyed before it is asked for again.
func TestDestroyedMeanwhile(t *testing.T) {
	v := newVault(t)
	_, id := v.enroll("alice")
	c := v.device("alice", &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
		if n == 2 {
			v.now += wire.UnixMs(v.descriptor.Policy.ProvableMs)
			return nil, errCut
		}
		return answer, nil
	}})
	v.account("alice").Registrations[0].GuessesLeft = 1
	_, err := c.Recover(t.Context(), right, id)
	if maybe, _ := errors.AsType[*MaybeCounted](err); maybe != nil || !errors.Is(err, ErrDestroyed) || strings.Contains(err.Error(), "No guess was used") {
		t.Errorf("got %v", err)
	}
	_, err = c.Recover(t.Context(), right, id)
	if !errors.Is(err, ErrDestroyed) || !strings.Contains(err.Error(), "No guess was used") {
		t.Errorf("the next time: %v", err)
	}
}

// A core that answers another question, under its seal, has perhaps counted the guess.
func TestAnotherKindOfAnswer(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	v.instead = func(kind wire.Kind, answer wire.Body) wire.Body {
		if kind == wire.KindRecoverStart {
			return &wire.FreshnessPut{}
		}
		return answer
	}
	c := v.device("alice", v)
	_, err := c.Recover(t.Context(), right, id)
	if maybe, _ := errors.AsType[*MaybeCounted](err); maybe == nil || !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
	v.instead = nil
	mustRecover(t, c, id, k)
	if got := v.charges("alice"); got != 1 {
		t.Errorf("%d guesses were charged", got)
	}
}

// Another password is another guess, while one is unfinished.
func TestOtherPasswordMeanwhile(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	c := v.device("alice", &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
		if n >= 2 && n <= 1+maxTries {
			return nil, errCut
		}
		return answer, nil
	}})
	if _, err := c.Recover(t.Context(), wrong, id); !errors.Is(err, ErrUnavailable) || c.unfinished == nil {
		t.Fatal(err)
	}
	mustRecover(t, c, id, k)
	if got := v.charges("alice"); got != 2 {
		t.Errorf("%d guesses were charged", got)
	}
}
