// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// Repair reads the whole archive and makes it sound again: it fetches good copies of damaged objects from another destination of
// the same archive, if other is not nil; builds indexes anew from the packs; finds the snapshots that only a damaged head named;
// saves what can still be read of damaged packs; and takes out of the archive what is lost, so that the next backup stores again
// what the source still has. A snapshot that cannot be read stays in the archive, because another destination may have it. Open the
// archive with AllowOlder if its newest head is damaged. Errors: ErrLocked, ErrConcurrent,
// ErrKeyReplaced, ErrDamaged if the newest keyring is lost, the destination's.
func (a *Archive) Repair(ctx context.Context, other blob.Store, p *Progress) (*RepairReport, error) {
	if errors.Is(a.replaced, ErrKeyReplaced) {
		return nil, a.replaced
	}
	a.others = nil // damage must show before it can be mended
	release, err := a.lock(ctx, "repair", true)
	if err != nil {
		return nil, err
	}
	defer release()
	r := &repair{a: a, other: other, p: p, report: &RepairReport{}}
	if other != nil {
		r.copy = &Archive{store: guard(other), id: a.id, keyring: a.keyring, o: Options{AllowOlder: true}}
	}
	if err := r.dropKeyrings(ctx); err != nil {
		return nil, err
	}
	if r.report.Rebuilt, err = a.mendKeyring(ctx); err != nil {
		return nil, err
	}
	if err := r.fetchHeads(ctx); err != nil {
		return nil, err
	}
	if err := a.loadHead(ctx); err != nil {
		return nil, err
	}
	if err := r.fetchNewer(ctx); err != nil {
		return nil, err
	}
	if err := r.fetchObjects(ctx); err != nil {
		return nil, err
	}
	if err := r.rebuild(ctx); err != nil {
		return nil, err
	}
	after, err := a.Verify(ctx, VerifyConfig{Progress: p})
	if err != nil {
		return nil, err
	}
	r.report.Lost = append(r.report.Lost, after.Affected...)
	r.report.Notices = a.Notices()
	return r.report, nil
}

type repair struct {
	a      *Archive
	other  blob.Store
	copy   *Archive // the same archive at the other destination; nil without one
	p      *Progress
	report *RepairReport
	lost   []headName // heads that nobody has whole
}

// fetch replaces an object with the other destination's copy, if that has a good one.
func (r *repair) fetch(ctx context.Context, name string, digest format.Digest, limit int) (bool, error) {
	if r.other == nil {
		return false, nil
	}
	data, err := readAll(ctx, r.other, name, limit)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, ErrDamaged) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s from the other destination: %w", name, err)
	}
	if format.DigestOf(data) != digest {
		return false, nil // damaged there, too
	}
	if err := r.a.delete(ctx, name); err != nil {
		return false, err
	}
	if err := r.a.put(ctx, name, data); err != nil {
		return false, err
	}
	r.report.Fetched = append(r.report.Fetched, name)
	return true, nil
}

// fetchHeads mends damaged heads, and deletes those that nobody has whole: what they said is in the heads before them, or found
// again by rebuild, or lost.
func (r *repair) fetchHeads(ctx context.Context) error {
	names, err := r.a.listHeads(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		_, err := r.a.readHead(ctx, n)
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrDamaged) {
			return err
		}
		name := r.a.name(dirHeads, n.String())
		if ok, err := r.fetch(ctx, name, n.digest, format.MaxObjectSize); err != nil || ok {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.a.delete(ctx, name); err != nil {
			return err
		}
		r.report.Dropped = append(r.report.Dropped, name)
		r.lost = append(r.lost, n)
	}
	return nil
}

// fetchObjects mends what the head names: snapshots, indexes, and all packs that are not what they are named by.
func (r *repair) fetchObjects(ctx context.Context) error {
	a := r.a
	if r.other == nil {
		return nil
	}
	for _, s := range a.head.Snapshots {
		_, err := a.readSnapshot(ctx, s.Name)
		if err := r.mend(ctx, format.TypeSnapshot, s.Name, err); err != nil {
			return err
		}
	}
	for _, d := range a.head.Indexes {
		_, err := a.readIndex(ctx, d)
		if err := r.mend(ctx, format.TypeIndex, d, err); err != nil {
			return err
		}
	}
	v, err := r.verify(ctx)
	if err != nil {
		return err
	}
	for name := range v.damagedPacks() {
		if _, err := r.fetch(ctx, a.name(dirPacks, name.String()), name, format.MaxPackSize); err != nil {
			return err
		}
	}
	return nil
}

