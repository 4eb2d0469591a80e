// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// Between a client's status and its guess another device makes one. It costs the client nothing.
func TestRace(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	other := v.device("alice", v)
	guess := func() {
		if _, err := other.Recover(context.Background(), wrong, id); err == nil {
			t.Error("the wrong password is right")
		}
	}
	t.Run("before the guess", func(t *testing.T) {
		charged := v.charges("alice")
		over := &line{Transport: v, before: func(n int) error {
			if n == 2 {
				guess()
			}
			return nil
		}}
		mustRecover(t, v.device("alice", over), id, k)
		if got := v.charges("alice") - charged; got != 2 {
			t.Errorf("%d guesses were charged", got)
		}
	})
	t.Run("before a lost guess", func(t *testing.T) {
		charged := v.charges("alice")
		over := &line{Transport: v, before: func(n int) error {
			if n == 2 {
				guess()
				return errCut
			}
			return nil
		}}
		mustRecover(t, v.device("alice", over), id, k)
		if got := v.charges("alice") - charged; got != 2 {
			t.Errorf("%d guesses were charged", got)
		}
	})
	t.Run("before a lost guess, then nothing", func(t *testing.T) {
		over := &line{Transport: v, before: func(n int) error {
			if n == 2 {
				guess()
			}
			if n != 1 && n != 3 {
				return errCut
			}
			return nil
		}}
		_, err := v.device("alice", over).Recover(t.Context(), right, id)
		if maybe, _ := errors.AsType[*MaybeCounted](err); maybe != nil || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("after a lost answer", func(t *testing.T) {
		charged := v.charges("alice")
		over := &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
			if n == 2 {
				guess()
				return nil, errCut
			}
			return answer, nil
		}}
		c := v.device("alice", over)
		_, err := c.Recover(t.Context(), right, id)
		if maybe, _ := errors.AsType[*MaybeCounted](err); maybe == nil || !errors.Is(err, ErrRace) {
			t.Fatalf("got %v", err)
		}
		if got := v.charges("alice") - charged; got != 2 {
			t.Errorf("%d guesses were charged", got)
		}
		mustRecover(t, c, id, k)
	})
	t.Run("delivered twice", func(t *testing.T) {
		charged := v.charges("alice")
		over := &twice{Transport: v, between: guess}
		_, err := v.device("alice", over).Recover(t.Context(), right, id)
		if maybe, _ := errors.AsType[*MaybeCounted](err); maybe == nil || !errors.Is(err, ErrRace) {
			t.Fatalf("got %v", err)
		}
		if got := v.charges("alice") - charged; got != 2 {
			t.Errorf("%d guesses were charged for one of each device", got)
		}
	})
	t.Run("each time", func(t *testing.T) {
		over := &line{Transport: v, before: func(n int) error {
			if n%2 == 0 {
				v.account("alice").Serial++
			}
			return nil
		}}
		_, err := v.device("alice", over).Recover(t.Context(), right, id)
		if maybe, _ := errors.AsType[*MaybeCounted](err); maybe != nil || !errors.Is(err, ErrRace) {
			t.Errorf("got %v", err)
		}
	})
}

// twice delivers the second request twice, drops the first answer to it, and lets something happen in between.
type twice struct {
	Transport
	between func()
	calls   int
}

func (w *twice) Call(ctx context.Context, envelope []byte) ([]byte, error) {
	if w.calls++; w.calls == 2 {
		if _, err := w.Transport.Call(ctx, envelope); err != nil {
			return nil, err
		}
		w.between()
	}
	return w.Transport.Call(ctx, envelope)
}

// The core itself may be unable to answer after it has counted, or have no time at all. The one is told as a guess that may be gone.
func TestBusyCore(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	answers := 0
	refuseFirst := func(n int, refusal *wire.Error) func(wire.Kind, wire.Body) wire.Body {
		answers = 0
		return func(kind wire.Kind, answer wire.Body) wire.Body {
			if kind != wire.KindRecoverStart {
				return answer
			}
			if answers++; answers <= n {
				return refusal
			}
			return answer
		}
	}
	for _, test := range []struct {
		refusal *wire.Error
		maybe   bool
	}{
		{wire.Refuse(wire.CodeUnavailable), true},
		{&wire.Error{Code: wire.CodeOverloaded, RetryAfterMs: 1000}, false},
	} {
		charged := v.charges("alice")
		v.instead = refuseFirst(maxTries-1, test.refusal)
		mustRecover(t, v.device("alice", v), id, k)
		if got := v.charges("alice") - charged; got != 1 || answers != maxTries {
			t.Errorf("%v: %d guesses were charged in %d tries", test.refusal, got, answers)
		}
		charged = v.charges("alice")
		v.instead = refuseFirst(maxTries, test.refusal)
		c := v.device("alice", v)
		_, err := c.Recover(t.Context(), right, id)
		if maybe, _ := errors.AsType[*MaybeCounted](err); !errors.Is(err, ErrUnavailable) || (maybe != nil) != test.maybe {
			t.Errorf("%v: %v", test.refusal, err)
		}
		mustRecover(t, c, id, k)
		if got := v.charges("alice") - charged; got != 1 {
			t.Errorf("%v: %d guesses were charged", test.refusal, got)
		}
	}
}

// Two devices at once: each guess is charged at most once, and exactly once if it was answered.
func TestParallelDevices(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	errs := make(chan error)
	for _, pass := range []string{right, wrong} {
		go func() {
			r, err := v.device("alice", v).Recover(context.Background(), pass, id)
			if err == nil && (r.K != k || pass != right) {
				err = errors.New("another key came back")
			}
			errs <- err
		}()
	}
	answered := 0
	for range 2 {
		err := <-errs
		_, isWrong := errors.AsType[*WrongPassword](err)
		_, maybe := errors.AsType[*MaybeCounted](err)
		switch {
		case err == nil || isWrong:
			answered++
		case !maybe || !errors.Is(err, ErrRace): // overtaken between KE2 and KE3
			t.Errorf("got %v", err)
		}
	}
	if got := v.charges("alice"); got < answered || got > 2 {
		t.Errorf("%d guesses were charged, %d were answered", got, answered)
	}
}
