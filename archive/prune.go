// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/archive/format"
)

// PruneConfig says which snapshots stay: the newest KeepLast, and the newest of each of so many days, ISO weeks, months and
// years that have one. Days are those of the local time zone. At least one number must be given.
type PruneConfig struct {
	KeepLast, KeepDaily, KeepWeekly, KeepMonthly, KeepYearly int
	DryRun                                                   bool // only say what would be done

	// Others are further destinations of the archive, in the same state. What only they have and nothing needs is marked, too, so
	// that CatchUp may delete it there.
	Others []*Archive

	Progress *Progress
}

// grace is how long what was marked stays before it is deleted: longer than any backup that may still refer to it
// without having seen the mark.
const grace = 24 * time.Hour

// repackBelow: a pack of which less than half of the contents, in bytes, is needed is written anew without the rest. What is only
// there to hold contents does not count, or small packs would be written anew for ever.
const repackBelow = 2

// Each head repeats all marks, and goes to all destinations. So that one which lists what it does not have, or is full of what is not ours, cannot make heads as large as
// packs, or too large for any prune at the others, a head has at most maxMarks for the destination itself, which are 4 MB, and for each of the others
// maxMarksBeside.
var (
	maxMarks       = 100_000
	maxMarksBeside = 10_000
)

// ErrNothingKept says that a policy would remove all snapshots.
var ErrNothingKept = errors.New("this would remove every snapshot; to remove the whole archive use archive delete")

// Prune forgets the snapshots that the policy does not keep, and frees what nothing needs any more. It deletes in two steps: a
// first run marks, a later one, after the grace period, deletes what is still marked. Errors: ErrNothingKept, ErrLocked,
// ErrConcurrent, ErrDamaged (then repair first), the destination's.
func (a *Archive) Prune(ctx context.Context, c PruneConfig) (*PruneReport, error) {
	return a.prune(ctx, c, func(s []format.SnapshotRef) map[format.Digest]bool { return c.keep(s) })
}

// Forget removes single snapshots, by id, and frees what nothing else needs, as Prune does. Errors: as Prune, ErrNoSnapshot.
func (a *Archive) Forget(ctx context.Context, ids []ID, progress *Progress) (*PruneReport, error) {
	for _, id := range ids {
		if !slices.ContainsFunc(a.head.Snapshots, func(s format.SnapshotRef) bool { return snapshotID(s.Name) == id }) {
			return nil, fmt.Errorf("%w: %s", ErrNoSnapshot, id)
		}
	}
	return a.prune(ctx, PruneConfig{Progress: progress}, func(s []format.SnapshotRef) map[format.Digest]bool {
		keep := map[format.Digest]bool{}
		for _, ref := range s {
			keep[ref.Name] = !slices.Contains(ids, snapshotID(ref.Name))
		}
		return keep
	})
}

// keep applies the policy to snapshots, oldest first.
func (c PruneConfig) keep(snapshots []format.SnapshotRef) map[format.Digest]bool {
	keep := map[format.Digest]bool{}
	rules := []struct {
		count  int
		period func(t time.Time) string
	}{
		{c.KeepLast, nil},
		{c.KeepDaily, func(t time.Time) string { return t.Format("2006-01-02") }},
		{c.KeepWeekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, "w", w) }},
		{c.KeepMonthly, func(t time.Time) string { return t.Format("2006-01") }},
		{c.KeepYearly, func(t time.Time) string { return t.Format("2006") }},
	}
	for _, rule := range rules {
		last := ""
		for i := len(snapshots) - 1; i >= 0 && rule.count > 0; i-- {
			period := fmt.Sprint(i)
			if rule.period != nil {
				period = rule.period(snapshots[i].Time.Local())
			}
			if period != last {
				keep[snapshots[i].Name] = true
				rule.count--
				last = period
			}
		}
	}
	return keep
}

