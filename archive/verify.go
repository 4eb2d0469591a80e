// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
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

// VerifyConfig says how much Verify looks at.
type VerifyConfig struct {
	ReadAll  bool // read every byte of every object; else only what says what is where, and that packs are there with their sizes
	Progress *Progress
}

// Verify looks for damage, and names the files of snapshots that it reaches. It returns an error only if it could not look:
// damage is in the report. Nothing is changed.
func (a *Archive) Verify(ctx context.Context, c VerifyConfig) (*VerifyReport, error) {
	a.others = nil // what another destination has is no comfort here
	v := &verification{a: a, c: c, report: &VerifyReport{}, bad: map[format.ContentID]bool{}, goOn: true}
	c.Progress.begin("reading the indexes", 0, 0)
	for _, step := range []func(context.Context) error{v.keyring, v.heads, v.indexes, v.packs, v.snapshots} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	v.report.Generation, v.report.Snapshots = a.Head().Generation, len(a.head.Snapshots)
	v.report.Notices = append(a.Notices(), v.report.Notices...)
	slices.SortFunc(v.report.Damage, func(x, y Damage) int { return strings.Compare(x.Object, y.Object) })
	return v.report, nil
}

// maxDamage bounds a report, which is kept in memory.
const maxDamage = 100_000

type verification struct {
	a      *Archive
	c      VerifyConfig
	report *VerifyReport

	goOn bool // what the destination fails to read counts as damage, too

	mu    sync.Mutex
	bad   map[format.ContentID]bool
	have  []int64         // bytes that are there of each pack
	named map[string]bool // objects in report.Damage
}

// damage names an object, once.
func (v *verification) damage(object string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.named[object] {
		return
	}
	if v.named == nil {
		v.named = map[string]bool{}
	}
	v.named[object] = true
	v.report.Damage = append(v.report.Damage, Damage{object, err.Error()})
}

// isDamage tells what is a finding from what keeps from looking.
func (v *verification) isDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || v.goOn && lost(err)
}

// look counts an object that was read, and takes what is wrong with it as damage.
func (v *verification) look(object string, size int64, err error) error {
	v.mu.Lock()
	v.report.Objects++
	v.report.ReadBytes += size
	full := len(v.report.Damage) >= maxDamage
	v.mu.Unlock()
	switch {
	case err == nil:
	case v.isDamage(err) && !full:
		v.damage(object, err)
	case v.isDamage(err):
		return fmt.Errorf("%w: %d objects and more; the last: %w", ErrDamaged, maxDamage, err)
	default:
		return err
	}
	return nil
}

