// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

func TestLostPhone(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	phone := v.device("alice", v)
	over := &line{Transport: v}
	if _, err := v.device("alice", over).Recover(t.Context(), wrong, id); err == nil || over.calls != 2 {
		t.Errorf("after a wrong password %d requests were sent, %v", over.calls, err)
	}
	fresh := wire.Freshness{Archive: wire.ArchiveID{1}, Generation: 7, Digest: [32]byte{9}}
	if err := phone.PutFreshness(t.Context(), id, &k, fresh); err != nil {
		t.Fatal(err)
	}
	next := v.device("alice", v)
	status, err := next.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := Choose(status, false)
	if err != nil || chosen.ID != id {
		t.Fatal(chosen, err)
	}
	r := mustRecover(t, next, chosen.ID, k)
	if r.GuessesLeft != 5 || len(r.Freshness) != 1 || r.Freshness[0] != fresh || v.charges("alice") != 2 {
		t.Errorf("%d guesses left, freshness %v, %d charges", r.GuessesLeft, r.Freshness, v.charges("alice"))
	}
	if text := fmt.Sprintf("%v %+v %#v %s", r, *r, *r, r); strings.Contains(text, fmt.Sprint(k[0])+" ") || !strings.Contains(text, "redacted") {
		t.Error("a recovered key prints")
	}
}

func TestChangePassword(t *testing.T) {
	v := newVault(t)
	k, old := v.enroll("alice")
	c := v.device("alice", v)
	var told wire.RegistrationID
	id, done, err := c.Register(t.Context(), &k, "another password", RegisterOptions{
		BeforeConfirm: func(id wire.RegistrationID) error {
			told = id
			if list := v.account("alice").Registrations; list[len(list)-1].ID != id || list[len(list)-1].State != wire.StatePending {
				t.Error("it was live before it was told")
			}
			return nil
		},
	})
	if err != nil || done.Replaced != 1 || done.RetainedMs != 0 || told != id {
		t.Fatal(done, told, err)
	}
	if _, err := c.Recover(t.Context(), right, old); !errors.Is(err, ErrNoRegistration) {
		t.Errorf("the old password: %v", err)
	}
	if again, err := c.Confirm(t.Context(), id, &k, nil); err != nil || again != (wire.RegisterConfirmed{}) {
		t.Errorf("confirmed twice: %v, %v", again, err)
	}
	other := bytes32()
	if _, err := c.Confirm(t.Context(), id, &other, nil); !errors.Is(err, ErrProof) {
		t.Errorf("confirmed with another key: %v", err)
	}
	if _, err := c.Delete(t.Context(), id, &other); !errors.Is(err, ErrProof) {
		t.Errorf("deleted with another key: %v", err)
	}
	if _, err := c.Delete(t.Context(), old, &k); !errors.Is(err, ErrNoRegistration) {
		t.Errorf("deleted what was not there: %v", err)
	}
	if deleted, err := c.Delete(t.Context(), id, nil); err != nil || deleted.RetainedMs == 0 {
		t.Errorf("deleted without a key: %v, %v", deleted, err)
	}
}

func TestNewKeyOverLivingOne(t *testing.T) {
	v := newVault(t)
	_, first := v.enroll("alice")
	c := v.device("alice", v)
	second, third := bytes32(), bytes32()
	id, done, err := c.Register(t.Context(), &second, right, RegisterOptions{})
	if err != nil || done.RetainedMs == 0 || done.Replaced != 0 {
		t.Fatal(done, err)
	}
	status, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Choose(status, false); err != nil || r.ID != id {
		t.Error(r, err)
	}
	if r, err := Choose(status, true); err != nil || r.ID != first {
		t.Error(r, err)
	}
	if _, done, err = c.Register(t.Context(), &third, right, RegisterOptions{Replaces: &second}); err != nil || done.Replaced != 1 || done.RetainedMs != 0 {
		t.Error(done, err)
	}
}

