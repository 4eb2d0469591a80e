// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// CopyOptions of Copy. The zero value is usable.
type CopyOptions struct {
	KeepGoing bool // bring the newest state over although objects of the source are damaged
	Progress  *Progress
}

// CopyReport says what Copy did.
type CopyReport struct {
	Archive    ID       `json:"archive"`
	Generation uint64   `json:"generation"` // of the source's newest state; 0: it has none yet
	Whole      bool     `json:"whole"`      // the target has that state, with all that the source holds
	Objects    int64    `json:"objects"`    // that were copied
	Bytes      int64    `json:"bytes"`
	Skipped    int64    `json:"skipped"` // objects that were at the target already
	Damage     []Damage `json:"damage"`  // not copied, because they are not what they are named by
	Notices    []string `json:"notices"`
}

// Copy brings an archive from one destination to another without its key. Objects keep their names and bytes, so that the copy opens
// with the same key and is continued by the same devices. A zero id means the one archive at the source.
//
// What can be checked without the key is checked: an object whose bytes do not have the digest in its name is reported, not copied.
// Heads are copied last, and only if all else is at the target: at each moment that holds its older state, or the whole new
// one. Nothing is deleted there. A copy that was interrupted goes on where it stopped.
//
// What cannot be checked is who made a head or a keyring. A hostile source can make some that look like those of this archive, and which the
// target's devices then refuse: they read what was there before with AllowOlder, and Repair takes the others out. So bring to a good copy only what comes
// from a destination that one trusts so far, or let a device that has the key do it, as one of its destinations.
//
// The target may have states that the source has not, because a device continued the archive there. They stay, and are said; the next
// backup there joins them.
//
// Errors: ErrNoArchive, ErrExists if the target has an archive of that id under another key, those of both destinations.
func Copy(ctx context.Context, from, to blob.Store, id ID, o CopyOptions) (*CopyReport, error) {
	from, to = guard(from), guard(to)
	if id.IsZero() {
		ids, err := archiveIDs(ctx, from)
		switch {
		case err != nil:
			return nil, err
		case len(ids) == 0:
			return nil, ErrNoArchive
		case len(ids) > 1:
			return nil, fmt.Errorf("%w: the source has %d archives, and none was named", ErrNoArchive, len(ids))
		}
		id = ids[0]
	}
	c := &copying{source: &Archive{store: from, id: id}, target: &Archive{store: to, id: id}, o: o,
		report: &CopyReport{Archive: id, Damage: []Damage{}, Notices: []string{}}}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	return c.report, nil
}

// A copying is one run of Copy. Its Archives have no keyring: they list and name.
type copying struct {
	source, target *Archive
	o              CopyOptions
	mu             sync.Mutex
	report         *CopyReport
}

// run reads the source's heads before all else: what they need is then in the listings that follow.
func (c *copying) run(ctx context.Context) error {
	c.o.Progress.begin("listing", 0, 0)
	heads, err := c.source.listHeads(ctx)
	if err != nil {
		return err
	}
	there, err := c.target.listHeads(ctx)
	if err != nil {
		return err
	}
	rings, err := c.keyrings(ctx)
	if err != nil {
		return err
	}
	if err := c.objects(ctx); err != nil {
		return err
	}
	if len(c.report.Damage) > 0 && !c.o.KeepGoing {
		c.notice("the target keeps the state that it had: damaged objects were not copied")
		return nil
	}
	for _, r := range rings {
		if err := c.put(ctx, r.name, r.data); err != nil {
			return err
		}
	}
	return c.heads(ctx, heads, there)
}

