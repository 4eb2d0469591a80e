// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package pkcs11

import (
	"errors"
	"testing"
)

func TestWithoutCgo(t *testing.T) {
	_, created := Create(t.Context(), Config{})
	_, opened := Open(t.Context(), Config{})
	for _, err := range []error{created, opened, Remove(t.Context(), Config{}), Usable()} {
		if !errors.Is(err, ErrNoCgo) {
			t.Errorf("%v", err)
		}
	}
}
