// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// CatchUpOptions of CatchUp. The zero value is usable.
type CatchUpOptions struct {
	Others   []blob.Store // further destinations of the archive, from which missing objects are fetched
	Sweep    bool         // also look for what may be deleted where there is no new state, as after a prune
	Recheck  bool         // also look for what is missing where there is no new state, as after a report of missing objects
	Progress *Progress

	// OnMissing is told of what no destination has, before b gets the state that names it, so that it is not forgotten: b will look like one that
	// has all. Its error ends CatchUp.
	OnMissing func(names []string) error
}

// CatchUpReport says what CatchUp did.
type CatchUpReport struct {
	Objects int64    // that were copied
	Bytes   int64    // of them
	Deleted int64    // objects that the head had marked, and nothing needs
	Missing []string // objects that the newest state names and no destination has

	there map[string]int64 // what b listed before
}

// CatchUp brings another destination of the archive, b, up to a's state, which must be the same as b's or follow it: see Compare and Join.
// What a's head needs and b lacks is copied, each object after it was checked by its digest; then the keyring, the heads, and last goes
// what has no place any more: keyrings of earlier keys, heads of before the newest generations, and objects that the head of an earlier run,
// which b has had already, has marked for longer than the grace period. So b's state is its older one or the whole new one, whenever it
// dies, and nothing is deleted because a destination does not list it.
//
// An object that a's destination does not have, or has damaged, is taken from b or others, and put right at a's, too. What none of them has is
// reported; b gets the new state all the same, because it lacks no more than a's.
//
// Errors: ErrKeyReplaced if the key was changed at b, ErrConcurrent, those of both destinations.
func (a *Archive) CatchUp(ctx context.Context, b *Archive, o CatchUpOptions) (*CatchUpReport, error) {
	had := b.head
	stale, err := a.checkRing(ctx, b)
	if err != nil {
		return nil, err
	}
	report := &CatchUpReport{}
	if !slices.Equal(a.tips, b.tips) || o.Recheck {
		if report, err = a.bring(ctx, b, o.Others, o.Progress); err != nil {
			return nil, err
		}
	}
	if len(report.Missing) > 0 && o.OnMissing != nil {
		if err := o.OnMissing(report.Missing); err != nil {
			return nil, err
		}
	}
	if b.borrowed || stale {
		if err := a.putRing(ctx, b); err != nil {
			return nil, err
		}
	}
	if err := a.bringHeads(ctx, b, report); err != nil {
		return nil, err
	}
	// The new state is durable at b. From here on only the old is removed.
	if stale {
		if err := b.removeKeyrings(ctx, a.keyring.Epoch()); err != nil {
			return nil, err
		}
	}
	if report.there == nil && !o.Sweep {
		return report, nil
	}
	return report, a.sweep(ctx, b, had, report)
}

// checkRing refuses a destination whose key was changed by somebody else, and reports whether it has keyrings of earlier keys.
func (a *Archive) checkRing(ctx context.Context, b *Archive) (stale bool, err error) {
	if !b.borrowed && b.replaced == nil && bytes.Equal(b.wrapped, a.wrapped) { // it was opened by itself
		return b.older, nil
	}
	epochs, err := b.listEpochs(ctx)
	switch {
	case err != nil:
		return false, err
	case len(epochs) == 0:
		return false, nil
	case epochs[0] > a.keyring.Epoch():
		return false, errKeyReplaced
	}
	there, err := wholeKeyring(ctx, b.store, a.id, a.keyring.Epoch())
	if err == nil && there != nil && !bytes.Equal(there, a.wrapped) {
		err = fmt.Errorf("%w: the key was changed by another device there", ErrKeyReplaced)
	}
	return epochs[len(epochs)-1] < a.keyring.Epoch(), err
}

// putRing makes both copies of the keyring at b what they are at a's.
func (a *Archive) putRing(ctx context.Context, b *Archive) error {
	if !b.borrowed {
		b.keyring.Wipe()
	}
	b.keyring, b.wrapped, b.borrowed = a.keyring, a.wrapped, true
	_, err := b.mendKeyring(ctx)
	return err
}

// needed returns what a's head names: indexes, snapshots, and the packs that the indexes describe.
func (a *Archive) needed(ctx context.Context) ([]object, error) {
	var all []object
	add := func(t format.Type, digest format.Digest, size int64) {
		all = append(all, object{name: a.name(dirOf(t), digest.String()), digest: digest, size: size, limit: limitOf(t)})
	}
	if err := a.useCatalog(ctx); err != nil {
		return nil, err
	}
	for i := range a.catalog.packs {
		p := &a.catalog.packs[i]
		add(format.TypePack, p.Name, int64(p.Size))
	}
	for _, d := range a.head.Indexes {
		add(format.TypeIndex, d, 0)
	}
	for _, s := range a.head.Snapshots {
		add(format.TypeSnapshot, s.Name, 0)
	}
	return all, nil
}

// listObjects returns the sizes of all packs, indexes and snapshots at the destination, by name.
func (a *Archive) listObjects(ctx context.Context) (map[string]int64, error) {
	present, _, err := a.listAll(ctx)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for m, size := range present {
		sizes[a.name(dirOf(m.Type), m.Name.String())] = size
	}
	return sizes, nil
}

