// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

// A batch is a stretch of the listing whose files are restored together. It ends when it would take too much memory, if need
// be in the middle of a file.
type batch struct {
	r      *restore
	files  []*outFile
	wants  []want
	paths  int // bytes of the files' paths
	hasher *format.Hasher
	buf    []byte // one segment
}

// Limits of a batch; variables for tests.
var batchFiles, batchWants, batchPaths = 50_000, 500_000, 16 << 20

func (b *batch) full() bool {
	return len(b.files) >= batchFiles || len(b.wants) >= batchWants || b.paths >= batchPaths
}

// add takes the next entry of the listing. A parent is a folder that only what is selected is in.
func (b *batch) add(ctx context.Context, e *format.Entry, parent bool) error {
	r := b.r
	target, why := r.names.place(e)
	if why != "" {
		r.problem(e.Path, ProblemRenamed, fmt.Sprintf("restored as %q: %s", target, why))
	}
	for _, suffix := range siblings("") {
		if strings.HasSuffix(target, suffix) {
			r.siblings[target] = true
		}
	}
	switch e.Type {
	case TypeDir:
		return r.addFolder(e, target, parent)
	case TypeSymlink:
		r.links = append(r.links, placedLink{strings.Clone(path.Base(target)), e.Target, r.names.inner().number, e.ModTime})
		return nil
	}
	f := newOutFile(e, target)
	var err error
	if e.Type == TypeDatabase {
		err = b.planDatabase(ctx, e, f)
	} else {
		err = b.planFile(ctx, e, f)
	}
	if err != nil {
		return err
	}
	return r.done(f)
}

// planFile enters what a file is made of into the batch's wants, but for what an interrupted restore has left of it.
func (b *batch) planFile(ctx context.Context, e *format.Entry, f *outFile) error {
	left, err := b.r.start(f)
	if err != nil {
		return b.r.fail(f, err)
	}
	defer left.Close() // takes nil
	part := uint32(0)
	for id, err := range b.r.a.segments(ctx, e) {
		have := id.IsHole()
		if err == nil && left != nil {
			have, err = b.has(left, f, part, id)
		}
		if err == nil && have {
			b.r.c.Progress.add(f.sizeOf(part), 0)
		} else if err == nil {
			err = b.want(f, part, id)
		}
		if err != nil {
			b.drop(f)
			return b.r.fail(f, err)
		}
		if b.full() {
			if err := b.run(ctx); err != nil {
				return err
			}
		}
		part++
	}
	return nil
}

// has tells whether the part of a file that is already there is right. In place of a hole it writes zeros, if need be.
func (b *batch) has(left *os.File, f *outFile, part uint32, id format.ContentID) (bool, error) {
	offset, size := int64(part)*format.SegmentSize, f.sizeOf(part)
	if id.IsHole() && source.IsHole(left, offset, size) {
		return true, nil
	}
	if b.buf == nil {
		b.hasher, b.buf = b.r.a.keyring.Hasher(), make([]byte, format.SegmentSize)
	}
	p := b.buf[:size]
	if n, err := left.ReadAt(p, offset); n < len(p) {
		return false, err
	}
	if !id.IsHole() {
		return b.hasher.Content(p) == id, nil
	}
	if !isZero(p) {
		clear(p)
		_, err := left.WriteAt(p, offset)
		return true, err
	}
	return true, nil
}

// planDatabase enters the groups of pages that a database is made of. Pages have no ids to tell by what of them is already
// right; but a database gets its name when it is whole and synced.
func (b *batch) planDatabase(ctx context.Context, e *format.Entry, f *outFile) error {
	r := b.r
	if info, err := r.root.Lstat(f.target); r.resume && err == nil && r.inPlace(e, f.target, info) {
		f.found, f.placed = true, true
		r.c.Progress.add(f.size, 0)
		return nil
	}
	m, err := r.a.openDatabaseMap(ctx, e)
	if err == nil {
		err = r.create(f)
	}
	if err != nil {
		return r.fail(f, err)
	}
	f.pages, f.byGroup = m, m.byGroup()
	for g := range m.groups {
		if m.groups[g].live == 0 {
			continue
		}
		if err := b.want(f, uint32(g), m.groups[g].id); err != nil {
			b.drop(f)
			return r.fail(f, err)
		}
		if b.full() {
			if err := b.run(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// want enters one content of a file.
func (b *batch) want(f *outFile, part uint32, id format.ContentID) error {
	l, ok := b.r.a.catalog.contents[id]
	if !ok {
		return errNoPack
	}
	if n := len(b.files); n == 0 || b.files[n-1] != f {
		b.files = append(b.files, f)
		b.paths += len(f.path) + len(f.target)
	}
	b.wants = append(b.wants, want{l, id, uint32(len(b.files) - 1), part})
	f.found = false
	f.left.Add(1)
	return nil
}

// drop takes back what was entered last for a file.
func (b *batch) drop(f *outFile) {
	for n := len(b.wants); n > 0 && b.files[b.wants[n-1].what] == f; n-- {
		b.wants = b.wants[:n-1]
		f.left.Add(-1)
	}
}

// run fetches what is wanted and writes it.
func (b *batch) run(ctx context.Context) error {
	files := b.files
	err := b.r.a.fetch(ctx, b.wants, func(w want, content []byte, err error) error {
		f := files[w.what]
		if err == nil {
			err = b.r.write(f, w.part, content)
		}
		if err != nil {
			if err := b.r.fail(f, err); err != nil {
				return err
			}
		}
		return b.r.done(f)
	})
	b.files, b.wants, b.paths = nil, b.wants[:0], 0
	return err
}

// addFolder makes a folder. It gets its mode and time at the end; but a parent, or the target itself, only if it was not
// there before.
func (r *restore) addFolder(e *format.Entry, target string, parent bool) error {
	f := &r.names.folders[r.names.inner().number]
	f.mode, f.modTime = e.Mode, e.ModTime
	if target == "" {
		f.finish = r.made
	} else {
		made, err := r.makeFolder(target, !parent || r.resume)
		if err != nil {
			return fmt.Errorf("make the folder %q: %w", target, err)
		}
		f.finish = made || !parent || r.resume
	}
	if !parent {
		r.files.Add(1)
		r.c.Progress.add(0, 1)
	}
	return nil
}

// makeFolder makes a folder, or makes sure that one that is there can be written into, if it may be changed.
func (r *restore) makeFolder(target string, change bool) (made bool, err error) {
	mkdir := func() error { return r.root.Mkdir(target, 0o700) }
	if err = r.inFolder(target, mkdir); !errors.Is(err, fs.ErrExist) {
		return err == nil, err
	}
	info, err := r.root.Lstat(target)
	switch {
	case err != nil:
		return false, err
	case !info.IsDir() && !r.c.Overwrite:
		return false, fmt.Errorf("%w: there is a file", ErrOccupied)
	case !info.IsDir():
		if err := r.clear(target); err != nil {
			return false, err
		}
		return true, mkdir()
	case change && info.Mode().Perm()&0o700 != 0o700:
		return false, r.root.Chmod(target, 0o700)
	}
	return false, nil
}

// inFolder does something with a target, and if its folder is missing makes that and tries again: the folder's own entry can
// be in a part of the listing that is damaged.
func (r *restore) inFolder(target string, do func() error) error {
	err := do()
	if errors.Is(err, fs.ErrNotExist) {
		if err = r.root.MkdirAll(path.Dir(target), 0o700); err == nil {
			err = do()
		}
	}
	return err
}
