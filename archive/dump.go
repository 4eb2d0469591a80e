// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/coffer-backup/coffer/archive/format"
)

// Dump writes the contents of the file at a path, reading only what it needs of the archive. Errors: ErrNoPath, ErrDamaged,
// the destination's and w's. On an error w may have got a beginning of the file.
func (s *Snapshot) Dump(ctx context.Context, path string, w io.Writer) error {
	if err := s.a.useCatalog(ctx); err != nil {
		return err
	}
	path = strings.Trim(path, "/")
	for e, err := range s.a.entries(ctx, s.body, path, false) {
		switch {
		case err != nil:
			return err
		case e.Type == TypeFile:
			return s.a.dumpFile(ctx, e, w)
		case e.Type == TypeDatabase:
			return s.a.dumpDatabase(ctx, e, w)
		}
		return fmt.Errorf("%w: %q is not a file", ErrNoPath, path)
	}
	return fmt.Errorf("%w: %q", ErrNoPath, path)
}

func (a *Archive) dumpFile(ctx context.Context, e *format.Entry, w io.Writer) error {
	var zeros []byte
	left := e.Size
	for id, err := range a.segments(ctx, e) {
		if err != nil {
			return err
		}
		want := min(left, format.SegmentSize)
		left -= want
		if id.IsHole() {
			if zeros == nil {
				zeros = make([]byte, format.SegmentSize)
			}
			if _, err := w.Write(zeros[:want]); err != nil {
				return err
			}
			continue
		}
		p, err := a.content(ctx, id)
		if err != nil {
			return err
		}
		if int64(len(p)) != want {
			return errSegmentSize
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

var (
	errSegmentSize  = fmt.Errorf("%w: a content has another size than its file says", ErrDamaged)
	errSegmentCount = fmt.Errorf("%w: a file has another number of segments than its size says", ErrDamaged)
)

// segments yields the ids of all segments of a file, SegmentCount of them or else an error at the end. The lists that name
// them are read one by one: a forged entry can claim more segments than fit into memory.
func (a *Archive) segments(ctx context.Context, e *format.Entry) iter.Seq2[format.ContentID, error] {
	return func(yield func(format.ContentID, error) bool) {
		if e.Inline() {
			for _, id := range e.Segments {
				if !yield(id, nil) {
					return
				}
			}
			return
		}
		left := e.SegmentCount()
		for _, list := range e.Segments {
			plain, err := a.content(ctx, list)
			var ids []format.ContentID
			if err == nil {
				ids, err = format.DecodeIDs(plain)
			}
			if left -= len(ids); err == nil && left < 0 {
				err = errSegmentCount
			}
			if err != nil {
				yield(format.Hole, err)
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
		}
		if left > 0 {
			yield(format.Hole, errSegmentCount)
		}
	}
}

// dumpCache is how many groups of pages stay decoded while a database is dumped in the order of its pages.
const dumpCache = 32

func (a *Archive) dumpDatabase(ctx context.Context, e *format.Entry, w io.Writer) error {
	m, err := a.openDatabaseMap(ctx, e)
	if err != nil {
		return err
	}
	cache := map[uint32][]byte{}
	var order []uint32 // of the cache, oldest first
	for page, g := range m.group {
		content, ok := cache[g]
		if !ok {
			if content, err = a.content(ctx, m.groups[g].id); err != nil {
				return err
			}
			if len(order) == dumpCache {
				delete(cache, order[0])
				order = order[1:]
			}
			cache[g], order = content, append(order, g)
		}
		p, err := m.page(content, uint32(page))
		if err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
