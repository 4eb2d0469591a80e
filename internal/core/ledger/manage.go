// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/coffer-backup/coffer/wire"
)

// delete ends a registration: at once with the proof of its K, after the grace period without (INV-PROOF).
// Without a registration's id, and with a proof, it is what the account itself remembers under that key which goes.
func (a *Account) delete(now wire.UnixMs, op *Delete) Outcome {
	if op.ID == (wire.RegistrationID{}) && op.Proof != nil {
		a.takeUnregistered(&Confirm{Manage: *op.Proof})
		return Outcome{Deleted: &wire.Deleted{}}
	}
	r, refusal := a.lookup(op.ID)
	switch {
	case refusal != nil:
		return Outcome{Refusal: refusal}
	case op.Proof != nil && !r.Manage.Equal(*op.Proof):
		return refuse(wire.CodeProof)
	case op.Proof != nil || r.State == wire.StatePending:
		a.remove(func(r *Registration) bool { return r.ID == op.ID })
		return Outcome{Deleted: &wire.Deleted{}}
	case r.State == wire.StateLive:
		return Outcome{Deleted: &wire.Deleted{RetainedMs: r.retain(now)}}
	}
	return Outcome{Deleted: &wire.Deleted{RetainedMs: until(now, r.deadline())}}
}

// putFreshness remembers an archive's newest state. It never goes back, so that no
// destination can pass off an old archive as the newest. Without a registration's id it is the account that remembers.
func (a *Account) putFreshness(op *PutFreshness) Outcome {
	if op.ID == (wire.RegistrationID{}) {
		return a.putUnregistered(op)
	}
	r, refusal := a.lookupConfirmed(op.ID)
	switch {
	case refusal != nil:
		return Outcome{Refusal: refusal}
	case !r.Manage.Equal(op.Manage):
		return refuse(wire.CodeProof)
	}
	if code := r.putFreshness(op.Freshness); code != 0 {
		return refuse(code)
	}
	return Outcome{FreshnessPut: &wire.FreshnessPut{}}
}

// putFreshness returns 0, or why f is refused. An archive too many never makes room for itself: the one that went could be told
// anew, in an older state, by a host that replays. What is known already changes nothing.
func (r *Registration) putFreshness(f wire.Freshness) wire.Code {
	i := indexOf(r.Freshness, f.Archive)
	switch {
	case i < 0 && len(r.Freshness) == wire.MaxFreshness:
		return wire.CodeTooMany
	case i < 0 || f.Generation > r.Freshness[i].Generation:
		r.Freshness = remember(r.Freshness, f)
	case f != r.Freshness[i]:
		return wire.CodeOldFreshness
	}
	return 0
}

func indexOf(list []wire.Freshness, archive wire.ArchiveID) int {
	return slices.IndexFunc(list, func(f wire.Freshness) bool { return f.Archive == archive })
}

// remember returns the list with f as its last. It is in the order of the last news of each archive, and
// there are only so many: the first one makes room. The old list stays as it is, an answer may still hold it.
func remember(list []wire.Freshness, f wire.Freshness) []wire.Freshness {
	list = slices.DeleteFunc(slices.Clone(list), func(known wire.Freshness) bool { return known.Archive == f.Archive })
	list = append(list, f)
	return list[max(0, len(list)-wire.MaxFreshness):]
}
