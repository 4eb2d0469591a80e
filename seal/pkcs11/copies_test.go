// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coffer-backup/coffer/seal"
)

// TestCopies opens copies of one folder at one token, as a thief of the disk does that gets at the token, too. What a key was
// used for is taken by one of them.
func TestCopies(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	copied := config
	copied.Folder = filepath.Join(t.TempDir(), "copy")
	s, id, sealed := made(t, config)
	s.Close()
	copyTree(t, config.Folder, copied.Folder)

	first := must(Open(t.Context(), config))(t)
	defer first.Close()
	opens(t, first, id, sealed)
	second := must(Open(t.Context(), copied))(t)
	defer second.Close()
	opens(t, second, id, sealed)
	// The first may look at what is there, but is told nothing of what is not, and of no destruction.
	if err := first.Destroy(t.Context(), id); !errors.Is(err, ErrOvertaken) || !errors.Is(err, seal.ErrInUse) {
		t.Errorf("the first destroys: %v", err)
	}
	if err := second.Destroy(t.Context(), id); err != nil {
		t.Errorf("the second destroys: %v", err)
	}
	refuses(t, first, id, sealed, ErrOvertaken)
	refuses(t, second, id, sealed, seal.ErrNoKey)
	if ids, err := first.Keys(t.Context()); !errors.Is(err, ErrOvertaken) {
		t.Errorf("the first lists: %v, %v", ids, err)
	}
	// The next that is opened has it again.
	first.Close()
	first = must(Open(t.Context(), config))(t)
	defer first.Close()
	refuses(t, first, id, sealed, seal.ErrNoKey)
	if _, err := second.Keys(t.Context()); !errors.Is(err, ErrOvertaken) {
		t.Errorf("the second lists: %v", err)
	}
	if n := hsm.objects(); n != 2 {
		t.Errorf("%d objects", n)
	}
}

// TestCopiesRace lets processes with copies of a folder take one key at the same time, as a planned start does: open, list, destroy.
func TestCopiesRace(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s := must(Create(t.Context(), config))(t)
	for round := range 6 {
		id := must(s.NewKey(t.Context()))(t)
		sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
		s.Close()
		const copies = 3
		var takers sync.WaitGroup
		var taken atomic.Int32
		for n := range copies {
			copied := config
			copied.Folder = filepath.Join(t.TempDir(), fmt.Sprint(round, n))
			copyTree(t, config.Folder, copied.Folder)
			taker := child(t, copied, "take", 0, id)
			taker.Env = append(taker.Env, sealedVariable+"="+hex.EncodeToString(sealed))
			takers.Go(func() {
				out, err := taker.CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				if bytes.Contains(out, []byte("taken")) {
					taken.Add(1)
				}
			})
		}
		takers.Wait()
		if taken.Load() > 1 {
			t.Errorf("%d copies have used the key", taken.Load())
		}
		t.Logf("%d of %d copies", taken.Load(), copies)
		s = must(Open(t.Context(), config))(t)
	}
	s.Close()
}

// takes uses a key as a boot does, and says whether nobody else can have.
func takes(t *testing.T, config Config, id seal.KeyID, sealed []byte) bool {
	s, err := Open(t.Context(), config)
	if err != nil {
		return false
	}
	defer s.Close()
	if _, err := s.Open(t.Context(), id, sealed, aad); err != nil {
		return false
	}
	ids, err := s.Keys(t.Context())
	for _, id := range ids {
		err = errors.Join(err, s.Destroy(t.Context(), id))
	}
	return err == nil
}