// objects copies what heads refer to.
func (c *copying) objects(ctx context.Context) error {
	var todo []object
	for _, t := range []format.Type{format.TypePack, format.TypeIndex, format.TypeSnapshot} {
		have := map[format.Digest]int64{}
		for o, err := range c.target.list(ctx, dirOf(t)) {
			if err != nil {
				return err
			}
			have[o.digest] = o.size
		}
		for o, err := range c.source.list(ctx, dirOf(t)) {
			if err != nil {
				return err
			}
			size, there := have[o.digest]
			switch name := c.source.name(dirOf(t), o.digest.String()); {
			case !there:
				todo = append(todo, object{name: name, digest: o.digest, size: o.size, limit: limitOf(t)})
			case size == o.size:
				c.report.Skipped++
			default:
				c.damaged(name, fmt.Sprintf("it has %d bytes at the source and %d at the target, where it was not replaced", o.size, size))
			}
		}
	}
	var total int64
	for _, o := range todo {
		total += o.size
	}
	c.o.Progress.begin("copying", total, int64(len(todo)))
	return transfer(ctx, todo, func(ctx context.Context, o object) error {
		data, err := readNamed(ctx, c.source.store, o)
		if lost(err) {
			return c.vanished(ctx, o.name, err)
		} else if err != nil {
			return err
		}
		return c.put(ctx, o.name, data)
	})
}

// vanished tells what a prune has removed since the listing from what is damaged.
func (c *copying) vanished(ctx context.Context, name string, err error) error {
	if !errors.Is(err, blob.ErrNotFound) {
		c.damaged(name, err.Error())
		return nil
	}
	for info, err := range c.source.store.List(ctx, name) {
		if err != nil {
			return err
		}
		if info.Name == name {
			c.damaged(name, "the source lists it and does not have it")
		}
	}
	return nil
}

type keyringObject struct {
	name string
	data []byte
}

// keyrings returns those that the target lacks. A keyring of before the target's newest one stays away: there a change of the key has shut it out.
func (c *copying) keyrings(ctx context.Context) (missing []keyringObject, err error) {
	have, err := c.source.listEpochs(ctx)
	if err == nil && len(have) == 0 {
		err = ErrNoArchive
	}
	if err != nil {
		return nil, err
	}
	there, err := c.target.listEpochs(ctx)
	if err != nil {
		return nil, err
	}
	if len(there) > 0 && there[len(there)-1] < have[0] {
		c.notice("the target has a keyring from before the key was changed, and keeps it: whoever has the old key can read there what was written before the change")
	}
	for _, epoch := range have {
		if len(there) > 0 && epoch < there[0] {
			c.notice("the key was changed at the target; the source's older keyring was not copied")
			continue
		}
		ring, err := c.keyring(ctx, epoch)
		if err != nil {
			return nil, err
		}
		missing = append(missing, ring...)
	}
	return missing, nil
}

// keyring returns both copies of a keyring as far as the target lacks them. One good copy at the source is enough.
func (c *copying) keyring(ctx context.Context, epoch uint32) (missing []keyringObject, err error) {
	id := c.source.id
	good, err := wholeKeyring(ctx, c.source.store, id, epoch)
	if err != nil {
		return nil, err
	}
	if good == nil {
		c.damaged(keyName(id, epoch, 1), "no copy of this keyring is whole")
		return nil, nil
	}
	there, err := wholeKeyring(ctx, c.target.store, id, epoch)
	if err != nil {
		return nil, err
	}
	if there != nil && !slices.Equal(there, good) {
		return nil, fmt.Errorf("%w: its keyring of epoch %d is another one, so the key was changed at both destinations; nothing was copied", ErrExists, epoch)
	}
	for copy := 1; copy <= keyCopies; copy++ {
		name := keyName(id, epoch, copy)
		data, err := readAll(ctx, c.target.store, name, maxKeyring)
		switch {
		case errors.Is(err, blob.ErrNotFound):
			missing = append(missing, keyringObject{name, good})
		case err != nil && !errors.Is(err, ErrDamaged):
			return nil, err
		case !slices.Equal(data, good):
			c.damaged(name, "it is damaged at the target, where it was not replaced")
		default:
			c.report.Skipped++
		}
	}
	return missing, nil
}

