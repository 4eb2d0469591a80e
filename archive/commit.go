// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// backupCatalog is the catalog that a backup may refer to: packs that are there, with their size, and not marked for deletion;
// and packs that an unfinished run has left, which are adopted. A pack that is damaged or missing counts as absent, so that
// the backup stores its contents again as far as the source still has them.
func (a *Archive) backupCatalog(ctx context.Context, present map[format.Digest]int64) (*catalog, error) {
	marked := map[format.Digest]bool{}
	for _, m := range a.head.Marks {
		marked[m.Name] = marked[m.Name] || m.Type == format.TypePack
	}
	lost := 0
	c, err := a.loadCatalog(ctx, func(p *format.Pack) bool {
		there := present[p.Name] == int64(p.Size)
		if !there && !marked[p.Name] {
			if there = a.healPack(ctx, p); !there {
				lost++
			}
		}
		return there && !marked[p.Name]
	}, func(name format.Digest, err error) {
		a.notice("an index is damaged; its packs are read instead: %v", err)
	})
	if err != nil {
		return nil, err
	}
	if lost > 0 {
		a.notice("%d packs are missing or truncated at the destination; what the source still has of them is stored again", lost)
	}
	return c, a.adopt(ctx, c, present, marked, a.keyring.Epoch())
}

// listPacks returns the sizes of all packs at the destination.
func (a *Archive) listPacks(ctx context.Context) (map[format.Digest]int64, error) {
	sizes := map[format.Digest]int64{}
	for p, err := range a.list(ctx, dirPacks) {
		if err != nil {
			return nil, err
		}
		sizes[p.digest] = p.size
	}
	return sizes, nil
}

