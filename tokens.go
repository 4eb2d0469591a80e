// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/coffer-backup/coffer/recovery"
)

// deviceTokens are the tokens of a device's login. The refresh token lies in a file, and whoever asks the issuer holds a
// lock meanwhile: an issuer that replaces it takes a second use of the old one, by another process, for theft.
type deviceTokens struct {
	d      *Device
	issuer recovery.Issuer

	mu    sync.Mutex
	saved string // the refresh token in the file, as far as now knows
	now   *recovery.Tokens
}

// Token implements recovery.TokenSource.
func (t *deviceTokens) Token(ctx context.Context, audience string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	unlock, err := t.d.waitFor("token.lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	s, err := t.d.vault()
	if err != nil {
		return "", loginError(err)
	}
	saved, err := t.d.loadToken(s)
	if err != nil {
		return "", loginError(err)
	}
	// One that could not be saved lives on in now: the one in the file may be worthless.
	if t.now == nil || saved != t.saved {
		t.saved, t.now = saved, recovery.NewTokens(t.issuer, saved, func(next string) error {
			err := t.d.saveToken(s, next)
			if err == nil {
				t.saved = next
			}
			return err
		})
	}
	return t.now.Token(ctx, audience)
}

// loginError makes a login that is gone an error that package recovery does not repeat.
func loginError(err error) error {
	if errors.Is(err, ErrNotLoggedIn) {
		return fmt.Errorf("%w: %w", recovery.ErrLogin, err)
	}
	return err
}
