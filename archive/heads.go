// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// Head is what a device remembers of the newest state it has seen. The zero value remembers nothing.
type Head struct {
	Generation uint64
	Digest     format.Digest
	Time       time.Time
}

// maxHeadsRead bounds how many heads are read to find the newest state: of headsKept generations, as many as may be joined.
const maxHeadsRead = headsKept * format.MaxParents

// listHeads returns the names of all heads, newest generation first.
func (a *Archive) listHeads(ctx context.Context) ([]headName, error) {
	prefix := a.name(dirHeads, "")
	var heads []headName
	for info, err := range a.store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		if h, ok := parseHeadName(strings.TrimPrefix(info.Name, prefix)); ok {
			heads = append(heads, h)
		}
		if len(heads) > 100_000 {
			return nil, fmt.Errorf("%w: the destination lists more than 100,000 heads", ErrDamaged)
		}
	}
	sortHeads(heads)
	return slices.Compact(heads), nil // a destination may list one twice
}

func (a *Archive) readHead(ctx context.Context, n headName) (*format.Head, error) {
	h, _, err := a.readHeadEpoch(ctx, n)
	return h, err
}

func (a *Archive) readHeadEpoch(ctx context.Context, n headName) (*format.Head, uint32, error) {
	plain, epoch, err := a.readEpoch(ctx, format.TypeHead, a.name(dirHeads, n.String()), n.digest)
	if err != nil {
		return nil, 0, err
	}
	h, err := format.DecodeHead(plain)
	if err == nil && h.Generation != n.generation {
		err = fmt.Errorf("%w: head %s is of generation %d", ErrDamaged, n, h.Generation)
	}
	return h, epoch, err
}

// checkOwner refuses a newest head that somebody with a replaced key may have made, unless this device knows it. It is an honest
// one only where a change of the key was interrupted.
func (a *Archive) checkOwner(n headName, epoch uint32) error {
	if epoch == a.keyring.Epoch() || n.digest == a.o.Seen.Digest {
		return nil
	}
	err := fmt.Errorf("%w: its newest head is sealed under a key that was replaced, so it is either from before the change or made by somebody who has the old key", ErrRolledBack)
	if !a.o.AllowOlder {
		return err
	}
	a.notice("%v; going on all the same", err)
	return nil
}

// loadHead reads the newest head into a.head and a.tips. Several heads that none follows are a fork: two devices, or two
// runs, committed without seeing each other. Then the union of them is the state, and the next commit joins them.
func (a *Archive) loadHead(ctx context.Context) error {
	names, err := a.listHeads(ctx)
	if err != nil {
		return err
	}
	tips, passed, heads, err := a.findTips(ctx, names)
	if err != nil {
		return err
	}
	if err := a.checkSeen(ctx, names, tips); err != nil {
		if !a.o.AllowOlder || !errors.Is(err, ErrRolledBack) {
			return err
		}
		a.notice("%v; going on all the same", err)
	}
	a.tips, a.passed, a.newest, a.head = tips, passed, newest(names), merge(heads)
	a.gappy = gap(names)
	a.setBelow(names)
	if len(tips) > 1 {
		a.notice("the archive has a fork: %d states, the newest of generation %d, that do not know of each other, as if two devices had continued it; all their snapshots are shown, and the next backup joins them", len(tips), tips[0].generation)
	}
	return a.remember()
}

// setBelow finds what the next head names as parents beside the tip. While there is a gap among the newest heads, it repeats those of below the
// gap: so the newest head alone shows that the names may lie.
func (a *Archive) setBelow(names []headName) {
	a.below = nil
	if len(a.tips) == 1 && gap(names) {
		a.below = skipping(names, a.tips[0], a.head)
	}
}