func (a *Archive) prune(ctx context.Context, c PruneConfig, keep func([]format.SnapshotRef) map[format.Digest]bool) (*PruneReport, error) {
	if err := a.checkEpoch(ctx); err != nil {
		return nil, err
	}
	if !c.DryRun {
		release, err := a.lock(ctx, "prune", true)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	if err := a.loadHead(ctx); err != nil {
		return nil, err
	}
	p := &pruning{a: a, c: c, start: a.head, began: a.now(), report: &PruneReport{}}
	kept := keep(a.head.Snapshots)
	for _, s := range a.head.Snapshots {
		if kept[s.Name] {
			p.kept = append(p.kept, s)
			p.report.Kept = append(p.report.Kept, snapshotInfo(s))
		} else {
			p.report.Removed = append(p.report.Removed, snapshotInfo(s))
		}
	}
	if len(p.kept) == 0 && len(a.head.Snapshots) > 0 {
		return nil, ErrNothingKept
	}
	if err := p.plan(ctx); err != nil || c.DryRun {
		return p.report, a.concurrent(ctx, err)
	}
	if err := p.commit(ctx); err != nil {
		return nil, a.concurrent(ctx, err)
	}
	return p.report, p.delete(ctx)
}

// A pruning is one run of Prune.
type pruning struct {
	a      *Archive
	c      PruneConfig
	start  *format.Head
	began  time.Time
	kept   []format.SnapshotRef
	report *PruneReport

	packs   []format.Pack // all that the indexes describe, in the order of the catalog
	live    map[format.ContentID]struct{}
	drop    map[format.Digest]bool // packs that the new indexes do not describe
	repack  []want                 // live contents of packs to be dropped
	present map[format.Mark]int64  // all objects there, with their sizes
	beside  map[format.Mark]int64  // objects that only others have
}

// plan finds what is needed, and decides about each pack.
func (p *pruning) plan(ctx context.Context) (err error) {
	a := p.a
	if p.present, _, err = a.listAll(ctx); err != nil {
		return err
	}
	if err := p.listOthers(ctx); err != nil {
		return err
	}
	if err := p.readIndexes(ctx); err != nil {
		return err
	}
	if p.live, err = a.liveContents(ctx, p.kept, p.c.Progress); err != nil {
		return fmt.Errorf("what must stay is not known, so nothing was removed; run repair first: %w", err)
	}
	p.drop = map[format.Digest]bool{}
	for n, contents := range a.catalog.byPack() {
		pack := &a.catalog.packs[n]
		var needed []packedContent
		var live, all int64
		for _, content := range contents {
			if _, ok := p.live[content.id]; ok {
				needed = append(needed, content)
				live += content.sealed()
			}
		}
		for i := range p.packs[n].Records {
			all += location{stored: p.packs[n].Records[i].Stored}.sealed()
		}
		if len(needed) > 0 && (!p.there(&pack.Pack) || live*repackBelow >= all) {
			continue
		}
		p.drop[pack.Name] = true
		for _, content := range needed {
			p.repack = append(p.repack, want{location: content.location, id: content.id})
			p.report.RepackedBytes += content.sealed()
		}
	}
	for _, m := range p.marks(p.start.Indexes, p.drop) {
		size, there := p.present[format.Mark{Type: m.Type, Name: m.Name}]
		switch {
		case !there:
		case p.expired(m):
			p.report.DeletedObjects++
			p.report.DeletedBytes += size
		case m.Since.Equal(p.began):
			p.report.MarkedObjects++
			p.report.MarkedBytes += size
		}
	}
	return nil
}

// there reports whether a pack is at the destination, with its size.
func (p *pruning) there(pack *format.Pack) bool {
	size, ok := p.present[format.Mark{Type: format.TypePack, Name: pack.Name}]
	return ok && size == int64(pack.Size)
}

// readIndexes reads what is where. Of two packs with the same content the one that is there must count, because the other
// one's copy is not needed and goes: the later wins, so those that are there come last.
func (p *pruning) readIndexes(ctx context.Context) error {
	known := map[format.Digest]bool{}
	for _, name := range p.start.Indexes {
		packs, err := p.a.readIndex(ctx, name)
		if err != nil {
			return err
		}
		for _, pack := range packs {
			if !known[pack.Name] {
				known[pack.Name] = true
				p.packs = append(p.packs, pack)
			}
		}
	}
	slices.SortStableFunc(p.packs, func(x, y format.Pack) int {
		if p.there(&x) == p.there(&y) {
			return 0
		}
		if p.there(&y) {
			return -1
		}
		return 1
	})
	p.a.catalog = newCatalog()
	for i := range p.packs {
		p.a.catalog.add(&p.packs[i], true)
	}
	return nil
}

// expired reports whether a mark has stood long enough. The time is this device's own on both ends, or another device's: a
// clock that is wrong by more than the grace period is what the archive cannot be protected from.
func (p *pruning) expired(m format.Mark) bool { return p.began.Sub(m.Since) > grace }

// listOthers lists what other destinations have beside. One that lags, or where somebody works, may have what he is about to refer to.
func (p *pruning) listOthers(ctx context.Context) error {
	p.beside = map[format.Mark]int64{}
	for _, other := range p.c.Others {
		if !slices.Equal(other.tips, p.a.tips) {
			continue
		}
		there, locks, err := other.listAll(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || locks > 0 {
			continue // a later run looks again
		}
		var only []format.Mark
		for m := range there {
			if _, here := p.present[m]; !here {
				only = append(only, m)
			}
		}
		for _, m := range p.longestMarked(only, maxMarksBeside) {
			m = format.Mark{Type: m.Type, Name: m.Name}
			p.beside[m] = there[m]
		}
	}
	return nil
}

// marks returns the marks of the new head: all objects that are there and that it does not need, each with the time of the
// mark it has already.
func (p *pruning) marks(indexes []format.Digest, drop map[format.Digest]bool) []format.Mark {
	needed := map[format.Mark]bool{}
	for _, d := range indexes {
		needed[format.Mark{Type: format.TypeIndex, Name: d}] = true
	}
	for _, s := range p.kept {
		needed[format.Mark{Type: format.TypeSnapshot, Name: s.Name}] = true
	}
	for i := range p.a.catalog.packs {
		if name := p.a.catalog.packs[i].Name; !drop[name] {
			needed[format.Mark{Type: format.TypePack, Name: name}] = true
		}
	}
	unneeded := func(there map[format.Mark]int64) (all []format.Mark) {
		for m := range there {
			if !needed[m] {
				all = append(all, m)
			}
		}
		return all
	}
	// What others have is bounded by itself already, each: see listOthers.
	return sortMarks(append(p.longestMarked(unneeded(p.present), maxMarks), p.longestMarked(unneeded(p.beside), maxMarks)...))
}

// longestMarked returns so many of the objects as marks, first those that have been marked for longest. What is left out is marked by a
// later run, when these are gone.
func (p *pruning) longestMarked(objects []format.Mark, most int) []format.Mark {
	since := map[format.Mark]time.Time{}
	for _, m := range p.start.Marks {
		since[format.Mark{Type: m.Type, Name: m.Name}] = m.Since
	}
	marks := make([]format.Mark, len(objects))
	for i, m := range objects {
		m.Since = p.began
		if t, marked := since[objects[i]]; marked {
			m.Since = t
		}
		marks[i] = m
	}
	slices.SortFunc(marks, func(x, y format.Mark) int {
		return cmp.Or(x.Since.Compare(y.Since), format.CompareMarks(x, y))
	})
	return marks[:min(len(marks), most)]
}

// commit moves what is needed out of the packs to be dropped, and makes a head that no longer refers to them. A crash before
// the head leaves new packs that the next prune marks.
func (p *pruning) commit(ctx context.Context) error {
	a := p.a
	added, err := p.move(ctx)
	if err != nil {
		return err
	}
	indexes := p.start.Indexes
	if len(p.drop) > 0 || len(added) > 0 {
		stay := slices.DeleteFunc(p.packs, func(pack format.Pack) bool { return p.drop[pack.Name] })
		if indexes, err = a.putIndexes(ctx, append(stay, added...)); err != nil {
			return err
		}
	}
	marks := p.marks(indexes, p.drop)
	if len(a.tips) == 1 && len(a.passed) == 0 && len(p.report.Removed) == 0 && slices.Equal(indexes, p.start.Indexes) && slices.EqualFunc(marks, p.start.Marks, equalMark) {
		return nil // nothing to say
	}
	return a.commit(ctx, func(h *format.Head) error {
		if a.head != p.start {
			return ErrConcurrent
		}
		h.Snapshots, h.Indexes, h.Marks = p.kept, indexes, marks
		return nil
	})
}

func equalMark(x, y format.Mark) bool {
	return x.Type == y.Type && x.Name == y.Name && x.Since.Equal(y.Since)
}

// move stores the needed contents of packs that are to be dropped in new packs.
func (p *pruning) move(ctx context.Context) ([]format.Pack, error) {
	if len(p.repack) == 0 {
		return nil, nil
	}
	p.c.Progress.begin("moving what is still needed", p.report.RepackedBytes, 0)
	packs, err := p.a.repack(ctx, p.repack, func(w want, err error) error { return err }, p.c.Progress)
	return packs, err
}

// repack copies contents into new packs. What cannot be read goes to failed,
// which may end it by returning an error.
func (a *Archive) repack(ctx context.Context, wants []want, failed func(want, error) error, progress *Progress) ([]format.Pack, error) {
	p := a.newPacker(ctx, newCatalog())
	defer p.abort()
	err := a.fetch(p.ctx, wants, func(w want, content []byte, err error) error {
		if err != nil {
			return failed(w, err)
		}
		var enc *encoder
		if w.coding == format.Zstd {
			enc = encoders.Get().(*encoder)
			defer encoders.Put(enc)
		}
		progress.add(w.sealed(), 0)
		return p.add(w.id, content, enc)
	})
	if err != nil {
		return nil, err
	}
	return p.finish()
}

// delete removes what has been marked for long enough, after a second look: if the head is not this run's any more, somebody
// else has decided meanwhile, and the next run will see.
func (p *pruning) delete(ctx context.Context) error {
	if !slices.ContainsFunc(p.a.head.Marks, p.expired) {
		return nil
	}
	names, err := p.a.listHeads(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(newest(names), p.a.newest) {
		p.report.DeletedObjects, p.report.DeletedBytes = 0, 0
		return ErrConcurrent
	}
	p.c.Progress.begin("deleting", 0, p.report.DeletedObjects)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8) // a destination may be far away
	for _, m := range p.a.head.Marks {
		if p.expired(m) {
			g.Go(func() error {
				defer p.c.Progress.add(0, 1)
				return p.a.delete(ctx, p.a.name(dirOf(m.Type), m.Name.String()))
			})
		}
	}
	return g.Wait()
}
