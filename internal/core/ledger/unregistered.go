// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/coffer-backup/coffer/wire"
)

// Unregistered is the newest state of an archive that was told under a key of which the account keeps no registration: its owner has
// written down the 64 digits. Only who has the key changes or asks for it, so whoever has the account's tokens alone can at
// most take the places, of which there are wire.MaxFreshness.
type Unregistered struct {
	Manage    wire.ManageHash
	Freshness wire.Freshness
}

// putUnregistered remembers an archive's newest state, at the live registration of the key if there is one, so that there is one place to look. As at
// a registration it never goes back, and none makes room for another. The old list stays as it is: clones share it.
func (a *Account) putUnregistered(op *PutFreshness) Outcome {
	for i := range a.Registrations {
		if r := &a.Registrations[i]; r.State == wire.StateLive && r.Manage.Equal(op.Manage) {
			return a.putFreshness(&PutFreshness{ID: r.ID, Manage: op.Manage, Freshness: op.Freshness})
		}
	}
	i := slices.IndexFunc(a.Unregistered, func(u Unregistered) bool {
		return u.Manage.Equal(op.Manage) && u.Freshness.Archive == op.Freshness.Archive
	})
	switch {
	case i < 0 && len(a.Unregistered) == wire.MaxFreshness:
		return refuse(wire.CodeTooMany)
	case i < 0:
		a.Unregistered = append(slices.Clone(a.Unregistered), Unregistered{op.Manage, op.Freshness})
	case op.Freshness.Generation > a.Unregistered[i].Freshness.Generation:
		a.Unregistered = slices.Clone(a.Unregistered)
		a.Unregistered[i].Freshness = op.Freshness
	case op.Freshness != a.Unregistered[i].Freshness:
		return refuse(wire.CodeOldFreshness)
	}
	return Outcome{FreshnessPut: &wire.FreshnessPut{}}
}

// takeUnregistered removes what was told under the keys of a confirmation, and returns it: the registration remembers it from now on.
func (a *Account) takeUnregistered(op *Confirm) (taken []wire.Freshness) {
	var kept []Unregistered
	for _, u := range a.Unregistered {
		if u.Manage.Equal(op.Manage) || op.Replaces != nil && u.Manage.Equal(*op.Replaces) {
			taken = merge(taken, []wire.Freshness{u.Freshness})
		} else {
			kept = append(kept, u)
		}
	}
	a.Unregistered = kept
	return taken
}
