// SPDX-License-Identifier: Apache-2.0

// Package password makes a password into the bytes that OPAQUE takes, and says how easily it would be guessed.
//
// It guarantees that one password typed on two systems gives the same bytes
// ([Prepare]), and that every weakness it names is told in words for people ([Judge]). It trusts the caller to
// show those words. It refuses text that may come out differently elsewhere.
//
// It promises no more than an estimate. The lists behind it know English words, names, and leaked passwords,
// mostly in Latin letters: a weak password in another language may pass.
package password

import (
	"errors"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MaxBytes bounds a password in UTF-8, as typed and as prepared.
const MaxBytes = 1024

// No error carries any part of the password.
var (
	ErrEmpty     = errors.New("the password is empty")
	ErrTooLong   = errors.New("the password is longer than 1024 bytes")
	ErrNotUTF8   = errors.New("the password is not valid UTF-8")
	ErrForbidden = errors.New("the password has a character that not every device can type or shows the same: " +
		"a control character such as tab, an invisible one, or an emoji that is joined from several")
)

// Prepare applies the OpaqueString profile of RFC 8265 section 4.2 to a password as it was typed:
// every space becomes U+0020, and what can be written in several ways is brought to one (NFC). Case and width stay. What
// comes out stays the same when prepared again. The caller wipes it; of a Go string nothing can be wiped.
//
// Characters that this version of Unicode does not know are refused with [ErrForbidden]. A later version
// might normalise them differently, and the password would stop working with an update.
func Prepare(s string) ([]byte, error) {
	switch {
	case s == "":
		return nil, ErrEmpty
	case len(s) > MaxBytes:
		return nil, ErrTooLong
	case !utf8.ValidString(s):
		return nil, ErrNotUTF8
	}
	typed := []byte(s)
	defer clear(typed)
	prepared, err := precis.OpaqueString.Bytes(typed)
	if err != nil {
		return nil, ErrForbidden // precis has no other reason for text that is not empty
	}
	// NFC makes some characters longer, at most three times.
	if len(prepared) > MaxBytes {
		clear(prepared)
		return nil, ErrTooLong
	}
	return prepared, nil
}
