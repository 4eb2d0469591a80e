// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"errors"
	"testing"

	"github.com/coffer-backup/coffer/wire"
)

// A device dies between the steps of a registration, or its disk fails: what was before stays, and Confirm goes on from there.
func TestRegistrationInterrupted(t *testing.T) {
	v := newVault(t)
	k, old := v.enroll("alice")
	c := v.device("alice", v)
	disk := errors.New("the disk is full")
	id, _, err := c.Register(t.Context(), &k, "another password", RegisterOptions{
		BeforeConfirm: func(wire.RegistrationID) error { return disk },
	})
	if !errors.Is(err, disk) {
		t.Fatal(err)
	}
	mustRecover(t, c, old, k)
	if _, err := c.Recover(t.Context(), "another password", id); !errors.Is(err, ErrNoRegistration) {
		t.Errorf("a guess at a pending registration: %v", err)
	}
	if done, err := c.Confirm(t.Context(), id, &k, nil); err != nil || done.Replaced != 1 {
		t.Errorf("confirmed later: %v, %v", done, err)
	}
}

// A registration that is not confirmed in time is gone, and another one is needed.
func TestConfirmedTooLate(t *testing.T) {
	v := newVault(t)
	k, old := v.enroll("alice")
	c := v.device("alice", v)
	_, _, err := c.Register(t.Context(), &k, "another password", RegisterOptions{
		BeforeConfirm: func(wire.RegistrationID) error { v.now += wire.UnixMs(v.descriptor.Policy.PendingMs); return nil },
	})
	if !errors.Is(err, ErrRace) {
		t.Errorf("got %v", err)
	}
	mustRecover(t, c, old, k)
}

// The answer to the last step gets lost, and another device is faster than its repetition: the password was set, and is told so.
func TestReplacedBeforeItIsKnown(t *testing.T) {
	v := newVault(t)
	k := bytes32()
	var own wire.RegistrationID
	over := &line{Transport: v, after: func(n int, answer []byte) ([]byte, error) {
		if n != 3 {
			return answer, nil
		}
		v.enroll("alice")
		return nil, errCut
	}}
	_, _, err := v.device("alice", over).Register(t.Context(), &k, right, RegisterOptions{
		BeforeConfirm: func(id wire.RegistrationID) error { own = id; return nil },
	})
	if !errors.Is(err, ErrReplaced) || errors.Is(err, ErrRace) || errors.Is(err, ErrNoRegistration) {
		t.Fatalf("got %v", err)
	}
	c := v.device("alice", v)
	other := bytes32()
	if _, err := c.Confirm(t.Context(), own, &other, nil); !errors.Is(err, ErrProof) {
		t.Errorf("confirmed with another key: %v", err)
	}
	mustRecover(t, c, own, k) // as the text says
}

func TestPutFreshness(t *testing.T) {
	v := newVault(t)
	k, id := v.enroll("alice")
	c := v.device("alice", losing(v, 1, true))
	put := func(archive byte, generation uint64, digest byte) error {
		return c.PutFreshness(t.Context(), id, &k, wire.Freshness{Archive: wire.ArchiveID{archive}, Generation: generation, Digest: [32]byte{digest}})
	}
	for archive := range byte(wire.MaxFreshness) {
		if err := put(archive, 2, 1); err != nil { // the first answer gets lost
			t.Errorf("archive %d: %v", archive, err)
		}
	}
	if err := put(0, 2, 2); !errors.Is(err, ErrOldFreshness) {
		t.Errorf("a fork: %v", err)
	}
	if err := put(0, 1, 1); !errors.Is(err, ErrOldFreshness) {
		t.Errorf("an older state: %v", err)
	}
	if tooMany := new(TooMany); !errors.As(put(wire.MaxFreshness, 1, 1), &tooMany) || tooMany.RetryAfter != 0 {
		t.Error("one archive more was accepted, or refused for another reason")
	}
	k[0] ^= 1
	if err := put(0, 3, 1); !errors.Is(err, ErrProof) {
		t.Errorf("another key: %v", err)
	}
}