// findTips returns the heads that no other head follows. In the ordinary case that is the one of the newest generation, and
// it is the only one that is read: no two names are of one generation, and it names no parent of below a gap. A damaged
// one that none follows is an error, because what it says is not known, or with AllowOlder passed over.
func (a *Archive) findTips(ctx context.Context, names []headName) (tips, passed []headName, heads []*format.Head, err error) {
	read := 0
	forked := false
	for i := 1; i < len(names); i++ {
		forked = forked || names[i].generation == names[i-1].generation
	}
	followed := map[format.Digest]bool{}
	for _, n := range names {
		if len(tips) > 0 && (!forked || len(tips) == format.MaxParents || n.generation+headsKept <= tips[0].generation) {
			break
		}
		if slices.Contains(a.disowned, n) {
			passed = append(passed, n)
			continue
		}
		if read++; read > maxHeadsRead {
			return nil, nil, nil, fmt.Errorf("%w: of the %d newest heads that the destination lists, too many cannot be read", ErrDamaged, maxHeadsRead)
		}
		h, epoch, err := a.readHeadEpoch(ctx, n)
		if errors.Is(err, ErrDamaged) && (a.o.AllowOlder || followed[n.digest]) {
			a.notice("%v; passed over", err)
			if !followed[n.digest] {
				passed = append(passed, n)
			}
			continue
		}
		if err != nil {
			return nil, nil, nil, err
		}
		for _, p := range h.Parents {
			followed[p] = true
		}
		if followed[n.digest] {
			continue
		}
		if err := a.checkOwner(n, epoch); err != nil {
			return nil, nil, nil, err
		}
		tips, heads = append(tips, n), append(heads, h)
		forked = forked || len(skipping(names, n, h)) > 0
	}
	return tips, passed, heads, nil
}

// gap reports whether a generation is missing among the newest ones that are kept. There is one below a head that was committed at a
// destination that lagged, see Options.Newest.
func gap(names []headName) bool {
	have := map[uint64]bool{}
	for _, n := range names {
		if n.generation+headsKept > names[0].generation {
			have[n.generation] = true
		}
	}
	return len(names) > 0 && uint64(len(have)) < min(headsKept, names[0].generation)
}

// skipping returns the parents of a head that are there as heads of before the generation before its own: the head lies above a gap. Heads
// of another destination, which it does not follow, may have filled that since.
func skipping(names []headName, n headName, h *format.Head) (parents []format.Digest) {
	for _, older := range names {
		if older.generation+1 < n.generation && slices.Contains(h.Parents, older.digest) {
			parents = append(parents, older.digest)
		}
	}
	return parents
}

// checkSeen compares what the destination shows with what this device remembers. A destination can withhold and put back,
// but it cannot make heads, so this is where a rollback shows: the head that was seen must be the newest, or one that the
// newest follows. One that is headsKept generations old may have been cleaned away, and counts as followed.
func (a *Archive) checkSeen(ctx context.Context, names, tips []headName) error {
	seen := a.o.Seen
	var generation uint64 // of the newest head
	if len(tips) > 0 {
		generation = tips[0].generation
	}
	switch {
	case seen.Generation == 0 || generation >= seen.Generation+headsKept:
		return nil
	case generation < seen.Generation:
		return fmt.Errorf("%w: it shows generation %d, this device has seen generation %d of %s",
			ErrRolledBack, generation, seen.Generation, seen.Time.Local().Format("2 January 2006 15:04"))
	}
	for _, tip := range tips {
		if tip.digest == a.o.Newest.Digest {
			return nil // nothing is newer; the heads between may not have been copied yet
		}
	}
	names, err := a.withVia(ctx, names)
	if err != nil {
		return err
	}
	followed, err := a.reaches(ctx, names, tips, headName{seen.Generation, seen.Digest})
	if err == nil && !followed {
		err = fmt.Errorf("%w: generation %d, which it shows, does not follow the generation %d that this device has seen",
			ErrRolledBack, generation, seen.Generation)
	}
	return err
}

// withVia adds the names of the heads at the destination that this one was opened through.
func (a *Archive) withVia(ctx context.Context, names []headName) ([]headName, error) {
	if a.via == nil {
		return names, nil
	}
	more, err := a.via.listHeads(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(names, more)
	sortHeads(all)
	return slices.Compact(all), nil
}

func sortHeads(heads []headName) {
	slices.SortFunc(heads, func(x, y headName) int {
		return cmp.Or(cmp.Compare(y.generation, x.generation), slices.Compare(x.digest[:], y.digest[:]))
	})
}

// reaches reports whether a head is one of those given or followed by one, as far as the heads between can be read.
func (a *Archive) reaches(ctx context.Context, names, from []headName, head headName) (bool, error) {
	reached := map[format.Digest]bool{}
	for _, n := range from {
		reached[n.digest] = true
	}
	for _, n := range names { // newest first
		if reached[head.digest] || n.generation <= head.generation {
			break
		}
		if !reached[n.digest] {
			continue
		}
		h, err := a.readHead(ctx, n)
		if errors.Is(err, ErrDamaged) && a.via != nil {
			h, err = a.via.readHead(ctx, n)
		}
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return false, err
		}
		for _, p := range h.Parents {
			reached[p] = true
		}
	}
	return reached[head.digest], nil
}

