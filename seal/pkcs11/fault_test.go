// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// TestTokenGoes: SoftHSM2 without its storage says that there are no keys. No call takes that for an answer, and
// least of all Destroy. When the token is back, everything is as it was.
func TestTokenGoes(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s, id, sealed := made(t, config)
	for range 2 {
		if err := os.Rename(hsm.dir, hsm.dir+".away"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, newKey := s.NewKey(t.Context())
			_, sealing := s.Seal(t.Context(), id, secret, aad)
			_, opening := s.Open(t.Context(), id, sealed, aad)
			_, listing := s.Keys(t.Context())
			for call, err := range map[string]error{
				"NewKey": newKey, "Seal": sealing, "Open": opening, "Keys": listing, "Destroy": s.Destroy(t.Context(), id),
			} {
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrTampered) {
					t.Errorf("%s: %v", call, err)
				}
			}
		}
		os.RemoveAll(hsm.dir) // SoftHSM2 may have made it anew
		if err := os.Rename(hsm.dir+".away", hsm.dir); err != nil {
			t.Fatal(err)
		}
		opens(t, s, id, sealed)
	}
	if err := s.Destroy(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	refuses(t, s, id, sealed, seal.ErrNoKey)
}

// TestSessionEnds: a session that is gone costs no call, and a module that is no longer initialised neither.
func TestSessionEnds(t *testing.T) {
	s, id, sealed := made(t, newSoftHSM(t).config(t))
	for name, end := range map[string]func(){
		"session":  func() { s.link.p.CloseSession(s.link.session) },
		"logout":   func() { s.link.p.(*pkcs11.Ctx).Logout(s.link.session) },
		"finalize": func() { s.link.p.(*pkcs11.Ctx).Finalize() },
	} {
		t.Run(name, func(t *testing.T) {
			end()
			opens(t, s, id, sealed)
			end()
			next := must(s.NewKey(t.Context()))(t)
			end()
			if ids := must(s.Keys(t.Context()))(t); len(ids) != 2 {
				t.Errorf("%v", ids)
			}
			end()
			if err := s.Destroy(t.Context(), next); err != nil {
				t.Error(err)
			}
			end()
			if ids := must(s.Keys(t.Context()))(t); len(ids) != 1 {
				t.Errorf("%v", ids)
			}
		})
	}
}

// TestFailingCalls fails each call to the token once and for good, with codes that tokens use.
func TestFailingCalls(t *testing.T) {
	hsm := newSoftHSM(t)
	for _, code := range []pkcs11.Error{pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_GENERAL_ERROR} {
		for _, failing := range []string{"FindObjectsInit", "GenerateKey", "DestroyObject", "Encrypt", "Decrypt"} {
			t.Run(code.Error()+" "+failing, func(t *testing.T) { failCalls(t, hsm, code, failing) })
		}
	}
}

func failCalls(t *testing.T, hsm *softHSM, code error, failing string) {
	fails := 0 // how many more times
	token := &counted{before: func(call string) error {
		if call == failing && fails > 0 {
			fails--
			return code
		}
		return nil
	}}
	s := must(begin(t.Context(), hsm.config(t), token.through, folder.Create, (*Sealer).create))(t)
	defer s.Close()
	id := must(s.NewKey(t.Context()))(t)
	sealed := must(s.Seal(t.Context(), id, secret, aad))(t)
	calls := map[string]func() error{
		"NewKey":  func() error { _, err := s.NewKey(t.Context()); return err },
		"Seal":    func() error { _, err := s.Seal(t.Context(), id, secret, aad); return err },
		"Open":    func() error { _, err := s.Open(t.Context(), id, sealed, aad); return err },
		"Keys":    func() error { _, err := s.Keys(t.Context()); return err },
		"Destroy": func() error { return s.Destroy(t.Context(), id) },
	}
	for _, name := range []string{"NewKey", "Seal", "Open", "Keys", "Destroy"} {
		fails = 1000
		if err := calls[name](); err != nil && (!errors.Is(err, ErrUnavailable) || errors.Is(err, seal.ErrTampered) || errors.Is(err, seal.ErrNoKey)) {
			t.Errorf("%s: %v", name, err)
		} else if err == nil && fails < 1000 {
			t.Errorf("%s: did what it could not", name)
		}
		// One failure of a session that worked is made good within the call, and leaves no trace.
		fails = 0
		must(s.Keys(t.Context()))(t)
		fails = 1
		if err := calls[name](); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		fails = 0
	}
	refuses(t, s, id, sealed, seal.ErrNoKey)
}

// TestLateToken: a token that hangs keeps nobody waiting for longer than he wants, it is not asked for more meanwhile, and when it
// answers after all everything goes on.
func TestLateToken(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	var mu sync.Mutex
	var hang, reached chan struct{}
	token := &counted{before: func(call string) error {
		mu.Lock()
		h, r := hang, reached
		mu.Unlock()
		if call == "Encrypt" && h != nil {
			r <- struct{}{}
			<-h
		}
		return nil
	}}
	s := must(begin(t.Context(), config, token.through, folder.Create, (*Sealer).create))(t)
	defer s.Close()
	id := must(s.NewKey(t.Context()))(t)

	mu.Lock()
	hang, reached = make(chan struct{}), make(chan struct{}, 1)
	mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	given, done := []byte("given"), make(chan error)
	go func() {
		_, err := s.Seal(ctx, id, given, aad)
		done <- err
	}()
	<-reached
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	clear(given) // its owner's again: the race detector would see a reader

	s.config.Timeout = time.Millisecond
	if _, err := s.Keys(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("behind a late call: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Close: %v", err)
	}
	if _, err := Open(t.Context(), config); !errors.Is(err, seal.ErrInUse) {
		t.Errorf("while the token may still act: %v", err)
	}
	s.config.Timeout = 0
	mu.Lock()
	close(hang)
	hang = nil
	mu.Unlock()
	opens(t, s, id, must(s.Seal(t.Context(), id, secret, aad))(t))
}
