// SPDX-License-Identifier: Apache-2.0

// Package archive backs a chat store up into an encrypted, incremental archive at a destination, and gets it back with the
// backup key.
//
// It guarantees: what is read from the destination was written by a holder of the key for this archive and this place, or
// the operation fails by name (ErrDamaged); a snapshot is complete or does not exist, whatever is killed when; nothing that a
// live snapshot needs is deleted; the source is never written to; a restore never writes outside its folder.
//
// It trusts: the process it runs in, the operating system's entropy, the state directory. It does not trust the destination,
// which may lose, alter, swap, withhold or replay objects, nor the contents of the source, nor clocks: a wrong clock
// can only make Prune delete too late or, by more than the grace period, too early.
//
// The data flows one way: source → entries and contents → packs → destination (Backup), and back (Restore). Packages below:
// format has the bytes, source reads the chat store.
package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// ID names an archive, a device or a snapshot: 16 bytes, printed as 32 hexadecimal digits. A snapshot's id is the
// beginning of its object's digest.
type ID = format.ID

// Key is the backup key K.
type Key = format.Key

// Options of Create and Open. The zero value is usable.
type Options struct {
	Clock      func() time.Time // nil: time.Now
	Device     ID               // whose locks may be taken over at once
	Seen       Head             // the newest head this device has seen; an older one is refused with ErrRolledBack
	AllowOlder bool             // open all the same, and pass over damaged heads
	OnHead     func(Head) error // called with each newer head that was read or committed, to be remembered durably
	Newest     Head             // the newest head seen at any destination of the archive: what is committed is of a later generation
}

// An Archive is one open archive. It is not safe for concurrent use; several processes and devices may have the same
// archive open.
type Archive struct {
	store    blob.Store
	id       ID
	keyring  *format.Keyring
	wrapped  []byte // the keyring object that was opened
	older    bool   // there are keyrings of earlier keys beside it
	borrowed bool   // the keyring is another Archive's, see At
	o        Options
	replaced error // if set, the archive may be read, not written

	head    *format.Head
	tips    []headName      // of head; several if it is merged from a fork
	passed  []headName      // heads that none of the tips follows, and that were passed over: damaged or disowned
	newest  []headName      // all of the newest generation when head was read: a change of them is somebody else's commit
	gappy   bool            // see gap
	below   []format.Digest // what the next head follows beside the tips, see setBelow
	joining []headName      // heads of another destination that the next head follows, see Join
	others  []blob.Store    // destinations with copies of the archive, see Fallback
	via     *Archive        // the same archive at another destination, see At
	catalog *catalog        // of head; loaded when first needed

	disowned []headName // this Archive's own heads that came too late
	noticing sync.Mutex
	notices  []string

	hashers sync.Pool // of *format.Hasher

	addedBytes, addedObjects atomic.Int64
}

// ID returns the archive's id.
func (a *Archive) ID() ID { return a.id }

// Head returns the newest state; of a fork, one of its heads.
func (a *Archive) Head() Head {
	if len(a.tips) == 0 {
		return Head{}
	}
	return Head{a.tips[0].generation, a.tips[0].digest, a.head.Time}
}

// Notices returns what a person should know about the archive, such as a fork.
func (a *Archive) Notices() []string {
	a.noticing.Lock()
	defer a.noticing.Unlock()
	return slices.Clone(a.notices)
}

func (a *Archive) notice(format string, args ...any) {
	a.noticing.Lock()
	defer a.noticing.Unlock()
	if n := fmt.Sprintf(format, args...); !slices.Contains(a.notices, n) {
		a.notices = append(a.notices, n)
	}
}

func (a *Archive) now() time.Time {
	if a.o.Clock != nil {
		return a.o.Clock()
	}
	return time.Now()
}

// Found is what can be told of an archive without its key.
type Found struct {
	ID        ID
	Modified  time.Time // of its newest head, by the destination's clock; zero if there is none yet
	SizeBytes int64
	Objects   int64
}

