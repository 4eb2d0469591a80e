// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/coffer-backup/coffer/seal/internal/folder"
)

// TestWrongPIN: one wrong PIN reaches the token once, however often a service manager starts us again, and then the right one works.
func TestWrongPIN(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	s, id, sealed := made(t, config)
	s.Close()

	var asked [][]byte
	token := &counted{}
	start := func(pin string) error {
		config.PIN = func() ([]byte, error) {
			asked = append(asked, []byte(pin))
			return asked[len(asked)-1], nil
		}
		s, err := begin(t.Context(), config, token.through, folder.Open, (*Sealer).open)
		if err == nil {
			defer s.Close()
			opens(t, s, id, sealed)
		}
		return err
	}
	for range 3 {
		err := start(wrongPIN)
		if !errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), filepath.Join(config.Folder, RefusedName)) || strings.Contains(err.Error(), wrongPIN) {
			t.Fatalf("%v", err)
		}
	}
	if token.logins != 1 {
		t.Errorf("%d logins", token.logins)
	}
	// What is not asked for cannot be wrong: the right one waits for the operator's word, too.
	if err := start(rightPIN); !errors.Is(err, ErrPIN) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(filepath.Join(config.Folder, RefusedName)); err != nil {
		t.Fatal(err)
	}
	if err := start(rightPIN); err != nil || token.logins != 2 {
		t.Errorf("%v after %d logins", err, token.logins)
	}
	for _, pin := range asked {
		if !bytes.Equal(pin, make([]byte, len(pin))) {
			t.Errorf("a PIN was not wiped: %q", pin)
		}
	}
}

// TestPINChangesWhileRunning: a session that has to be opened anew meets a PIN that is no longer right. It is tried
// once, whatever is asked of the sealer after that.
func TestPINChangesWhileRunning(t *testing.T) {
	hsm := newSoftHSM(t)
	config := hsm.config(t)
	pin := rightPIN
	config.PIN = func() ([]byte, error) { return []byte(pin), nil }
	token := &counted{}
	s := must(begin(t.Context(), config, token.through, folder.Create, (*Sealer).create))(t)
	defer s.Close()
	id := must(s.NewKey(t.Context()))(t)

	pin = wrongPIN
	s.link.p.CloseSession(s.link.session)
	for range 3 {
		if _, err := s.Seal(t.Context(), id, secret, aad); !errors.Is(err, ErrPIN) {
			t.Errorf("%v", err)
		}
	}
	if token.logins != 2 {
		t.Errorf("%d logins", token.logins)
	}
}

// TestLockedPIN sets in the token's own storage what a token sets after wrong PINs; SoftHSM2 itself never does, but it tells of it.
func TestLockedPIN(t *testing.T) {
	for name, c := range map[string]struct {
		flag uint64
		want error
	}{
		"locked":    {pkcs11.CKF_USER_PIN_LOCKED, ErrPINLocked},
		"final try": {pkcs11.CKF_USER_PIN_FINAL_TRY, ErrFinalTry},
	} {
		t.Run(name, func(t *testing.T) {
			hsm := newSoftHSM(t)
			config := hsm.config(t)
			s, _, _ := made(t, config)
			s.Close()
			hsm.setFlag(c.flag)

			token := &counted{}
			_, err := begin(t.Context(), config, token.through, folder.Open, (*Sealer).open)
			if !errors.Is(err, c.want) || token.logins != 0 {
				t.Errorf("%v after %d logins", err, token.logins)
			}
			// It is the operator's to mend, and no file stands in the way afterwards.
			hsm.setFlag(c.flag)
			must(Open(t.Context(), config))(t).Close()
		})
	}
}

// setFlag turns a flag of the only token over in SoftHSM2's file of it, where the flags stand behind their attribute's type and kind.
func (h *softHSM) setFlag(flag uint64) {
	h.t.Helper()
	name := must(filepath.Glob(filepath.Join(h.dir, "*", "token.object")))(h.t)[0]
	file := must(os.ReadFile(name))(h.t)
	attribute := []byte{0, 0, 0, 0, 0x80, 0, 'S', 'K', 0, 0, 0, 0, 0, 0, 0, 2}
	at := bytes.Index(file, attribute) + len(attribute)
	if at < len(attribute) || at+8 > len(file) {
		h.t.Fatal("found no flags in the token's file")
	}
	binary.BigEndian.PutUint64(file[at:], binary.BigEndian.Uint64(file[at:])^flag)
	if err := os.WriteFile(name, file, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// TestCodes: what a token may answer to a login, by the name that an operator can act on.
func TestCodes(t *testing.T) {
	for code, want := range map[uint]error{
		pkcs11.CKR_PIN_INCORRECT: ErrPIN, pkcs11.CKR_PIN_LEN_RANGE: ErrPIN, pkcs11.CKR_PIN_LOCKED: ErrPINLocked,
		pkcs11.CKR_DEVICE_REMOVED: ErrUnavailable, pkcs11.CKR_SESSION_HANDLE_INVALID: ErrUnavailable,
		pkcs11.CKR_MECHANISM_INVALID: ErrUnfit,
	} {
		if err := explain(pkcs11.Error(code)); !errors.Is(err, want) {
			t.Errorf("%#x: %v", code, err)
		}
	}
}
