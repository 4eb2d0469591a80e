// SPDX-License-Identifier: Apache-2.0

package format

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the size of a backup key in bytes.
const KeySize = 32

// Key is the backup key K. It prints as "(redacted)", so that no log or error can hold it by accident;
// Digits is the one way to see it.
type Key struct{ b masked }

// ErrKeyDigits says that a text is not a key. The error that wraps it says why, and never quotes the text.
var ErrKeyDigits = errors.New("not a 64-digit key")

// NewKey makes a key from the operating system's entropy.
func NewKey() Key { return Key{newMasked()} }

// ParseKey reads a key as people type it: 64 hexadecimal digits in either case, with spaces, line ends and dashes
// wherever they like. Errors wrap ErrKeyDigits.
func ParseKey(text string) (Key, error) {
	var buf [2 * KeySize]byte
	defer clear(buf[:])
	digits := buf[:0]
	for _, r := range text {
		switch {
		case r == '-' || r == ' ' || r == '\t' || r == '\r' || r == '\n' || r == '\u00a0' || r == '\u2013':
			continue
		case !strings.ContainsRune("0123456789abcdefABCDEF", r):
			return Key{}, fmt.Errorf("%w: it may hold only the digits 0-9 and a-f, spaces and dashes", ErrKeyDigits)
		case len(digits) == len(buf):
			return Key{}, fmt.Errorf("%w: there are more than 64 digits", ErrKeyDigits)
		}
		digits = append(digits, byte(r))
	}
	if len(digits) < len(buf) {
		return Key{}, fmt.Errorf("%w: there are only %d digits", ErrKeyDigits, len(digits))
	}
	n, err := hex.Decode(digits, digits)
	if err != nil {
		return Key{}, ErrKeyDigits
	}
	return Key{conceal(digits[:n])}, nil
}

// Digits returns the key as 16 groups of four lower-case hexadecimal digits, separated by spaces; of no key,
// nothing.
func (k Key) Digits() string {
	if k.IsZero() {
		return ""
	}
	b := k.b.reveal()
	defer clear(b)
	var sb strings.Builder
	for i := 0; i < KeySize; i += 2 {
		if i > 0 {
			sb.WriteByte(' ')
		}
		fmt.Fprintf(&sb, "%x", b[i:i+2])
	}
	return sb.String()
}

// IsZero reports whether the key was never set.
func (k Key) IsZero() bool { return k == Key{} }

// Wipe overwrites the key in place.
func (k *Key) Wipe() { clear(k.b[:]) }

const redacted = "(redacted)"

func (Key) String() string               { return redacted }
func (Key) GoString() string             { return redacted }
func (Key) Format(s fmt.State, _ rune)   { s.Write([]byte(redacted)) }
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
