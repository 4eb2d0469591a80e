// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// An archive can be at several destinations, which hold the same objects under the same names. One of them is written to, and the others
// are caught up. What follows compares and joins their states; all of it rests on heads, which only a holder of the key can make, and
// nothing on what a destination lists or does not list.

// At opens the same archive as it is at another destination, whatever keyring that has: one that lags has that of an earlier key, a
// new one has none. Where its heads have a gap, as after a catch-up that was killed, a's say what follows what. What is returned may be compared, joined and caught up; it borrows a's keys and is of use until a is closed.
//
// Errors: ErrRolledBack, ErrDamaged, those of the destination.
func (a *Archive) At(ctx context.Context, store blob.Store, o Options) (*Archive, error) {
	b := &Archive{store: guard(store), id: a.id, keyring: a.keyring, wrapped: a.wrapped, borrowed: true, via: a, o: o}
	if err := b.loadHead(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// Fallback names other destinations of the archive. What this one does not have, or has damaged, is read from them.
func (a *Archive) Fallback(stores ...blob.Store) {
	a.others = nil
	for _, s := range stores {
		a.others = append(a.others, guard(s))
	}
}

// Notice adds what a person should know to the archive's notices.
func (a *Archive) Notice(text string) { a.notice("%s", text) }

// Relation says how the state of an archive at one destination stands to that at another.
type Relation int

// The relations.
const (
	Same    Relation = iota
	Follows          // it has all that the other has, and more
	Behind           // the other has all that it has, and more
	Apart            // each has what the other has not, or nobody can tell any more
)

// Compare says how a's state stands to b's. Heads of before the newest generations are gone, so of a state that is many backups behind
// nobody can tell whether the other follows it: then it is Behind if lags says so, and else Apart, which loses nothing.
func (a *Archive) Compare(ctx context.Context, b *Archive, lags bool) (Relation, error) {
	if slices.Equal(a.tips, b.tips) {
		return Same, nil
	}
	follows, err := a.follows(ctx, b, lags)
	if err != nil || follows {
		return Follows, err
	}
	behind, err := b.follows(ctx, a, lags)
	if err != nil || behind {
		return Behind, err
	}
	return Apart, nil
}

// follows reports whether a's state follows b's, as far as the heads at a's destination tell.
func (a *Archive) follows(ctx context.Context, b *Archive, lags bool) (bool, error) {
	if len(b.tips) == 0 {
		return len(a.tips) > 0, nil
	}
	names, err := a.listHeads(ctx)
	if err != nil || len(names) == 0 {
		return false, err
	}
	for _, tip := range b.tips {
		reached, err := a.reaches(ctx, names, a.tips, tip)
		if err != nil {
			return false, err
		}
		if !reached && !(lags && tip.generation < names[len(names)-1].generation) {
			return false, nil
		}
	}
	return true, nil
}

// SnapshotsMissing counts the snapshots of a that b does not have.
func (a *Archive) SnapshotsMissing(b *Archive) int {
	n := 0
	for _, s := range a.head.Snapshots {
		if !slices.ContainsFunc(b.head.Snapshots, func(t format.SnapshotRef) bool { return t.Name == s.Name }) {
			n++
		}
	}
	return n
}

// Join makes the union of a's state and that of the same archive at another destination, b, which a's does not follow, the newest state
// at a's: as if both had been a fork at one destination. What b's state needs is copied before.
//
// Errors: as CatchUp, ErrConcurrent.
func (a *Archive) Join(ctx context.Context, b *Archive, progress *Progress) error {
	if err := a.mayWrite(); err != nil {
		return err
	}
	report, err := b.bring(ctx, a, nil, progress)
	if err != nil {
		return err
	}
	for _, name := range report.Missing {
		a.notice("%s is at neither destination; run repair", name)
	}
	a.joining = b.tips
	defer func() { a.joining = nil }()
	a.notice("the states at %s and %s did not know of each other, as if two devices had continued the archive; they are joined, and all their snapshots are there", a.store, b.store)
	return a.commit(ctx, func(h *format.Head) error {
		joined := merge([]*format.Head{h, b.head})
		if len(h.Parents) > format.MaxParents {
			return fmt.Errorf("%w: too many states at once; run again", ErrConcurrent)
		}
		*h = *joined
		return nil
	})
}

func (a *Archive) mayWrite() error {
	if a.replaced != nil {
		return a.replaced
	}
	return a.checkHeads()
}

// fromOthers reads an object that this destination does not have as it should from another one.
func (a *Archive) fromOthers(ctx context.Context, o object) ([]byte, bool) {
	for _, other := range a.others {
		if data, err := readNamed(ctx, other, o); err == nil {
			return data, true
		}
	}
	return nil, false
}

// healPack fetches a pack that is missing here, or has another size, from another destination.
func (a *Archive) healPack(ctx context.Context, p *format.Pack) bool {
	name := a.name(dirPacks, p.Name.String())
	data, ok := a.fromOthers(ctx, object{name: name, digest: p.Name, size: int64(p.Size), limit: format.MaxPackSize})
	if !ok || int64(len(data)) != int64(p.Size) {
		return false
	}
	if err := a.replace(ctx, name, data); err != nil {
		return false
	}
	a.notice("pack %s was missing or truncated here, and was fetched from another destination", p.Name)
	return true
}

// replace puts the true bytes of an object in the place of what is there under its name.
func (a *Archive) replace(ctx context.Context, name string, data []byte) error {
	err := a.store.Put(ctx, name, data)
	if !errors.Is(err, blob.ErrExists) {
		if err == nil {
			a.addedBytes.Add(int64(len(data)))
			a.addedObjects.Add(1)
		}
		return err
	}
	if err := a.delete(ctx, name); err != nil {
		return err
	}
	return a.put(ctx, name, data)
}

// Destination names the destination for people, as its driver does.
func (a *Archive) Destination() string { return a.store.String() }

// Epoch counts the keys that the archive has had, up to the one that opened it.
func (a *Archive) Epoch() uint32 { return a.keyring.Epoch() }

// ReadOnly says why the archive can be read and not written; nil if it can.
func (a *Archive) ReadOnly() error { return a.mayWrite() }
