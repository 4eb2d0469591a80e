// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"

	"github.com/coffer-backup/coffer/vault"
)

// checkWrongPIN tells the device a wrong PIN once, and sees that it is refused, that nothing opens by it, and that the right one opens afterwards.
func checkWrongPIN(a *app, right *vault.Seal, place string) error {
	n, err := rand.Int(rand.Reader, big.NewInt(1e12))
	if err != nil {
		return err
	}
	wrong, ok := right.WithSecret(vault.Kept(fmt.Appendf(nil, "%012d", n)))
	if !ok {
		return usagef("--wrong-pin: this sealer has no PIN and no auth value")
	}
	s, err := wrong.Open(a.ctx, place)
	if err == nil {
		return errors.Join(errors.New("the device took a wrong PIN"), s.Close())
	}
	if !vault.SecretRefused(err) {
		return fmt.Errorf("a wrong PIN: %w", err)
	}
	if err := right.Forgive(place); err != nil {
		return err
	}
	if s, err = right.Open(a.ctx, place); err != nil {
		return fmt.Errorf("the right PIN, after a wrong one: %w", err)
	}
	fmt.Fprintln(a.out, "A wrong PIN is refused, and was tried once.")
	return s.Close()
}
