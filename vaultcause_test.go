// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/recovery"
)

func TestVaultCauses(t *testing.T) {
	for _, test := range []struct {
		err  error
		want coffer.Cause
	}{
		{&recovery.WrongPassword{GuessesLeft: 2}, coffer.CauseWrongPassword},
		{&recovery.WrongPassword{Last: true}, coffer.CauseDestroyed},
		{&recovery.Locked{}, coffer.CauseTooEarly},
		{recovery.ErrDestroyed, coffer.CauseDestroyed},
		{recovery.ErrExhausted, coffer.CauseDestroyed},
		{recovery.ErrNoRegistration, coffer.CauseNoRegistration},
		{recovery.ErrNotPrimary, coffer.CauseNotPrimary},
		{recovery.ErrLogin, coffer.CauseLogin},
		{coffer.ErrNotLoggedIn, coffer.CauseLogin},
		{recovery.ErrUnavailable, coffer.CauseVault},
		{fmt.Errorf("%w: %w", recovery.ErrUnavailable, context.DeadlineExceeded), coffer.CauseVault},
		{fmt.Errorf("%w: %w", recovery.ErrUnavailable, context.Canceled), coffer.CauseInterrupted},
		{context.DeadlineExceeded, coffer.CauseInterrupted},
		{&recovery.Busy{}, coffer.CauseVault},
		{&recovery.MaybeCounted{Err: recovery.ErrUnavailable}, coffer.CauseVault},
		{&recovery.MaybeCounted{Err: context.Canceled}, coffer.CauseInterrupted},
		{recovery.ErrFleetChanged, coffer.CauseFleet},
		{recovery.ErrPassword, coffer.CauseWeakPassword},
		{coffer.ErrWeakPassword, coffer.CauseWeakPassword},
		{coffer.ErrOtherPassword, coffer.CauseWrongPassword},
		{coffer.ErrHasPassword, coffer.CauseHasPassword},
		{fmt.Errorf("%w (%w)", coffer.ErrNotTaken, recovery.ErrRace), coffer.CauseNotTaken},
		{recovery.ErrReplaced, coffer.CauseReplaced},
		{coffer.ErrVaultURL, coffer.CauseVaultURL},
	} {
		if got := coffer.CauseOf(fmt.Errorf("wrapped: %w", test.err)); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
}
