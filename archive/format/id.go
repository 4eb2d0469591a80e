// SPDX-License-Identifier: Apache-2.0

package format

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// ID is a random 16-byte name: of an archive or of a device.
type ID [16]byte

// NewID makes a random id.
func NewID() ID {
	var id ID
	rand.Read(id[:])
	return id
}

// ParseID reads the 32 hexadecimal digits that String prints.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("an id has 32 hexadecimal digits, %q has %d", s, len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return ID{}, fmt.Errorf("%q is not a lower-case hexadecimal id", s)
	}
	return id, nil
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id was never set.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText gives the hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText gave.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}
