// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// operations is everything that is done at a destination. Each may fail; none may hang or take memory without end.
func (d *device) operations() map[string]func(ctx context.Context) error {
	on := func(do func(ctx context.Context, a *Archive) error) func(context.Context) error {
		return func(ctx context.Context) error {
			o := d.options
			o.Clock, o.Device = d.w.clock.now, d.id
			a, err := Open(ctx, d.store, d.w.id, d.w.key, o)
			if err != nil {
				return err
			}
			defer a.Close()
			return do(ctx, a)
		}
	}
	return map[string]func(ctx context.Context) error{
		"find":        func(ctx context.Context) error { _, err := Find(ctx, d.store); return err },
		"open":        on(func(context.Context, *Archive) error { return nil }),
		"open by key": func(ctx context.Context) error { _, err := Open(ctx, d.store, ID{}, d.w.key, Options{}); return err },
		"backup": on(func(ctx context.Context, a *Archive) error {
			_, err := a.Backup(ctx, BackupConfig{Source: d.w.src, StateDir: d.state, CopyDatabase: copyFile})
			return err
		}),
		"verify": on(func(ctx context.Context, a *Archive) error { _, err := a.Verify(ctx, VerifyConfig{}); return err }),
		"verify all": on(func(ctx context.Context, a *Archive) error {
			_, err := a.Verify(ctx, VerifyConfig{ReadAll: true})
			return err
		}),
		"restore": on(func(ctx context.Context, a *Archive) error {
			_, err := a.Restore(ctx, RestoreConfig{Dir: filepath.Join(d.w.t.TempDir(), "target"), KeepGoing: true})
			return err
		}),
		"prune": on(func(ctx context.Context, a *Archive) error {
			_, err := a.Prune(ctx, PruneConfig{KeepLast: 1})
			return err
		}),
		"repair":         on(func(ctx context.Context, a *Archive) error { _, err := a.Repair(ctx, nil, nil); return err }),
		"locks":          on(func(ctx context.Context, a *Archive) error { _, err := a.Locks(ctx); return err }),
		"unlock":         on(func(ctx context.Context, a *Archive) error { _, err := a.Unlock(ctx); return err }),
		"change the key": on(func(ctx context.Context, a *Archive) error { return a.ChangeKey(ctx, d.w.key) }),
		"delete":         func(ctx context.Context) error { return Delete(ctx, d.store, d.w.id) },
		"create": func(ctx context.Context) error {
			if _, err := Create(ctx, d.store, format.NewID(), d.w.key, Options{}); err != nil && !errors.Is(err, ErrExists) {
				return err
			}
			return nil
		},
		"fetch the keyring": func(ctx context.Context) error { _, err := FetchKeyring(ctx, d.store, d.store, d.w.id); return err },
	}
}

// TestEndlessLists lets each folder of an archive list without end, for everything that is done with archives: names of nothing,
// one name again and again, and ever new names that could be objects.
func TestEndlessLists(t *testing.T) {
	defer func(n int) { maxListed = n }(maxListed)
	maxListed = 2000
	w, d, _ := library(t)
	w.write("new", []byte("so that a backup has something to store"))
	pristine := w.store
	for _, dir := range []string{dirKeys, dirHeads, dirIndexes, dirSnapshots, dirPacks, dirLocks, ""} {
		under := w.id.String() + "/" + dir
		for kind, name := range map[string]func(i int) string{
			"foreign":    func(i int) string { return under + "foreign" },
			"outside":    func(i int) string { return fmt.Sprintf("x%d", i) },
			"one object": func(i int) string { return under + headOr(dir, 1) },
			"objects":    func(i int) string { return under + headOr(dir, i) },
		} {
			for operation := range d.operations() {
				c := *w
				c.store = cloneStore(t, pristine)
				var asked, listed atomic.Int64
				dev := *d
				dev.w, dev.store = &c, &liar{Store: c.store, list: func(prefix string) iter.Seq2[blob.Info, error] {
					if prefix != under && (dir != "" || prefix != "") {
						return nil
					}
					asked.Add(1)
					return func(yield func(blob.Info, error) bool) {
						for info, err := range c.store.List(t.Context(), prefix) {
							if !yield(info, err) {
								return
							}
						}
						for i := 0; yield(blob.Info{Name: name(i), SizeBytes: math.MaxInt64}, nil); i++ {
							if listed.Add(1) > 100*2000 {
								t.Errorf("%s with endless %s in %q: it reads on and on", operation, kind, dir)
								return
							}
						}
					}
				}}
				err := dev.operations()[operation](t.Context())
				if asked.Load() > 0 && operation != "create" && !errors.Is(err, ErrDamaged) {
					t.Errorf("%s with endless %s in %q: %v", operation, kind, dir, err)
				}
			}
		}
	}
}

