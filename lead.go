// SPDX-License-Identifier: Apache-2.0

package coffer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
)

// A run writes to one destination, main, and brings the others up to the same state. Before it writes, main is brought to where
// it follows all others that can be read: what is newer is copied to it, and states that do not know of each other are joined. Whatever
// dies in between, each destination holds a state that was whole, and the next run does the same again.

// lead makes main follow all other places that can be read.
func (ps *places) lead(ctx context.Context, main *place, progress *archive.Progress) error {
	if len(ps.list) == 1 {
		return nil
	}
	for _, p := range ps.list {
		if p == main {
			continue
		}
		p.openThrough(ctx, ps, main)
		if p.archive == nil {
			continue
		}
		relation, err := ps.compare(ctx, main, p)
		if err == nil && relation == archive.Behind {
			_, err = p.archive.CatchUp(ctx, main.archive, archive.CatchUpOptions{Progress: progress})
			main.asSeen = false
		} else if err == nil && relation == archive.Apart {
			err = main.archive.Join(ctx, p.archive, progress)
			main.asSeen = false
		}
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			p.fail(err) // the next run looks at it again
			p.blamed = true
		}
		p.led = err == nil
	}
	if err := ps.noteApart(main); err != nil {
		return err
	}
	main.archive.Fallback(ps.stores(main)...)
	return nil
}

// compare says how main's state stands to p's. That p is behind, although the heads which would show it are gone, is taken for granted only
// if both show what this device has last seen there.
func (ps *places) compare(ctx context.Context, main, p *place) (archive.Relation, error) {
	return main.archive.Compare(ctx, p.archive, !ps.memory.Apart && main.asSeen && p.asSeen)
}

// noteApart remembers, before anything is written, that main does not follow the newest state that this device knows, or one that it should.
func (ps *places) noteApart(main *place) error {
	behind := main.archive.Head().Generation < ps.memory.Generation
	if ps.memory.Apart || !behind && !slices.ContainsFunc(ps.list, func(p *place) bool { return p.blamed }) {
		return nil
	}
	if behind {
		ps.sayBehind(main)
	}
	ps.memory.Apart = true
	return ps.d.setApart(ps.c, true)
}

func (ps *places) sayBehind(main *place) {
	main.archive.Notice(fmt.Sprintf("%s is behind: it has generation %d of the archive, and the newest, of generation %d, is at a destination that cannot be used now; both are joined when it can",
		main.text, main.archive.Head().Generation, ps.memory.Generation))
}

// stores are those of all places but one.
func (ps *places) stores(but *place) (stores []blob.Store) {
	for _, p := range ps.list {
		if p != but && p.store != nil {
			stores = append(stores, p.store)
		}
	}
	return stores
}

// follow brings all other places to main's state. What goes wrong at one stands in its place.
func (ps *places) follow(ctx context.Context, main *place, sweep bool, progress *archive.Progress) {
	for _, p := range ps.list {
		if p == main {
			continue
		}
		p.openThrough(ctx, ps, main) // main may have had to be caught up itself before
		if p.archive == nil || p.err != nil {
			continue
		}
		p.lacked = main.archive.SnapshotsMissing(p.archive)
		// Where lead has joined what was not followed, what main no longer has heads of is older. What lead could not look at may be apart.
		relation, err := main.archive.Compare(ctx, p.archive, p.led)
		if err == nil && relation != archive.Same && relation != archive.Follows {
			err = fmt.Errorf("%w: %s", archive.ErrConcurrent, p.text)
		}
		if err == nil {
			var report *archive.CatchUpReport
			if report, err = main.archive.CatchUp(ctx, p.archive, archive.CatchUpOptions{Others: ps.stores(p), Sweep: sweep, Progress: progress}); err == nil {
				p.progress = *report
			}
		}
		if err != nil {
			p.fail(err)
		}
	}
	ps.together(main)
}

// together forgets that places were apart, once all of them are one.
func (ps *places) together(main *place) {
	if !ps.memory.Apart || slices.ContainsFunc(ps.list, func(p *place) bool { return p != main && (p.err != nil || p.archive == nil) }) {
		return
	}
	if err := ps.d.setApart(ps.c, false); err == nil {
		ps.memory.Apart = false
	}
}

// outcomes says what came of each destination.
func (ps *places) outcomes() []DestinationRun {
	runs := make([]DestinationRun, len(ps.list))
	for i, p := range ps.list {
		runs[i] = DestinationRun{Destination: p.text, Outcome: OutcomeOK, Wrote: p.wrote, Snapshots: p.lacked, Objects: p.progress.Objects, Bytes: p.progress.Bytes}
		if len(p.progress.Missing) > 0 {
			p.fail(fmt.Errorf("%w: %d objects of the newest state are at no destination, such as %s", archive.ErrDamaged, len(p.progress.Missing), p.progress.Missing[0]))
		}
		if p.err != nil {
			runs[i].Outcome, runs[i].Cause, runs[i].Error = OutcomeFailed, CauseOf(p.err), p.err.Error()
		}
	}
	return runs
}

// ofDestination reports whether an error may be one of the destination that was written to, so that another one may serve.
func ofDestination(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	switch CauseOf(err) {
	case CauseInterrupted, CauseSource, CauseRules, CauseDiskFull, CauseNoKey:
		return false
	}
	return !errors.Is(err, ErrState)
}