// adopt enters packs that no index knows into the catalog, if they are of this epoch or a later one: somebody with a replaced key can
// make packs of earlier ones.
func (a *Archive) adopt(ctx context.Context, c *catalog, present map[format.Digest]int64, marked map[format.Digest]bool, epoch uint32) error {
	var orphans []format.Digest
	for name := range present {
		if _, known := c.numbers[name]; !known && !marked[name] {
			orphans = append(orphans, name)
		}
	}
	slices.SortFunc(orphans, func(x, y format.Digest) int { return slices.Compare(x[:], y[:]) })
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, name := range orphans {
		g.Go(func() error {
			pack, err := a.readPackIndex(ctx, name, present[name])
			if lost(err) || errors.Is(err, ErrVersion) { // an altered byte can look like a newer version
				return nil // verify names it, prune removes it
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if pack.Epoch >= epoch {
				c.add(&pack, false)
			}
			return nil
		})
	}
	return g.Wait()
}

// readPackIndex reads a pack's own index from its two ends.
func (a *Archive) readPackIndex(ctx context.Context, name format.Digest, size int64) (format.Pack, error) {
	full := a.name(dirPacks, name.String())
	if size < format.HeaderSize || size > format.MaxPackSize {
		return format.Pack{}, fmt.Errorf("%w: pack %s has an impossible size", ErrDamaged, full)
	}
	read := func(n, offset int64) ([]byte, error) {
		p := make([]byte, n)
		m, err := a.store.ReadAt(ctx, full, p, offset)
		switch {
		case m == len(p):
			return p, nil
		case errors.Is(err, io.EOF), errors.Is(err, blob.ErrNotFound):
			err = fmt.Errorf("%w: the pack is truncated or missing", ErrDamaged)
		}
		return nil, &objectError{full, err}
	}
	head, err := read(format.HeaderSize, 0)
	if err != nil {
		return format.Pack{}, err
	}
	tail, err := read(min(size, format.TailSize), size-min(size, format.TailSize))
	if err != nil {
		return format.Pack{}, err
	}
	need, err := a.keyring.IndexSize(head, tail)
	if err == nil && need > len(tail) && int64(need) <= size {
		if tail, err = read(int64(need), size-int64(need)); err != nil {
			return format.Pack{}, err
		}
	}
	if err != nil {
		return format.Pack{}, fmt.Errorf("pack %s: %w", full, err)
	}
	pack, err := a.keyring.ReadIndex(name, size, head, tail)
	if err != nil {
		err = fmt.Errorf("pack %s: %w", full, err)
	}
	return pack, err
}

// takeLock is called once, before the first pack is stored: a backup that finds nothing to store leaves no trace.
func (r *run) takeLock() (err error) {
	look := r.locked || r.a.now().Sub(r.listed) > lockLook
	r.release, err = r.a.lock(r.p.ctx, "backup", look)
	return err
}

// commit makes the listing a snapshot. A crash before the head is there leaves packs that the next run adopts, and an index
// and a snapshot that prune removes.
func (r *run) commit(l *lister, report *BackupReport) error {
	stored, err := r.p.finish()
	if err != nil {
		return err
	}
	ctx, began := r.p.ctx, r.a.now()
	r.c.Progress.begin("committing", 0, 0)
	start, adopted := r.a.head, r.adopted()
	report.ReusedPacks = int64(len(adopted))
	indexes, replaced, err := r.putIndex(ctx, append(adopted, stored...))
	if err != nil {
		return err
	}
	snap := r.snapshot(l)
	name, err := r.a.putObject(ctx, format.TypeSnapshot, snap.Encode())
	if err != nil {
		return err
	}
	report.Snapshot = snapshotID(name)
	one, err := r.a.listOnce(ctx)
	if err != nil {
		return err
	}
	r.store.one.Store(&one)
	defer r.store.one.Store(nil)
	return r.a.commit(ctx, func(h *format.Head) error {
		if r.a.now().Sub(began) > grace/2 {
			return ErrConcurrent // what was stored since may have been marked and deleted
		}
		if err := r.stillHolds(ctx, start, h, stored, append(indexes, name)); err != nil {
			return err
		}
		h.Indexes = slices.DeleteFunc(h.Indexes, func(d format.Digest) bool { return slices.Contains(replaced, d) })
		h.Indexes = append(h.Indexes, indexes...)
		h.Snapshots = append(h.Snapshots, format.SnapshotRef{Name: name, Time: snap.Time, Files: snap.Files, Bytes: snap.Bytes})
		sortSnapshots(h.Snapshots)
		return nil
	})
}

func (r *run) snapshot(l *lister) *format.Snapshot {
	s := &format.Snapshot{
		Time: r.started, Device: r.a.o.Device, Source: r.c.Source, Files: l.files, Bytes: l.bytes, Leaves: l.leaves,
	}
	slices.SortFunc(r.problems, func(x, y Problem) int { return strings.Compare(x.Path, y.Path) })
	for _, p := range r.problems {
		s.Problems = append(s.Problems, format.Problem{Path: p.Path, Kind: string(p.Kind), Detail: p.Detail[:min(len(p.Detail), 4096)]})
	}
	return s
}

// adopted returns the packs that no index describes and that this run refers to; if an index is damaged, all, because older
// snapshots may need them.
func (r *run) adopted() []format.Pack {
	var packs []format.Pack
	for i, used := range r.p.used {
		if p := &r.p.catalog.packs[i]; !p.indexed && (used || len(r.p.catalog.damaged) > 0) {
			packs = append(packs, p.Pack)
		}
	}
	return packs
}

// putIndex stores the descriptions of new packs, together with those of small earlier indexes, which it replaces. It replaces
// damaged ones, too: what they described and is still there is among packs.
func (r *run) putIndex(ctx context.Context, packs []format.Pack) (indexes, replaced []format.Digest, err error) {
	records := 0
	for i := range packs {
		records += len(packs[i].Records)
	}
	replaced = r.p.catalog.consolidate(records)
	for _, name := range replaced {
		old, err := r.a.readIndex(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		packs = append(old, packs...)
	}
	indexes, err = r.a.putIndexes(ctx, packs)
	return indexes, append(replaced, r.p.catalog.damaged...), err
}

// stillHolds refuses a commit on a state in which a prune has meanwhile dropped, marked or deleted what the snapshot needs: packs
// of the catalog, packs that this run stored, or its objects.
func (r *run) stillHolds(ctx context.Context, start, now *format.Head, stored []format.Pack, objects []format.Digest) error {
	for _, d := range start.Indexes {
		if !slices.Contains(now.Indexes, d) {
			return ErrConcurrent
		}
	}
	packs := map[format.Digest]uint32{} // with their sizes
	for i := range stored {
		packs[stored[i].Name] = stored[i].Size
	}
	for i, used := range r.p.used {
		if p := &r.p.catalog.packs[i]; used {
			packs[p.Name] = p.Size
		}
	}
	for _, m := range now.Marks {
		if _, needed := packs[m.Name]; needed || slices.Contains(objects, m.Name) {
			return ErrConcurrent
		}
	}
	present, err := r.a.listPacks(ctx)
	if err != nil {
		return err
	}
	for name, size := range packs {
		if present[name] != int64(size) {
			return fmt.Errorf("%w: pack %s vanished from the destination during the backup", ErrConcurrent, name)
		}
	}
	return nil
}
