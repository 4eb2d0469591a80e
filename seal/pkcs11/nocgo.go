// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package pkcs11

import (
	"context"

	"github.com/coffer-backup/coffer/seal"
)

// Sealer would implement [seal.Sealer]; without cgo there is none.
type Sealer struct{ seal.Sealer }

// Usable returns [ErrNoCgo].
func Usable() error { return ErrNoCgo }

// Create returns [ErrNoCgo].
func Create(context.Context, Config) (*Sealer, error) { return nil, ErrNoCgo }

// Open returns [ErrNoCgo].
func Open(context.Context, Config) (*Sealer, error) { return nil, ErrNoCgo }

// Remove returns [ErrNoCgo].
func Remove(context.Context, Config) error { return ErrNoCgo }
