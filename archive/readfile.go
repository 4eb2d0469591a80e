// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

// fileTries is how often a file that changes while it is read is read again.
const fileTries = 3

// A worker's own tools. Its buffer holds one segment.
type tools struct {
	hasher  *format.Hasher
	encoder *encoder
	buf     []byte
}

func (r *run) newTools() *tools {
	return &tools{hasher: r.hasher.Clone(), encoder: newEncoder(), buf: make([]byte, format.SegmentSize)}
}

func (r *run) worker(ctx context.Context, work <-chan *job) error {
	var t *tools
	for j := range work {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if t == nil { // often there is nothing to read
			t = r.newTools()
		}
		var err error
		if j.copy != nil {
			err = r.storeDatabase(ctx, j, t)
		} else {
			err = r.storeFile(ctx, j, t)
		}
		if err != nil {
			return err
		}
		close(j.done)
	}
	return nil
}

// storeFile reads a file and stores what is new of it. What the source does wrong is a problem; an error ends the backup.
func (r *run) storeFile(ctx context.Context, j *job, t *tools) error {
	for try := 1; ; try++ {
		f, before, err := r.tree.OpenFile(j.item.Path)
		if err != nil {
			r.dropUnreadable(j, err)
			return nil
		}
		fresh := before.Fresh(time.Now())
		if fresh && try < fileTries {
			f.Close()
			if err := pause(ctx, freshPause); err != nil {
				return err
			}
			continue
		}
		size, err := r.storeSegments(ctx, j, f, before, t)
		after, statErr := source.FileStat(f)
		f.Close()
		var readErr *sourceError
		switch {
		case errors.As(err, &readErr):
			r.dropUnreadable(j, readErr.error)
			return nil
		case err != nil:
			return err
		}
		still := !fresh && statErr == nil && after.Same(before) && size == before.Size
		if still || try == fileTries {
			j.item.Stat = before
			j.entry.Mode, j.entry.ModTime, j.entry.Size, j.entry.Sparse = before.Mode, before.ModTime, size, before.Sparse
			if !still {
				j.item.Stat.Inode = 0 // never taken for unchanged
				j.item.Stat.ChangeTime = j.item.Stat.ModTime
				r.problem(j.item.Path, ProblemChanged, "it changed while it was read, three times; the snapshot has it as it was read, possibly torn")
			}
			r.c.Progress.add(0, 1)
			return nil
		}
		r.c.Progress.add(-size, 0) // it is read again
	}
}

func (r *run) dropUnreadable(j *job, err error) {
	j.drop = true
	if errors.Is(err, source.ErrNotRegular) {
		err = fs.ErrNotExist
	}
	r.unreadable(j.item.Path, err)
}

// A sourceError is an error of reading the source.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// freshPause is how long a file that was changed just now is given to hold still.
const freshPause = 50 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// storeSegments stores the file's contents, up to the size it had when it was opened, and enters them into the job. It
// returns how many bytes there were.
func (r *run) storeSegments(ctx context.Context, j *job, f *os.File, s source.Stat, t *tools) (int64, error) {
	var ids []format.ContentID
	var offset int64
	for offset < s.Size {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		want := min(s.Size-offset, format.SegmentSize)
		if s.Sparse && source.IsHole(f, offset, want) {
			r.c.Progress.add(want, 0)
			ids = append(ids, format.Hole)
			offset += want
			continue
		}
		n, err := f.ReadAt(t.buf[:want], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, &sourceError{err}
		}
		if n == 0 {
			break
		}
		if offset == 0 && j.copy == nil && bytes.HasPrefix(t.buf[:n], []byte(sqliteMagic)) {
			r.problem(j.item.Path, ProblemNotDatabase, "it begins like a SQLite database, but was not one of whole pages when databases were copied; it is stored as an ordinary file")
		}
		id, err := r.storeSegment(t.buf[:n], s.Sparse, t)
		if err != nil {
			return 0, err
		}
		ids = append(ids, id)
		offset += int64(n)
		if int64(n) < want {
			break
		}
	}
	r.count(offset)
	segments, err := r.storeIDs(offset, ids, t)
	j.entry.Segments = segments
	return offset, err
}

func (r *run) count(read int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read += read
}

// storeSegment stores one segment, and counts it once it is at the destination. Media do not compress, so only a file with holes is tried: the rest of it is often zeros.
func (r *run) storeSegment(p []byte, sparse bool, t *tools) (format.ContentID, error) {
	size := int64(len(p))
	if isZero(p) {
		r.c.Progress.add(size, 0)
		return format.Hole, nil
	}
	id := t.hasher.Content(p)
	if !r.p.claim(id) {
		r.c.Progress.add(size, 0)
		return id, nil
	}
	if sparse {
		return id, r.p.addCounted(id, p, t.encoder, size)
	}
	return id, r.p.addCounted(id, p, nil, size)
}

// storeIDs returns what an entry holds for these segments: themselves, or lists of them that it stores.
func (r *run) storeIDs(size int64, ids []format.ContentID, t *tools) ([]format.ContentID, error) {
	if e := (format.Entry{Size: size}); e.Inline() {
		return ids, nil
	}
	var lists []format.ContentID
	for len(ids) > 0 {
		n := min(len(ids), format.ListSegments)
		list := format.EncodeIDs(ids[:n])
		id := t.hasher.Content(list)
		if r.p.claim(id) {
			if err := r.p.add(id, list, t.encoder); err != nil {
				return nil, err
			}
		}
		lists = append(lists, id)
		ids = ids[n:]
	}
	return lists, nil
}

// isZero reports whether all bytes are zero. It stops at the first that is not.
func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