// merge joins heads that do not know of each other: what any of them has is there, and marks of any of them hold until
// Prune has looked at all snapshots again.
func merge(heads []*format.Head) *format.Head {
	if len(heads) == 0 {
		return &format.Head{}
	}
	m := *heads[0]
	m.Snapshots, m.Indexes, m.Marks = slices.Clone(m.Snapshots), slices.Clone(m.Indexes), slices.Clone(m.Marks)
	for _, h := range heads[1:] {
		for _, s := range h.Snapshots {
			if !slices.ContainsFunc(m.Snapshots, func(t format.SnapshotRef) bool { return t.Name == s.Name }) {
				m.Snapshots = append(m.Snapshots, s)
			}
		}
		for _, d := range h.Indexes {
			if !slices.Contains(m.Indexes, d) {
				m.Indexes = append(m.Indexes, d)
			}
		}
		m.Marks = append(m.Marks, h.Marks...)
	}
	sortSnapshots(m.Snapshots)
	m.Marks = sortMarks(m.Marks)
	return &m
}

func sortSnapshots(s []format.SnapshotRef) {
	slices.SortStableFunc(s, func(x, y format.SnapshotRef) int { return x.Time.Compare(y.Time) })
}

// sortMarks orders marks and keeps the newest of an object's marks, which waits longest.
func sortMarks(m []format.Mark) []format.Mark {
	slices.SortFunc(m, func(x, y format.Mark) int {
		if c := format.CompareMarks(x, y); c != 0 {
			return c
		}
		return y.Since.Compare(x.Since)
	})
	return slices.CompactFunc(m, func(x, y format.Mark) bool { return format.CompareMarks(x, y) == 0 })
}

// commit makes edit's outcome the newest state. All that the new head names must be durable before. edit gets the state as it
// is now, which may be newer than the one that the caller began with, and refuses what no longer holds.
//
// A crash before the Put leaves the old state and unneeded objects; a crash after it, the new state. Two commits at once
// make a fork, which loses nothing: see loadHead. But if so much time passed between the look at the heads and the Put, as on a
// laptop that was asleep, that others may have deleted what the new head names, it is taken back: ErrConcurrent.
func (a *Archive) commit(ctx context.Context, edit func(h *format.Head) error) error {
	looked := a.now()
	tip, err := a.putHead(ctx, edit)
	if err != nil {
		return err
	}
	names, err := a.listHeads(ctx)
	if err != nil {
		a.notice("the heads could not be listed after the commit: %v", err)
		return a.remember()
	}
	others := slices.DeleteFunc(slices.Clone(newest(names)), func(n headName) bool { return n == tip })
	followed, err := a.reaches(ctx, names, others, tip)
	switch {
	case err != nil:
		a.notice("another run committed at the same moment, and its head cannot be read: %v", err)
	case len(others) == 0 || followed:
	case a.now().Sub(looked) > grace/2 || others[0].generation >= tip.generation+headsKept:
		return a.takeBack(ctx, tip)
	default:
		a.notice("another run committed at the same moment; nothing is lost, the next backup joins both")
	}
	a.cleanHeads(ctx, names, tip)
	return a.remember()
}

// cleanHeads deletes heads that are too old to matter. Above a gap the newest ones stay all the same, for devices that have seen them.
func (a *Archive) cleanHeads(ctx context.Context, names []headName, tip headName) {
	for i, n := range names {
		if i >= headsKept && n.generation+headsKept <= tip.generation {
			if err := a.delete(ctx, a.name(dirHeads, n.String())); err != nil {
				a.notice("an old head could not be removed: %v", err)
			}
		}
	}
}