func TestCountdown(t *testing.T) {
	v := newVault(t)
	_, id := v.enroll("alice")
	c := v.device("alice", v)
	for left := uint8(4); left > 0; left-- {
		_, err := c.Recover(t.Context(), wrong, id)
		e, _ := errors.AsType[*WrongPassword](err)
		if e == nil || e.GuessesLeft != left || e.Last || (e.RetryAfter == time.Minute) != (left == 1) {
			t.Fatalf("%d left: %#v", left, err)
		}
		if !strings.Contains(err.Error(), fmt.Sprint(left, " left")) {
			t.Errorf("the text is %q", err)
		}
	}
	over := &line{Transport: v}
	_, err := v.device("alice", over).Recover(t.Context(), right, id)
	if e, _ := err.(*Locked); e == nil || e.RetryAfter != time.Minute || e.GuessesLeft != 1 || over.calls != 1 {
		t.Fatalf("during the cooldown: %v in %d calls", err, over.calls)
	}
	v.now += 60_000
	_, err = c.Recover(t.Context(), wrong, id)
	if e, _ := errors.AsType[*WrongPassword](err); e == nil || !e.Last {
		t.Fatalf("the last guess: %v", err)
	}
	if _, err = c.Recover(t.Context(), right, id); !errors.Is(err, ErrExhausted) || v.account("alice").Registrations[0].State != wire.StateLive {
		t.Fatalf("a guess at an exhausted registration was sent: %v", err)
	}
	v.now += wire.UnixMs(v.descriptor.Policy.ProvableMs)
	if _, err = c.Recover(t.Context(), right, id); !errors.Is(err, ErrDestroyed) {
		t.Fatalf("after the last: %v", err)
	}
	if got := v.charges("alice"); got != 5 {
		t.Errorf("%d guesses were charged", got)
	}
}

func TestCompanion(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	c := v.deviceAs("companion", "alice", v)
	if status, err := c.Status(t.Context()); err != nil || len(status.Registrations) != 1 {
		t.Errorf("status: %v, %v", status, err)
	}
	_, recoverErr := c.Recover(t.Context(), right, id)
	_, _, registerErr := c.Register(t.Context(), &k, right, RegisterOptions{})
	_, deleteErr := c.Delete(t.Context(), id, &k)
	freshErr := c.PutFreshness(t.Context(), id, &k, wire.Freshness{})
	for _, err := range []error{recoverErr, registerErr, deleteErr, freshErr} {
		if !errors.Is(err, ErrNotPrimary) {
			t.Errorf("got %v", err)
		}
	}
	if v.charges("alice") != 0 || !strings.Contains(recoverErr.Error(), "No guess was used") {
		t.Errorf("%d guesses were charged: %v", v.charges("alice"), recoverErr)
	}
}

func TestKSFOutOfBounds(t *testing.T) {
	v := newVault(t)
	_, id := v.enroll("alice")
	v.ksf = &wire.KSF{TimeCost: 3, MemoryKiB: 1<<32 - 1, Lanes: 4}
	c := v.device("alice", v)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Recover(t.Context(), right, id)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 32<<20 {
		t.Errorf("%d bytes were taken", taken)
	}
	k := bytes32()
	if _, _, err := c.Register(t.Context(), &k, right, RegisterOptions{KSF: *v.ksf}); err == nil {
		t.Error("registered with it")
	}
}

// The core behind the pinned HPKE key has another OPAQUE key than the pinned one.
func TestOtherServerKey(t *testing.T) {
	v := newVault(t)
	_, id := v.enroll("alice")
	v.opaque = newVault(t).opaque
	c := v.device("alice", v)
	if r, err := c.Recover(t.Context(), right, id); err == nil {
		t.Errorf("recovered %v", r)
	}
	k := bytes32()
	if _, _, err := c.Register(t.Context(), &k, right, RegisterOptions{}); !errors.Is(err, ErrProtocol) {
		t.Errorf("register: %v", err)
	}
}

// An account's record answered for another account opens nothing.
func TestOtherAccountsRecord(t *testing.T) {
	v := newVault(t)
	_, id := v.enroll("alice")
	v.accounts[wire.NewAccountID(testIssuer, "mallory")] = v.account("alice")
	_, err := v.device("mallory", v).Recover(t.Context(), right, id)
	if e, _ := errors.AsType[*WrongPassword](err); e == nil {
		t.Errorf("got %v", err)
	}
}

func TestPasswordThatIsNone(t *testing.T) {
	v := newVault(t)
	over := &line{Transport: v}
	k := bytes32()
	for _, pass := range []string{"", "a\x00b", "\xff"} {
		if _, err := v.device("alice", over).Recover(t.Context(), pass, wire.RegistrationID{}); !errors.Is(err, ErrPassword) {
			t.Errorf("%q: %v", pass, err)
		}
		if _, _, err := v.device("alice", over).Register(t.Context(), &k, pass, RegisterOptions{}); !errors.Is(err, ErrPassword) {
			t.Errorf("%q: %v", pass, err)
		}
	}
	if over.calls != 0 {
		t.Errorf("%d calls", over.calls)
	}
}