func (r *repair) mend(ctx context.Context, t format.Type, digest format.Digest, err error) error {
	if err == nil || !errors.Is(err, ErrDamaged) {
		return err
	}
	_, err = r.fetch(ctx, r.a.name(dirOf(t), digest.String()), digest, format.MaxObjectSize)
	return err
}

// verify reads all packs that the indexes know.
func (r *repair) verify(ctx context.Context) (*verification, error) {
	v := &verification{a: r.a, c: VerifyConfig{ReadAll: true, Progress: r.p}, report: &VerifyReport{}, bad: map[format.ContentID]bool{}}
	if err := v.indexes(ctx); err != nil {
		return nil, err
	}
	return v, v.packs(ctx)
}

// damagedPacks returns the catalog's packs that are not whole.
func (v *verification) damagedPacks() map[format.Digest]uint32 {
	damaged := map[format.Digest]uint32{}
	for _, d := range v.report.Damage {
		for n := range v.a.catalog.packs {
			if name := v.a.catalog.packs[n].Name; d.Object == v.a.name(dirPacks, name.String()) {
				damaged[name] = uint32(n)
			}
		}
	}
	return damaged
}

// rebuild makes a head that names only what is whole.
func (r *repair) rebuild(ctx context.Context) error {
	a := r.a
	v, err := r.verify(ctx)
	if err != nil {
		return err
	}
	start := a.head
	// The new head follows the lost ones: whoever has seen one of them need not take it for a rollback.
	for _, n := range r.lost {
		if len(a.tips) < format.MaxParents && n.generation < maxGeneration {
			a.tips = append(a.tips, n)
		}
	}
	described := a.catalog.numbers
	added, err := r.fetchMissing(ctx)
	if err != nil {
		return err
	}
	snapshots, err := r.allSnapshots(ctx)
	if err != nil {
		return err
	}
	damaged := v.damagedPacks()
	packs, lostIndexes, err := r.wholePacks(ctx, damaged)
	if err != nil {
		return err
	}
	if len(snapshots) == len(start.Snapshots) && len(damaged)+len(added)+lostIndexes+len(r.report.Dropped) == 0 && len(a.tips) == 1 {
		return r.sweep(ctx, v, described) // sound
	}
	saved, err := r.save(ctx, damaged)
	if err != nil {
		return err
	}
	indexes, err := a.putIndexes(ctx, slices.Concat(packs, added, saved))
	if err != nil {
		return err
	}
	err = a.commit(ctx, func(h *format.Head) error {
		if a.head != start {
			return ErrConcurrent
		}
		h.Snapshots, h.Indexes = snapshots, indexes
		return nil
	})
	if err != nil {
		return err
	}
	for name := range damaged { // nothing refers to it any more, and what could be read of it is in a new pack
		full := a.name(dirPacks, name.String())
		if err := a.delete(ctx, full); err != nil {
			return err
		}
		r.report.Dropped = append(r.report.Dropped, full)
	}
	return r.sweep(ctx, v, described)
}

// sweep deletes what v found damaged of objects that nothing refers to; packs are those that indexes described then.
func (r *repair) sweep(ctx context.Context, v *verification, packs map[format.Digest]uint32) error {
	a := r.a
	var useless []string
	for _, d := range v.report.Damage {
		dir, rest, _ := strings.Cut(strings.TrimPrefix(d.Object, a.name("", "")), "/")
		digest, _ := format.ParseDigest(rest)
		_, described := packs[digest]
		if dir+"/" == dirPacks && !described || dir+"/" == dirIndexes && !slices.Contains(a.head.Indexes, digest) {
			useless = append(useless, d.Object)
		}
	}
	for o, err := range a.list(ctx, dirSnapshots) {
		if err != nil {
			return err
		}
		if slices.ContainsFunc(a.head.Snapshots, func(s format.SnapshotRef) bool { return s.Name == o.digest }) {
			continue
		}
		if _, err := a.readSnapshot(ctx, o.digest); errors.Is(err, ErrDamaged) {
			useless = append(useless, a.name(dirSnapshots, o.digest.String()))
		}
	}
	for _, name := range useless {
		if err := a.delete(ctx, name); err != nil {
			return err
		}
		if !slices.Contains(r.report.Rebuilt, name) {
			r.report.Dropped = append(r.report.Dropped, name)
		}
	}
	slices.Sort(r.report.Dropped)
	return nil
}