// headOr makes the ith name of an object in a folder.
func headOr(dir string, i int) string {
	digest := format.DigestOf([]byte(fmt.Sprint(i)))
	switch dir {
	case dirHeads:
		return headName{uint64(1000 + i), digest}.String()
	case dirKeys:
		return fmt.Sprintf("%08d-1", 1+i%format.MaxEpochs)
	}
	return digest.String()
}

// TestSilence lets the destination fall silent at each request of everything that is done. Whoever waits can stop.
func TestSilence(t *testing.T) {
	w, d, _ := library(t)
	pristine := w.store
	for operation := range d.operations() {
		for n := 1; ; n++ {
			c := *w
			c.store = cloneStore(t, pristine)
			ctx, cancel := context.WithCancel(t.Context())
			s := &hushed{Store: c.store, cancel: cancel}
			s.left.Store(int64(n))
			dev := *d
			dev.w, dev.store = &c, s
			err := dev.operations()[operation](ctx)
			cancel()
			if s.left.Load() > 0 {
				break // all was said before
			}
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, blob.ErrUnreachable) {
				t.Errorf("%s, silent from request %d on: %v", operation, n, err)
			}
			if n == 40 { // backups and restores make many
				break
			}
		}
	}
}

// hushed answers nothing to one request, and has the caller's user stop then. Later ones fail, and so does what does not end with
// its caller but with a minute, such as taking back a lock.
type hushed struct {
	blob.Store
	left   atomic.Int64
	cancel context.CancelFunc
}

func (h *hushed) hush(ctx context.Context) error {
	switch left := h.left.Add(-1); {
	case left > 0:
		return nil
	case left < 0:
		return blob.ErrUnreachable
	}
	h.cancel()
	if ctx.Err() == nil {
		return blob.ErrUnreachable
	}
	return ctx.Err()
}

func (h *hushed) Put(ctx context.Context, name string, data []byte) error {
	if err := h.hush(ctx); err != nil {
		return err
	}
	return h.Store.Put(ctx, name, data)
}

func (h *hushed) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := h.hush(ctx); err != nil {
		return 0, err
	}
	return h.Store.ReadAt(ctx, name, p, off)
}

func (h *hushed) Delete(ctx context.Context, name string) error {
	if err := h.hush(ctx); err != nil {
		return err
	}
	return h.Store.Delete(ctx, name)
}

func (h *hushed) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if err := h.hush(ctx); err != nil {
			yield(blob.Info{}, err)
			return
		}
		h.Store.List(ctx, prefix)(yield)
	}
}

// TestGiantObjects has each object go on for ever, in turn. That is damage, and takes the memory of the largest object that may be.
func TestGiantObjects(t *testing.T) {
	w, d, _ := library(t)
	for _, dir := range []string{dirKeys, dirHeads, dirIndexes, dirSnapshots} {
		dev := *d
		dev.store = &liar{Store: w.store, readAt: func(name string, p []byte, n int, err error) (int, error) {
			if !strings.Contains(name, "/"+dir) {
				return n, err
			}
			clear(p[n:])
			return len(p), nil
		}}
		for _, operation := range []string{"verify", "restore"} {
			var err error
			if took := allocated(func() { err = dev.operations()[operation](t.Context()) }); took > 8*format.MaxObjectSize {
				t.Errorf("%s with giant %s: it took %d bytes", operation, dir, took)
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("%s with giant %s: %v", operation, dir, err)
			}
		}
	}
}

// TestListedTwice lists everything twice, with sizes that are no sizes or another's. Nothing is lost by it, and nothing is counted
// below zero.
func TestListedTwice(t *testing.T) {
	for _, size := range []int64{-1, math.MinInt64, math.MaxInt64, 0} {
		w, d, _ := library(t)
		dev := *d
		dev.store = &liar{Store: w.store, list: func(prefix string) iter.Seq2[blob.Info, error] {
			return func(yield func(blob.Info, error) bool) {
				for info, err := range w.store.List(t.Context(), prefix) {
					if !yield(info, err) {
						return
					}
					info.SizeBytes = size
					if !yield(info, err) {
						return
					}
				}
			}
		}}
		found, err := Find(t.Context(), dev.store)
		if must(t, err); len(found) != 1 || found[0].SizeBytes < 0 {
			t.Errorf("size %d: found %+v", size, found)
		}
		v, err := dev.mustOpen().Verify(t.Context(), VerifyConfig{})
		if must(t, err); v.OrphanBytes < 0 || v.ReadBytes < 0 {
			t.Errorf("size %d: verify reports %+v", size, v)
		}
		if r, err := dev.prune(PruneConfig{KeepLast: 1}); err == nil {
			if r.MarkedBytes < 0 || r.DeletedBytes < 0 {
				t.Errorf("size %d: prune reports %+v", size, r)
			}
			w.clock.advance(2 * grace)
			_, err = dev.prune(PruneConfig{KeepLast: 1})
			must(t, err)
		} else {
			wantErr(t, "prune", err, ErrDamaged)
		}
		w.check()
	}
}

