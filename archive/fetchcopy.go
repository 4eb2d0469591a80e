// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"

	"github.com/coffer-backup/coffer/archive/format"
)

// fetchNewer copies the other destination's newest head here if it follows the one that is here: this destination has lost, or
// never had, what came after.
func (r *repair) fetchNewer(ctx context.Context) error {
	a := r.a
	if r.copy == nil {
		return nil
	}
	if err := r.copy.loadHead(ctx); errors.Is(err, ErrDamaged) {
		a.notice("the other destination's newest state cannot be read: %v", err)
		r.copy.head = &format.Head{}
		return nil
	} else if err != nil {
		return err
	}
	names, err := r.copy.listHeads(ctx)
	if err != nil {
		return err
	}
	for _, tip := range a.tips {
		if follows, err := r.copy.reaches(ctx, names, r.copy.tips, tip); err != nil || !follows {
			return err
		}
	}
	fetched := false
	for _, tip := range r.copy.tips {
		if len(a.tips) > 0 && tip.generation <= a.tips[0].generation {
			continue
		}
		ok, err := r.fetch(ctx, a.name(dirHeads, tip.String()), tip.digest, format.MaxObjectSize)
		if err != nil {
			return err
		}
		fetched = fetched || ok
	}
	if !fetched {
		return nil
	}
	return a.loadHead(ctx)
}

// fetchMissing copies the packs that hold what snapshots need and no pack here has, as far as the other destination has them. What
// a listing needs is known only when the listing itself is there, so it goes on until nothing new comes.
func (r *repair) fetchMissing(ctx context.Context) (added []format.Pack, err error) {
	a := r.a
	if r.copy == nil || len(r.copy.tips) == 0 {
		return nil, nil
	}
	if err := r.copy.useCatalog(ctx); errors.Is(err, ErrDamaged) {
		a.notice("the other destination's indexes cannot be read: %v", err)
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	tried := map[format.Digest]bool{}
	for {
		missing, err := r.missing(ctx)
		if err != nil {
			return nil, err
		}
		progress := false
		for id := range missing {
			l, ok := r.copy.catalog.contents[id]
			if !ok {
				continue
			}
			p := &r.copy.catalog.packs[l.pack].Pack
			if tried[p.Name] {
				continue
			}
			tried[p.Name] = true
			ok, err := r.fetch(ctx, a.name(dirPacks, p.Name.String()), p.Name, format.MaxPackSize)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			pack, err := a.readPackIndex(ctx, p.Name, int64(p.Size))
			if err != nil {
				return nil, err
			}
			a.catalog.add(&pack, true)
			added = append(added, pack)
			progress = true
		}
		if !progress {
			return added, nil
		}
	}
}

// missing returns what the snapshots need, as far as their listings can be read, and no pack of the catalog has.
func (r *repair) missing(ctx context.Context) (map[format.ContentID]struct{}, error) {
	a := r.a
	missing := map[format.ContentID]struct{}{}
	seen := map[format.ContentID]bool{}
	need := func(id format.ContentID, _, _ int64) {
		if _, ok := a.catalog.contents[id]; !ok {
			missing[id] = struct{}{}
		}
	}
	for _, ref := range a.head.Snapshots {
		s, err := a.readSnapshot(ctx, ref.Name)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		for i := 0; err == nil && i < len(s.Leaves); i++ {
			id := s.Leaves[i].ID
			if seen[id] {
				continue
			}
			seen[id] = true
			need(id, 0, 0)
			entries, err := a.readLeaf(ctx, s.Leaves, i)
			for k := 0; err == nil && k < len(entries); k++ {
				if err := a.needs(ctx, &entries[k], need); err != nil && !errors.Is(err, ErrDamaged) {
					return nil, err
				}
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				return nil, err
			}
		}
	}
	return missing, nil
}
