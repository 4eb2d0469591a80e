// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"crypto/rand"
	"errors"
	"testing"

	"github.com/coffer-backup/coffer/seal"
)

var errFull = errors.New("the disk is full")

// failing is a folder of which one step fails, done all the same or not.
type failing struct {
	files
	n, at int
	done  bool
}

func (f *failing) do(step func() error) error {
	if f.n++; f.n != f.at {
		return step()
	}
	if f.done {
		step()
	}
	return errFull
}

func (f *failing) Write(name string, data []byte) error {
	return f.do(func() error { return f.files.Write(name, data) })
}
func (f *failing) Rename(from, to string) error {
	return f.do(func() error { return f.files.Rename(from, to) })
}
func (f *failing) Remove(name string) error {
	return f.do(func() error { return f.files.Remove(name) })
}
func (f *failing) Sync() error { return f.do(f.files.Sync) }

// TestFolderFails: whichever step of a destroy fails, the key is whole or gone, the same sealer goes on, and a repetition destroys it.
func TestFolderFails(t *testing.T) {
	tpm := newTPM(t)
	config, s, other, others := made(t, tpm)
	s.Close()
	for _, done := range []bool{false, true} {
		for at := 1; ; at++ {
			s = must(Open(t.Context(), config))(t)
			id := must(s.NewKey(t.Context()))(t)
			sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
			f := &failing{files: s.files, at: at, done: done}
			s.files = f
			err := s.Destroy(t.Context(), id)
			if err != nil && !errors.Is(err, errFull) {
				t.Fatalf("step %d: %v", at, err)
			}
			if _, err := s.Open(t.Context(), id, sealed, aad); err != nil && !errors.Is(err, seal.ErrNoKey) {
				t.Errorf("step %d: %v", at, err)
			}
			must(s.Open(t.Context(), other, others, aad))(t)
			if err := s.Destroy(t.Context(), id); err != nil {
				t.Errorf("step %d, repeated: %v", at, err)
			}
			s.Close()
			if alive(t, config, id, sealed, other, others) {
				t.Errorf("step %d: not destroyed", at)
			}
			if f.n < at || t.Failed() {
				break
			}
		}
	}
}

// TestManyKeys: what nobody destroys does not grow without bound, and goes one by one.
func TestManyKeys(t *testing.T) {
	tpm := newTPM(t)
	_, s, id, _ := made(t, tpm)
	err := s.with(t.Context(), func(k *keys) error {
		for len(k.table) < maxKeys {
			var random [idSize]byte
			rand.Read(random[:])
			k.table[seal.NewKeyID(random)] = new([keySize]byte)
		}
		return writeTable(s.files, tableName, k.table, k.value)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewKey(t.Context()); !errors.Is(err, ErrTooManyKeys) {
		t.Errorf("%v", err)
	}
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	must(s.NewKey(t.Context()))(t)
	if n := len(must(s.Keys(t.Context()))(t)); n != maxKeys {
		t.Errorf("%d keys", n)
	}
}