// putHead looks at the heads and stores the next one.
func (a *Archive) putHead(ctx context.Context, edit func(h *format.Head) error) (tip headName, err error) {
	if err := a.checkEpoch(ctx); err != nil {
		return tip, err
	}
	names, err := a.listHeads(ctx)
	if err != nil {
		return tip, err
	}
	if !slices.Equal(newest(names), a.newest) {
		if err := a.loadHead(ctx); err != nil {
			return tip, err
		}
	}
	// What was passed over is followed, too: it must not come back as a fork if it turns out to be readable.
	follows := slices.Concat(a.tips, a.passed, a.joining)
	next := merge([]*format.Head{a.head})
	next.Generation, next.Parents, next.Time = 1, nil, a.now()
	if len(follows)+len(a.below) <= format.MaxParents {
		next.Parents = slices.Clone(a.below)
	}
	for _, t := range follows {
		next.Generation = max(next.Generation, t.generation+1)
		next.Parents = append(next.Parents, t.digest)
	}
	if next.Generation <= a.o.Newest.Generation { // other destinations are ahead: it must not look older than what they have, nor like it
		next.Generation = a.o.Newest.Generation + 1
	}
	if err := a.checkHeads(); err != nil || len(follows) > format.MaxParents || next.Generation > maxGeneration {
		return tip, cmp.Or(err, fmt.Errorf("%w: heads that cannot be read are in the way; run repair first", ErrDamaged))
	}
	slices.SortFunc(next.Parents, func(x, y format.Digest) int { return slices.Compare(x[:], y[:]) })
	next.Parents = slices.Compact(next.Parents)
	if err := edit(next); err != nil {
		return tip, err
	}
	plain := next.Encode()
	if len(plain) > format.MaxPlain {
		return tip, errTooLarge
	}
	data := a.keyring.Seal(format.TypeHead, plain)
	tip = headName{next.Generation, format.DigestOf(data)}
	if err := a.put(ctx, a.name(dirHeads, tip.String()), data); err != nil {
		return tip, err
	}
	a.head, a.tips, a.passed, a.newest = next, []headName{tip}, nil, []headName{tip}
	a.setBelow(append([]headName{tip}, names...))
	return tip, nil
}

// takeBack follows a head of this Archive's own, and what the others have committed, with the others' state alone.
func (a *Archive) takeBack(ctx context.Context, tip headName) error {
	a.disowned = append(a.disowned, tip)
	if err := a.loadHead(ctx); err != nil {
		return err
	}
	if err := a.commit(ctx, func(*format.Head) error { return nil }); err != nil {
		return err
	}
	return ErrConcurrent
}

// checkHeads refuses to go on from nothing if there is something that cannot be read.
func (a *Archive) checkHeads() error {
	if len(a.tips) == 0 && len(a.passed) > 0 {
		return fmt.Errorf("%w: no head can be read; run repair first", ErrDamaged)
	}
	return nil
}

// concurrent turns an error into ErrConcurrent if it may come from another run that has changed the archive since its head was
// read: what that head names is then not missing but removed.
func (a *Archive) concurrent(ctx context.Context, err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	if names, err2 := a.listHeads(ctx); err2 != nil || slices.Equal(newest(names), a.newest) {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrConcurrent, err)
}

// newest returns the names of the newest generation among names, which are sorted.
func newest(names []headName) []headName {
	for i := range names {
		if names[i].generation != names[0].generation {
			return names[:i]
		}
	}
	return names
}

// remember tells the caller of the newest head, so that it notices a rollback next time.
func (a *Archive) remember() error {
	h := a.Head()
	if a.o.OnHead == nil || h.Generation == 0 || h == a.o.Seen {
		return nil
	}
	if err := a.o.OnHead(h); err != nil {
		return fmt.Errorf("remember the newest state of the archive: %w", err)
	}
	a.o.Seen = h
	return nil
}

// rolledBackKey tells a wrong key from a destination that has gone back to before a change of the key: there the newest head is
// older than what this device has seen.
func (a *Archive) rolledBackKey(ctx context.Context, wrong error) error {
	names, err := a.listHeads(ctx)
	if err == nil && a.o.Seen.Generation > 0 && (len(names) == 0 || names[0].generation < a.o.Seen.Generation) {
		return fmt.Errorf("%w: it is from before the key was changed, so this key does not open it (%w)", ErrRolledBack, wrong)
	}
	return wrong
}
