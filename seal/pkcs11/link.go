// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/miekg/pkcs11"
)

// link is one session with the token, in which the user is logged in. One is enough: a core asks one thing at a time, and
// tokens do not get faster with more of them.
type link struct {
	p       cryptoki
	session pkcs11.SessionHandle
	serial  string // of the token
	name    []byte // of our objects: their CKA_ID
	owner   string // label of the object that says that this sealer is the last one that was opened
	release func()
}

// dial opens a session and logs in. It gives the token the PIN at most once.
func (s *Sealer) dial(a *anchor) (*link, error) {
	m, err := acquire(s.config.Module)
	if err != nil {
		return nil, err
	}
	l := &link{p: s.through(m.context), name: a.Name, owner: s.owner, release: m.release}
	if err := l.connect(&s.config, a.Serial); err != nil {
		m.release()
		return nil, s.remember(err)
	}
	return l, nil
}

// connect logs in to a token of that serial number, if one is given.
func (l *link) connect(c *Config, serial string) error {
	slot, info, err := l.slot(c.Token, c.Serial)
	if err != nil {
		return err
	}
	if l.serial = info.SerialNumber; serial != "" && serial != l.serial {
		return fmt.Errorf("%w (serial number %q, and not %q)", ErrOtherToken, l.serial, serial)
	}
	if err := pinState(info.Flags); err != nil {
		return err
	}
	// The session ends with the process, if not before, and the login with it.
	if l.session, err = l.p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION); err != nil {
		return explain(err)
	}
	if err := l.login(c.PIN); err != nil {
		l.p.CloseSession(l.session)
		return err
	}
	return nil
}

// slot finds the only token of that label and serial number.
func (l *link) slot(label, serial string) (slot uint, found pkcs11.TokenInfo, err error) {
	slots, err := l.p.GetSlotList(true)
	if err != nil {
		return 0, found, explain(err)
	}
	matches := 0
	for _, candidate := range slots {
		info, err := l.p.GetTokenInfo(candidate)
		// One that fails may be somebody else's.
		if err == nil && info.Label == label && (serial == "" || info.SerialNumber == serial) {
			matches, slot, found = matches+1, candidate, info
		}
	}
	if matches != 1 {
		return 0, found, fmt.Errorf("%w: %d have the label %q and the serial number %q; the number may be left out if the label is enough", ErrNoToken, matches, label, serial)
	}
	return slot, found, nil
}

// pinState refuses to try a PIN where that could make things worse.
func pinState(flags uint) error {
	switch {
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return ErrPINLocked
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return ErrFinalTry
	}
	return nil
}

func (l *link) login(ask func() ([]byte, error)) error {
	if ask == nil {
		return fmt.Errorf("%w: there is no PIN", ErrConfig)
	}
	pin, err := ask()
	if err != nil {
		return err
	}
	defer clear(pin)
	if len(pin) == 0 {
		return fmt.Errorf("%w: the PIN is empty", ErrConfig)
	}
	// The library wants a string, which cannot be wiped; this one is made of the bytes that are.
	err = l.p.Login(l.session, pkcs11.CKU_USER, unsafe.String(unsafe.SliceData(pin), len(pin)))
	if is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) { // another sealer of this process, at the same token
		return nil
	}
	return explain(err)
}

// close ends the session. A token that is gone has ended it already.
func (l *link) close() {
	l.p.CloseSession(l.session)
	l.release()
}

func is(err error, codes ...uint) bool {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return false
	}
	for _, c := range codes {
		if uint(code) == c {
			return true
		}
	}
	return false
}

// explain gives a token's code the name that an operator can act on.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case is(err, pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE):
		return fmt.Errorf("%w (%w)", ErrPIN, err)
	case is(err, pkcs11.CKR_PIN_LOCKED):
		return fmt.Errorf("%w (%w)", ErrPINLocked, err)
	case is(err, pkcs11.CKR_PIN_EXPIRED, pkcs11.CKR_USER_PIN_NOT_INITIALIZED):
		return fmt.Errorf("set the token's user PIN with the vendor's tool: %w", err)
	case is(err, pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_MECHANISM_PARAM_INVALID, pkcs11.CKR_TEMPLATE_INCONSISTENT,
		pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID):
		return fmt.Errorf("%w: it needs AES-256 with CKM_AES_GCM, and keys that can be neither extracted nor copied (PKCS#11 2.40) (%w)", ErrUnfit, err)
	}
	return fmt.Errorf("%w (%w)", ErrUnavailable, err)
}
