// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// losing returns a line that loses the nth call, before or after the vault has acted.
func losing(over Transport, n int, after bool) *line {
	cut := func(call int) error {
		if call == n {
			return errCut
		}
		return nil
	}
	if after {
		return &line{Transport: over, after: func(call int, answer []byte) ([]byte, error) { return answer, cut(call) }}
	}
	return &line{Transport: over, before: cut}
}

// lossTimes says whether to lose calls before or after the vault has acted: the latter is the harder one.
func lossTimes() []bool {
	if testing.Short() {
		return []bool{true}
	}
	return []bool{false, true}
}

// Whatever single answer gets lost, before or after the vault has acted, a step is repeated and has its effect once.
func TestAnyAnswerLost(t *testing.T) {
	v := newVault(t)
	for _, after := range lossTimes() {
		for n := 1; n <= 3; n++ { // three steps of a registration, and of a recovery
			t.Run(fmt.Sprint(n, after), func(t *testing.T) {
				k, subject := bytes32(), t.Name()
				over := losing(v, n, after)
				id, _, err := v.device(subject, over).Register(t.Context(), &k, right, RegisterOptions{})
				if err != nil || over.calls != 4 {
					t.Fatal(over.calls, err)
				}
				over = losing(v, n, after)
				mustRecover(t, v.device(subject, over), id, k)
				if got := v.charges(subject); got != 1 || over.calls != 4 {
					t.Errorf("%d guesses were charged in %d calls", got, over.calls)
				}
				if deleted, err := v.device(subject, losing(v, 1, after)).Delete(t.Context(), id, &k); err != nil || deleted.RetainedMs != 0 {
					t.Errorf("delete: %v, %v", deleted, err)
				}
			})
		}
	}
}

// Somebody on the way replays a guess before its proof arrives. That disturbs nothing while the core lives. One that was
// restarted waits for the proof of an answer that the client never saw; then the client repeats the guess, free.
func TestReplayedGuess(t *testing.T) {
	for name, calls := range map[string]int{"by the same core": 3, "after a restart": 5} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			k, id := v.enroll("alice")
			over := &replayer{Transport: v, nth: 2}
			if calls == 5 {
				over.first = v.restart
			}
			mustRecover(t, v.device("alice", over), id, k)
			if got := v.charges("alice"); got != 1 || over.calls != calls {
				t.Errorf("%d guesses were charged in %d calls", got, over.calls)
			}
		})
	}
}

// replayer sends the nth envelope thirty times more after its answer.
type replayer struct {
	Transport
	nth, calls int
	first      func() // before that, or nil
}

func (r *replayer) Call(ctx context.Context, envelope []byte) ([]byte, error) {
	r.calls++
	answer, err := r.Transport.Call(ctx, envelope)
	if r.calls == r.nth {
		if r.first != nil {
			r.first()
		}
		for range 30 {
			r.Transport.Call(ctx, envelope)
		}
	}
	return answer, err
}

// When no answer comes at all the guess stays the same guess, in this client, until one does.
func TestNoAnswerAtAll(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	for n := 2; n <= 3; n++ { // RecoverStart, RecoverFinish
		for _, after := range lossTimes() {
			t.Run(fmt.Sprint(n, after), func(t *testing.T) {
				charged := v.charges("alice")
				cut := true
				over := &line{Transport: v}
				c := v.device("alice", over)
				over.before = func(call int) error {
					if cut && !after && call >= n {
						return errCut
					}
					return nil
				}
				over.after = func(call int, answer []byte) ([]byte, error) {
					if cut && after && call >= n {
						return nil, errCut
					}
					return answer, nil
				}
				_, err := c.Recover(t.Context(), right, id)
				maybe, _ := errors.AsType[*MaybeCounted](err)
				if maybe == nil || !errors.Is(err, ErrUnavailable) || !errors.Is(err, errCut) {
					t.Fatalf("got %v", err)
				}
				if over.calls != n-1+maxTries {
					t.Errorf("%d calls", over.calls)
				}
				cut = false
				v.restart()
				mustRecover(t, c, id, k)
				if got := v.charges("alice") - charged; got != 1 {
					t.Errorf("%d guesses were charged", got)
				}
				if c.unfinished != nil {
					t.Error("the guess is still kept")
				}
			})
		}
	}
}

// The same password at another registration is another guess, even while one is unfinished.
func TestUnfinishedElsewhere(t *testing.T) {
	v := newVault(t)
	first, firstID := v.enroll("alice")
	second, secondID := v.enroll("alice")
	over := &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
		if n >= 2 && n <= 1+maxTries {
			return nil, errCut
		}
		return answer, nil
	}}
	c := v.device("alice", over)
	if _, err := c.Recover(t.Context(), right, firstID); !errors.Is(err, ErrUnavailable) || c.unfinished == nil {
		t.Fatal(err)
	}
	mustRecover(t, c, secondID, second)
	// The vault has the second guess in mind now, so that nobody can tell what became of the first.
	if _, err := c.Recover(t.Context(), right, firstID); !errors.Is(err, ErrRace) {
		t.Fatal(err)
	}
	mustRecover(t, c, firstID, first)
	if got := v.charges("alice"); got != 3 {
		t.Errorf("%d guesses were charged", got)
	}
}

// A status that does not come uses nothing, and says so.
func TestNoStatus(t *testing.T) {
	v := newVault(t)
	dead := &line{Transport: v, before: func(int) error { return errCut }}
	_, err := v.device("alice", dead).Recover(t.Context(), right, wire.RegistrationID{})
	if maybe, _ := errors.AsType[*MaybeCounted](err); maybe != nil || !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "No guess was used") {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	v := newVault(t)
	_, id := v.enroll("alice")
	ctx, cancel := context.WithCancel(t.Context())
	over := &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
		if n == 2 {
			cancel()
			return nil, errCut
		}
		return answer, nil
	}}
	_, err := v.device("alice", over).Recover(ctx, right, id)
	if maybe, _ := errors.AsType[*MaybeCounted](err); maybe == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A core that restarts forgets tickets and logins; that costs no guess and no answer.
func TestCoreRestarts(t *testing.T) {
	v := newVault(t)
	for n := 2; n <= 3; n++ {
		over := &line{Transport: v}
		over.before = func(call int) error {
			if call == n {
				v.restart()
			}
			return nil
		}
		k, subject := bytes32(), fmt.Sprint("user", n)
		id, _, err := v.device(subject, over).Register(t.Context(), &k, right, RegisterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		over.calls = 0
		mustRecover(t, v.device(subject, over), id, k)
		if got := v.charges(subject); got != 1 {
			t.Errorf("%d guesses were charged", got)
		}
	}
}

// A core that forgets every time is given up in the end.
func TestCoreForgetsForEver(t *testing.T) {
	v := newVault(t)
	_, id := v.enroll("alice")
	c := v.device("alice", &line{Transport: v, before: func(int) error { v.restart(); return nil }})
	_, err := c.Recover(t.Context(), right, id)
	if maybe, _ := errors.AsType[*MaybeCounted](err); maybe == nil || !errors.Is(err, ErrUnavailable) || v.charges("alice") != 1 {
		t.Errorf("recover: %v", err)
	}
	k := bytes32()
	if _, _, err := c.Register(t.Context(), &k, right, RegisterOptions{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("register: %v", err)
	}
}