// Find lists the archives at a destination.
func Find(ctx context.Context, store blob.Store) ([]Found, error) {
	found := map[ID]*Found{}
	for info, err := range guard(store).List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("look for archives: %w", err)
		}
		first, rest, _ := strings.Cut(info.Name, "/")
		id, err := format.ParseID(first)
		if err != nil {
			continue
		}
		f := found[id]
		if f == nil {
			if len(found) == 10_000 {
				return nil, fmt.Errorf("%w: the destination lists more than 10,000 archives", ErrDamaged)
			}
			f = &Found{ID: id}
			found[id] = f
		}
		f.SizeBytes += info.SizeBytes
		f.Objects++
		if strings.HasPrefix(rest, dirHeads) && info.ModTime.After(f.Modified) {
			f.Modified = info.ModTime
		}
	}
	var all []Found
	for _, f := range found {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(x, y Found) int { return slices.Compare(x.ID[:], y.ID[:]) })
	return all, nil
}

// Create begins an archive under a new id with a new key. It refuses an id that is in use, with ErrExists.
func Create(ctx context.Context, store blob.Store, id ID, key Key, o Options) (*Archive, error) {
	for _, err := range guard(store).List(ctx, id.String()+"/") {
		if err != nil {
			return nil, fmt.Errorf("look for an archive: %w", err)
		}
		return nil, ErrExists
	}
	a := &Archive{store: guard(store), id: id, o: o, head: &format.Head{}}
	if err := a.putKeyring(ctx, format.NewKeyring(id), key); err != nil {
		return nil, err
	}
	return a, nil
}

// Open opens an archive with its key. A zero id means the one archive at the destination that the key opens. The key is
// checked before anything else is read. Errors: ErrNoArchive, ErrWrongKey, ErrDamaged, ErrVersion, ErrRolledBack, and the
// destination's.
func Open(ctx context.Context, store blob.Store, id ID, key Key, o Options) (*Archive, error) {
	ids := []ID{id}
	if id.IsZero() {
		var err error
		if ids, err = archiveIDs(ctx, store); err != nil {
			return nil, err
		}
	}
	refused := error(ErrNoArchive)
	for _, id := range ids {
		a := &Archive{store: guard(store), id: id, o: o}
		err := a.openKeyring(ctx, key)
		if err == nil {
			if err = a.loadHead(ctx); err == nil {
				return a, nil
			}
			a.Close()
			if a.replaced != nil && errors.Is(err, ErrDamaged) { // what it cannot open may be of the newer key
				err = fmt.Errorf("%w (%w)", a.replaced, err)
			}
			return nil, err
		}
		if errors.Is(err, ErrWrongKey) {
			err = a.rolledBackKey(ctx, err)
		}
		if errors.Is(refused, ErrNoArchive) || errors.Is(refused, ErrWrongKey) { // anything else says more
			refused = err
		}
	}
	return nil, refused
}

// archiveIDs lists the ids at a destination by their keyrings alone.
func archiveIDs(ctx context.Context, store blob.Store) ([]ID, error) {
	found, err := Find(ctx, store)
	if err != nil {
		return nil, err
	}
	ids := make([]ID, len(found))
	for i, f := range found {
		ids[i] = f.ID
	}
	return ids, nil
}

// Delete removes a whole archive: the heads first, the newest last of them, so that an interrupted Delete leaves the archive
// as it was or nothing that looks whole.
func Delete(ctx context.Context, store blob.Store, id ID) error {
	for _, dir := range []string{dirHeads, dirSnapshots, dirIndexes, dirPacks, dirLocks, dirKeys, ""} {
		var names []string
		for info, err := range guard(store).List(ctx, id.String()+"/"+dir) {
			if err != nil {
				return fmt.Errorf("delete archive: %w", err)
			}
			names = append(names, info.Name)
		}
		slices.Sort(names)
		for _, name := range names {
			if err := store.Delete(ctx, name); err != nil && !errors.Is(err, blob.ErrNotFound) {
				return fmt.Errorf("delete %s: %w", name, err)
			}
		}
	}
	return nil
}

// Close wipes the keys. The archive is unusable afterwards.
func (a *Archive) Close() {
	if !a.borrowed {
		a.keyring.Wipe()
	}
}