// bring copies to b what a's head needs and b lacks.
func (a *Archive) bring(ctx context.Context, b *Archive, others []blob.Store, progress *Progress) (*CatchUpReport, error) {
	progress.begin("catching up", 0, 0)
	before := a.others
	defer func() { a.others = before }()
	a.Fallback(append([]blob.Store{b.store}, others...)...) // an index that only b has is read from there
	needed, err := a.needed(ctx)
	if err != nil {
		return nil, err
	}
	there, err := b.listObjects(ctx)
	if err != nil {
		return nil, err
	}
	var total int64
	needed = slices.DeleteFunc(needed, func(o object) bool {
		size, ok := there[o.name]
		if ok && (o.size == 0 || o.size == size) {
			return true
		}
		total += o.size
		return false
	})
	progress.begin("catching up", total, int64(len(needed)))
	report := &CatchUpReport{there: there}
	var mu sync.Mutex
	err = transfer(ctx, needed, func(ctx context.Context, o object) error {
		data, err := a.have(ctx, o)
		if lost(err) || errors.Is(err, blob.ErrNotFound) {
			mu.Lock()
			defer mu.Unlock()
			report.Missing = append(report.Missing, o.name)
			return nil
		} else if err != nil {
			return err
		}
		if err := b.replace(ctx, o.name, data); err != nil {
			return fmt.Errorf("write %s: %w", o.name, err)
		}
		progress.add(int64(len(data)), 1)
		mu.Lock()
		defer mu.Unlock()
		report.Objects++
		report.Bytes += int64(len(data))
		return nil
	})
	slices.Sort(report.Missing)
	return report, err
}

// have reads an object at a's destination or, where it is not as it should be there, at another one that has it.
func (a *Archive) have(ctx context.Context, o object) ([]byte, error) {
	data, err := readNamed(ctx, a.store, o)
	if err == nil {
		return data, nil
	}
	data, ok := a.fromOthers(ctx, o)
	if !ok {
		return nil, err
	}
	if lost(err) || errors.Is(err, blob.ErrNotFound) {
		if a.replace(ctx, o.name, data) == nil {
			a.notice("%s was missing or damaged at %s, and was fetched from another destination", o.name, a.store)
		}
	}
	return data, nil
}

// bringHeads copies to b the heads that are kept, newest first: the first of them makes the whole new state b's. Heads of b's that are too old to
// matter are deleted.
func (a *Archive) bringHeads(ctx context.Context, b *Archive, report *CatchUpReport) error {
	if slices.Equal(a.tips, b.tips) && !b.gappy || len(a.tips) == 0 {
		return nil
	}
	names, err := a.listHeads(ctx)
	if err != nil {
		return err
	}
	there, err := b.listHeads(ctx)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n headName) bool { return slices.Contains(a.tips, n) || n.generation > a.tips[0].generation })
	for i, n := range slices.Concat(a.tips, names) {
		if slices.Contains(there, n) || n.generation+headsKept <= a.tips[0].generation && i >= headsKept {
			continue
		}
		o := object{name: a.name(dirHeads, n.String()), digest: n.digest, limit: format.MaxObjectSize}
		data, err := readNamed(ctx, a.store, o)
		if i >= len(a.tips) && (lost(err) || errors.Is(err, blob.ErrNotFound)) {
			continue // it is of use only to tell what follows what
		}
		if err != nil {
			return err
		}
		if err := b.put(ctx, o.name, data); err != nil {
			return err
		}
		report.Objects++
		report.Bytes += int64(len(data))
	}
	if err := b.loadHead(ctx); err != nil {
		return err
	}
	if !slices.Equal(a.tips, b.tips) {
		return fmt.Errorf("%w: %s", ErrConcurrent, b.store)
	}
	b.cleanHeads(ctx, there, b.tips[0])
	return nil
}

// sweep deletes at b what the head marks and nothing in it needs. The mark must have stood for the grace period, and the head that b had before must have
// had it: who commits at b in this moment looks at b's heads right before, and finds it.
func (a *Archive) sweep(ctx context.Context, b *Archive, had *format.Head, report *CatchUpReport) error {
	var expired []format.Mark
	for _, m := range b.head.Marks {
		if a.now().Sub(m.Since) > grace && slices.ContainsFunc(had.Marks, func(o format.Mark) bool { return o.Type == m.Type && o.Name == m.Name }) {
			expired = append(expired, m)
		}
	}
	if len(expired) == 0 {
		return nil
	}
	if report.there == nil {
		var err error
		if report.there, err = b.listObjects(ctx); err != nil {
			return err
		}
	}
	needed, err := a.needed(ctx)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, o := range needed {
		keep[o.name] = true
	}
	for _, m := range expired {
		name := b.name(dirOf(m.Type), m.Name.String())
		if _, ok := report.there[name]; !ok || keep[name] {
			continue
		}
		if err := b.delete(ctx, name); err != nil {
			return err
		}
		report.Deleted++
	}
	return nil
}