// allSnapshots returns the snapshots of the head, and those that only a lost head named. Some may be damaged: those are for the
// user to mend or to forget.
func (r *repair) allSnapshots(ctx context.Context) ([]format.SnapshotRef, error) {
	all := slices.Clone(r.a.head.Snapshots)
	if len(r.lost) == 0 {
		return all, nil
	}
	found, err := r.unnamedSnapshots(ctx)
	all = append(all, found...)
	sortSnapshots(all)
	return all, err
}

// unnamedSnapshots finds whole snapshots that no head names, and that are not to be deleted. A snapshot is stored when all that it
// needs is.
func (r *repair) unnamedSnapshots(ctx context.Context) (found []format.SnapshotRef, err error) {
	known := r.marked()
	for _, s := range r.a.head.Snapshots {
		known[s.Name] = true
	}
	for o, err := range r.a.list(ctx, dirSnapshots) {
		if err != nil {
			return nil, err
		}
		if known[o.digest] {
			continue
		}
		s, err := r.a.readSnapshot(ctx, o.digest)
		switch {
		case err == nil:
			found = append(found, format.SnapshotRef{Name: o.digest, Time: s.Time, Files: s.Files, Bytes: s.Bytes})
		case !errors.Is(err, ErrDamaged):
			return nil, err
		}
	}
	return found, nil
}

// marked returns what waits for deletion.
func (r *repair) marked() map[format.Digest]bool {
	marked := map[format.Digest]bool{}
	for _, m := range r.a.head.Marks {
		marked[m.Name] = true
	}
	return marked
}

// wholePacks describes all packs that are whole. Those that only a damaged index or head knew are read for it.
func (r *repair) wholePacks(ctx context.Context, damaged map[format.Digest]uint32) (packs []format.Pack, lostIndexes int, err error) {
	a := r.a
	known := r.marked()
	for _, d := range a.head.Indexes {
		described, err := a.readIndex(ctx, d)
		if errors.Is(err, ErrDamaged) {
			lostIndexes++
			r.report.Rebuilt = append(r.report.Rebuilt, a.name(dirIndexes, d.String()))
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		for _, p := range described {
			if _, broken := damaged[p.Name]; !broken {
				packs = append(packs, p)
			}
			known[p.Name] = true
		}
	}
	if lostIndexes == 0 && len(r.lost) == 0 {
		return packs, 0, nil
	}
	present, err := a.listPacks(ctx)
	if err != nil {
		return nil, 0, err
	}
	for name, size := range present {
		if known[name] {
			continue
		}
		p, err := a.readPackIndex(ctx, name, size)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, 0, err
		}
		if err == nil {
			packs = append(packs, p)
		}
	}
	return packs, lostIndexes, nil
}

// save copies what can still be read of damaged packs into new ones.
func (r *repair) save(ctx context.Context, damaged map[format.Digest]uint32) ([]format.Pack, error) {
	var wants []want
	for id, l := range r.a.catalog.contents {
		if name := r.a.catalog.packs[l.pack].Name; damaged[name] == l.pack {
			if _, broken := damaged[name]; broken {
				wants = append(wants, want{location: l, id: id})
			}
		}
	}
	if len(wants) == 0 {
		return nil, nil
	}
	r.p.begin("saving what can be read of damaged packs", 0, int64(len(wants)))
	return r.a.repack(ctx, wants, func(_ want, err error) error {
		if errors.Is(err, ErrDamaged) {
			return nil
		}
		return err
	}, nil)
}