// TestForksInTurn shows two sides of a fork in turn: at each look another. What was seen last is missed in the other one, and
// whatever a run then commits follows what it was shown.
func TestForksInTurn(t *testing.T) {
	w := newWorld(t)
	d, other := w.device(), w.device()
	grow(w, d, 2)
	common := cloneStore(t, w.store)
	grow(w, d, 1)
	one := cloneStore(t, w.store)
	w.show(common)
	other.store = w.store
	grow(w, other, 1)
	two := w.store

	turns := &inTurn{sides: []blob.Store{one, two}}
	d.store = turns
	for turn := range 4 {
		turns.side.Store(int64(turn))
		_, err := d.open()
		switch {
		case turn%2 == 0:
			must(t, err)
		default:
			wantErr(t, "the other side", err, ErrRolledBack)
		}
	}
	// In the middle of a run: opened at one side, committed at the other.
	turns.side.Store(0)
	a := d.mustOpen()
	w.write("more", []byte("more"))
	turns.side.Store(1)
	_, err := d.backupOn(a)
	wantErr(t, "a backup that is shown the other side", err, ErrRolledBack)
	for i, side := range turns.sides {
		a, err := Open(t.Context(), side, w.id, w.key, Options{})
		must(t, err)
		if v, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true}); err != nil || len(v.Damage) > 0 {
			t.Errorf("side %d: %v, %v", i, v.Damage, err)
		}
		a.Close()
	}
}

// inTurn is one of several destinations at a time.
type inTurn struct {
	sides []blob.Store
	side  atomic.Int64
}

func (s *inTurn) now() blob.Store { return s.sides[int(s.side.Load())%len(s.sides)] }

func (s *inTurn) Put(ctx context.Context, name string, data []byte) error {
	return s.now().Put(ctx, name, data)
}

func (s *inTurn) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	return s.now().ReadAt(ctx, name, p, off)
}

func (s *inTurn) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return s.now().List(ctx, prefix)
}

func (s *inTurn) Delete(ctx context.Context, name string) error { return s.now().Delete(ctx, name) }
func (s *inTurn) String() string                                { return "in turn" }

// TestSwappedArchives has two archives under one key, as of two devices of one person, and serves each object of one in the
// place of the other's: under its own name in the other's folder, and the keyrings each as the other's.
func TestSwappedArchives(t *testing.T) {
	w, d, _ := library(t)
	theirs := format.NewID()
	a, err := Create(t.Context(), w.store, theirs, w.key, Options{Clock: w.clock.now})
	must(t, err)
	w.write("theirs", random(9, 50_000))
	_, err = a.Backup(t.Context(), BackupConfig{Source: w.src, StateDir: t.TempDir(), CopyDatabase: copyFile})
	must(t, err)
	a.Close()
	for _, dir := range []string{dirHeads, dirIndexes, dirSnapshots, dirPacks} {
		t.Run(dir, func(t *testing.T) {
			store := cloneStore(t, w.store)
			var planted []string
			for _, name := range names(t, store, theirs.String()+"/"+dir) {
				ours := w.id.String() + strings.TrimPrefix(name, theirs.String())
				if dir == dirHeads { // as the newest
					h, _ := parseHeadName(strings.TrimPrefix(name, theirs.String()+"/"+dir))
					ours = w.id.String() + "/" + dir + headName{100, h.digest}.String()
				}
				must(t, store.Put(t.Context(), ours, readObject(t, store, name)))
				planted = append(planted, ours)
			}
			dev := *d
			dev.store = store
			if a, err := dev.open(); dir == dirHeads {
				wantErr(t, "open", err, ErrDamaged)
			} else {
				must(t, err)
				v, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true})
				must(t, err)
				for _, name := range planted {
					if !reports(v, name) {
						t.Errorf("verify does not name %s: %v", name, v.Damage)
					}
				}
				a.Close()
			}
		})
	}
	t.Run(dirKeys, func(t *testing.T) {
		store := cloneStore(t, w.store)
		for copy := 1; copy <= keyCopies; copy++ {
			ours, other := keyName(w.id, 1, copy), keyName(theirs, 1, copy)
			data := readObject(t, store, other)
			must(t, store.Delete(t.Context(), ours))
			must(t, store.Put(t.Context(), ours, data))
		}
		dev := *d
		dev.store = store
		_, err := dev.open()
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongKey) {
			t.Errorf("open: %v", err)
		}
	})
}
