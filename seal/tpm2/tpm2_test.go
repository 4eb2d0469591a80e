// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tpm2

import (
	"testing"

	"github.com/coffer-backup/coffer/seal"
	"github.com/coffer-backup/coffer/seal/sealtest"
)

var (
	secret = []byte("epoch key")
	aad    = []byte("epoch 3")
)

func TestConformance(t *testing.T) {
	chip := newTPM(t)
	sealtest.Run(t, func(t *testing.T) (seal.Sealer, func() seal.Sealer) {
		config := chip.config(t)
		s := must(Create(t.Context(), config))(t)
		return s, func() seal.Sealer {
			s.Close()
			s = must(Open(t.Context(), config))(t)
			return s
		}
	})
}