// wholeKeyring returns a copy of a keyring that is whole; nil if there is none.
func wholeKeyring(ctx context.Context, store blob.Store, id ID, epoch uint32) ([]byte, error) {
	for copy := 1; copy <= keyCopies; copy++ {
		data, err := readAll(ctx, store, keyName(id, epoch, copy), maxKeyring)
		if err == nil {
			err = checkKeyring(id, epoch, data)
		}
		switch {
		case err == nil:
			return data, nil
		case !lost(err) && !errors.Is(err, ErrVersion) && !errors.Is(err, blob.ErrNotFound):
			return nil, fmt.Errorf("read the keyring: %w", err)
		}
	}
	return nil, nil
}

// checkKeyring tells without the key whether a keyring is whole, and of the epoch that its name says.
func checkKeyring(id ID, epoch uint32, data []byte) error {
	if err := format.CheckKeyring(id, data); err != nil {
		return err
	}
	if is, err := format.EpochOf(id, format.TypeKeyring, data); err != nil || is != epoch {
		return fmt.Errorf("%w: keyring %d is one of another epoch", ErrDamaged, epoch)
	}
	return nil
}

// heads copies the heads, newest first: the first of them makes the whole new state the target's, and of those that follow, each
// is followed by one that is there already.
func (c *copying) heads(ctx context.Context, heads, there []headName) error {
	if len(heads) > 0 {
		c.report.Generation = heads[0].generation
	}
	c.o.Progress.begin("committing", 0, int64(len(heads)))
	for i, h := range heads {
		if slices.Contains(there, h) {
			c.report.Skipped++
			continue
		}
		if len(there) > 0 && h.generation+headsKept <= there[0].generation {
			continue // too old to matter
		}
		o := object{name: c.source.name(dirHeads, h.String()), digest: h.digest, limit: format.MaxObjectSize}
		data, err := readNamed(ctx, c.source.store, o)
		if err == nil {
			// As far as can be told without the key: what is no head would stand before the target's own newest one.
			if _, err = format.EpochOf(c.source.id, format.TypeHead, data); err != nil {
				err = fmt.Errorf("%w: object %s is no head of this archive: %w", ErrDamaged, o.name, err)
			}
		}
		switch {
		case errors.Is(err, blob.ErrNotFound) && i > 0: // a commit at the source has cleaned it away
			continue
		case lost(err):
			c.damaged(o.name, err.Error())
			if i == 0 && !c.o.KeepGoing {
				c.notice("the target keeps the state that it had: the newest head is damaged")
				return nil
			}
			continue
		case err != nil:
			return err
		}
		if err := c.put(ctx, o.name, data); err != nil {
			return err
		}
	}
	c.report.Whole = len(c.report.Damage) == 0
	c.apart(heads, there)
	return nil
}

// apart says which states only the target has. Without the key nobody can tell whether the source's follow them; a head that is older than
// all that the source keeps has most likely been cleaned away there.
func (c *copying) apart(heads, there []headName) {
	var only []headName
	for _, h := range there {
		if !slices.Contains(heads, h) && (len(heads) == 0 || h.generation >= heads[len(heads)-1].generation) {
			only = append(only, h)
		}
	}
	if len(only) > 0 {
		c.notice("the target has %d states, the newest of generation %d, that the source does not have: a device has continued the archive there. Both stay, and the next backup there joins them",
			len(only), only[0].generation)
	}
}

func (c *copying) put(ctx context.Context, name string, data []byte) error {
	if err := c.target.store.Put(ctx, name, data); err != nil && !errors.Is(err, blob.ErrExists) {
		return fmt.Errorf("write %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Objects++
	c.report.Bytes += int64(len(data))
	c.o.Progress.add(int64(len(data)), 1)
	return nil
}

func (c *copying) damaged(name, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.report.Damage) < maxDamage {
		c.report.Damage = append(c.report.Damage, Damage{name, detail})
	}
}

func (c *copying) notice(text string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := fmt.Sprintf(text, args...); !slices.Contains(c.report.Notices, n) {
		c.report.Notices = append(c.report.Notices, strings.TrimSpace(n))
	}
}