func (v *verification) keyring(ctx context.Context) error {
	for copy := 1; copy <= keyCopies; copy++ {
		name := keyName(v.a.id, v.a.keyring.Epoch(), copy)
		data, err := readAll(ctx, v.a.store, name, maxKeyring)
		if errors.Is(err, blob.ErrNotFound) {
			err = fmt.Errorf("%w: one copy of the keyring is missing", ErrDamaged)
		} else if err != nil {
			err = &objectError{name, err}
		} else if !bytes.Equal(data, v.a.wrapped) {
			err = fmt.Errorf("%w: one copy of the keyring is altered", ErrDamaged)
		}
		if err := v.look(name, int64(len(data)), err); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) heads(ctx context.Context) error {
	names, err := v.a.listHeads(ctx)
	if err != nil {
		return err
	}
	for _, n := range names {
		_, err := v.a.readHead(ctx, n)
		if err := v.look(v.a.name(dirHeads, n.String()), 0, err); err != nil {
			return err
		}
	}
	return nil
}

// indexes reads the catalog, and looks at index objects that nothing refers to.
func (v *verification) indexes(ctx context.Context) (err error) {
	v.a.catalog, err = v.a.readCatalog(ctx, func(name format.Digest, err error) {
		v.report.Objects++
		v.damage(v.a.name(dirIndexes, name.String()), err)
	})
	if err != nil {
		return err
	}
	v.report.Objects += int64(len(v.a.catalog.indexes))
	v.have = make([]int64, len(v.a.catalog.packs))
	return v.orphans(ctx, format.TypeIndex, func(d format.Digest) bool { return slices.Contains(v.a.head.Indexes, d) })
}

// orphans counts objects that the newest head does not know. Prune removes them.
func (v *verification) orphans(ctx context.Context, t format.Type, known func(format.Digest) bool) error {
	for o, err := range v.a.list(ctx, dirOf(t)) {
		if err != nil {
			return err
		}
		if known(o.digest) {
			continue
		}
		v.report.Orphans++
		v.report.OrphanBytes += o.size
		if v.c.ReadAll && t != format.TypePack {
			_, err := v.a.readObject(ctx, t, v.a.name(dirOf(t), o.digest.String()), o.digest)
			if err := v.look(v.a.name(dirOf(t), o.digest.String()), o.size, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// packs looks at all packs: those of the catalog, and with ReadAll the others, too.
func (v *verification) packs(ctx context.Context) error {
	present, err := v.a.listPacks(ctx)
	if err != nil {
		return err
	}
	cat := v.a.catalog
	if err := v.orphans(ctx, format.TypePack, func(d format.Digest) bool { _, ok := cat.numbers[d]; return ok }); err != nil {
		return err
	}
	var total int64
	for _, size := range present {
		total += size
	}
	if !v.c.ReadAll {
		total = 0
	}
	v.c.Progress.begin("reading packs", total, int64(len(present)))
	var records [][]packedContent
	if v.c.ReadAll {
		records = cat.byPack()
	} else {
		records = make([][]packedContent, len(cat.packs))
	}
	g, together := errgroup.WithContext(ctx)
	numbers := make(chan uint32)
	g.Go(func() error {
		defer close(numbers)
		for n := range cat.packs {
			select {
			case numbers <- uint32(n):
			case <-together.Done():
				return context.Cause(together)
			}
		}
		return nil
	})
	for range workers() {
		g.Go(func() error {
			w := &packVerifier{v: v, hasher: v.a.keyring.Hasher()}
			for n := range numbers {
				if err := w.pack(together, n, present, records[n]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil || !v.c.ReadAll {
		return err
	}
	var buf []byte
	for name, size := range present {
		if _, known := cat.numbers[name]; !known {
			size = min(size, format.MaxPackSize)
			buf = slices.Grow(buf[:0], int(size))[:size]
			if err := v.unknownPack(ctx, name, buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// unknownPack looks at a pack that no index describes: it must at least be of this archive.
func (v *verification) unknownPack(ctx context.Context, name format.Digest, buf []byte) error {
	n, fault, err := v.wholePack(ctx, name, buf)
	if err != nil || fault != nil {
		return err
	}
	if _, err := v.a.keyring.ReadIndex(name, int64(n), buf[:n], buf[:n]); errors.Is(err, ErrDamaged) {
		v.damage(v.a.name(dirPacks, name.String()), err)
	}
	return nil
}

// A packedContent is one content of a pack.
type packedContent struct {
	location
	id format.ContentID
}

func (c *catalog) byPack() [][]packedContent {
	packs := make([][]packedContent, len(c.packs))
	for id, l := range c.contents {
		packs[l.pack] = append(packs[l.pack], packedContent{l, id})
	}
	return packs
}

// A packVerifier looks at one pack after the other, for one goroutine.
type packVerifier struct {
	v      *verification
	hasher *format.Hasher
	buf    []byte
	plain  []byte
}

// pack checks that a pack of the catalog is there and, with ReadAll, that its bytes are those it is named by and that each
// record of it is the content it should be.
func (w *packVerifier) pack(ctx context.Context, n uint32, present map[format.Digest]int64, records []packedContent) error {
	v, p := w.v, &w.v.a.catalog.packs[n]
	name := v.a.name(dirPacks, p.Name.String())
	size, there := present[p.Name]
	v.have[n] = size // each n belongs to one goroutine
	var err error
	switch {
	case !there:
		err = fmt.Errorf("%w: the pack is missing", ErrDamaged)
	case size != int64(p.Size):
		err = fmt.Errorf("%w: the pack has %d bytes instead of %d", ErrDamaged, size, p.Size)
	}
	if there && v.c.ReadAll {
		if err != nil {
			v.damage(name, err)
		}
		return w.contents(ctx, n, records)
	}
	return v.look(name, 0, err)
}

func (w *packVerifier) contents(ctx context.Context, n uint32, records []packedContent) error {
	v, p := w.v, &w.v.a.catalog.packs[n]
	if w.plain == nil {
		w.plain = make([]byte, 0, format.GroupSize)
	}
	w.buf = slices.Grow(w.buf[:0], int(p.Size))[:p.Size]
	have, fault, err := v.wholePack(ctx, p.Name, w.buf)
	if err != nil {
		return err
	}
	for _, r := range records {
		err := w.record(ctx, r, int64(have), fault)
		if err == nil {
			continue
		}
		if !v.isDamage(err) {
			return err
		}
		v.damage(v.a.packName(n), err)
		v.mu.Lock()
		v.bad[r.id] = true
		v.mu.Unlock()
	}
	return nil
}

// record checks one record of a pack, of which the first bytes are in the buffer; fault says why not all.
func (w *packVerifier) record(ctx context.Context, r packedContent, have int64, fault error) error {
	end := int64(r.offset) + r.sealed()
	sealed := w.buf[r.offset:end]
	switch {
	case end <= have:
	case errors.Is(fault, ErrDamaged):
		return fault
	default: // what comes behind a bad sector can be read
		if _, err := w.v.a.readPack(ctx, r.pack, sealed, int64(r.offset)); err != nil {
			return err
		}
	}
	content, err := w.v.a.openRecord(r.location, sealed, w.plain)
	if err == nil && w.hasher.Content(content) != r.id {
		err = fmt.Errorf("%w: a record holds another content than its index says", ErrDamaged)
	}
	return err
}

// wholePack reads a pack, as far as it can be read, and checks its name. What is wrong with it is its fault; an error keeps from
// looking.
func (v *verification) wholePack(ctx context.Context, digest format.Digest, buf []byte) (n int, fault, err error) {
	name := v.a.name(dirPacks, digest.String())
	n, err = v.a.store.ReadAt(ctx, name, buf, 0)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		fault = fmt.Errorf("%w: the pack is missing", ErrDamaged)
	case err != nil && !errors.Is(err, io.EOF):
		fault = &objectError{name, err}
	case format.DigestOf(buf[:n]) != digest:
		fault = fmt.Errorf("%w: the pack does not have the contents it is named by", ErrDamaged)
	}
	v.c.Progress.add(int64(len(buf)), 1)
	return n, fault, v.look(name, int64(n), fault)
}
