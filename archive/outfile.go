// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
)

// An outFile is one file on its way. Several goroutines write into it, each its own stretch; who writes the last, ends it.
type outFile struct {
	path, target, temp string
	mode               uint32
	modTime            time.Time
	size               int64
	sparse             bool
	single             bool // it is made of one content, and so written at once
	found              bool // an interrupted restore had completed it
	placed             bool // and it stands where it should
	failed             atomic.Bool
	left               atomic.Int64 // contents still to be written, and one more while it is planned
	pages              *databaseMap
	byGroup            [][]uint32
}

func newOutFile(e *format.Entry, target string) *outFile {
	sum := sha256.Sum256([]byte(e.Path))
	f := &outFile{
		path: e.Path, target: target, temp: hex.EncodeToString(sum[:16]),
		mode: e.Mode, modTime: e.ModTime, size: e.Size, sparse: e.Sparse,
		single: e.Type == TypeFile && e.SegmentCount() == 1 && !e.Segments[0].IsHole(),
	}
	f.left.Store(1)
	return f
}

// sizeOf returns the size of one of a file's segments.
func (f *outFile) sizeOf(part uint32) int64 {
	return min(f.size-int64(part)*format.SegmentSize, format.SegmentSize)
}

// start makes the temporary file of a file that is written in several pieces. If an interrupted restore has left something
// of the file, it returns that, to be checked: even what stands in its place may be torn, after a loss of power.
func (r *restore) start(f *outFile) (left *os.File, err error) {
	if r.resume {
		if left, err = r.reclaim(f); left != nil || err != nil {
			return left, err
		}
	}
	if f.single {
		return nil, nil
	}
	return nil, r.create(f)
}

// reclaim opens what an interrupted restore has left of a file, as its temporary file; nil if there is nothing.
func (r *restore) reclaim(f *outFile) (*os.File, error) {
	if info, err := r.root.Lstat(f.target); err == nil && isFile(f.size, f.modTime, info) {
		if err := r.root.Rename(f.target, workName+"/"+f.temp); err != nil {
			return nil, err
		}
		f.found = true
	}
	if err := r.work.Chmod(f.temp, 0o600); err != nil { // it may have its final mode
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, err
	}
	file, err := r.work.OpenFile(f.temp, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(f.size); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// create makes an empty temporary file of the final size.
func (r *restore) create(f *outFile) error {
	if err := r.removeTemp(f); err != nil {
		return err
	}
	file, err := r.work.OpenFile(f.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(f.size), file.Close())
}

func (r *restore) removeTemp(f *outFile) error {
	if err := r.work.Remove(f.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// fail gives a file up if it is damaged and the restore is to keep going; else it returns the error.
func (r *restore) fail(f *outFile, err error) error {
	if !r.c.KeepGoing || !lost(err) {
		return fmt.Errorf("restore %q: %w", f.path, err)
	}
	if !f.failed.Swap(true) {
		r.problem(f.path, ProblemDamaged, err.Error())
	}
	return nil
}

// write puts one content of a file in its place.
func (r *restore) write(f *outFile, part uint32, content []byte) error {
	if f.failed.Load() {
		return nil
	}
	flags := os.O_WRONLY
	if f.single {
		flags |= os.O_CREATE | os.O_TRUNC
	}
	file, err := r.work.OpenFile(f.temp, flags, 0o600)
	if err != nil {
		return err
	}
	if f.pages != nil {
		err = r.writePages(f, part, content, file)
	} else {
		err = r.writeSegment(f, part, content, file)
	}
	return errors.Join(err, file.Close())
}

func (r *restore) writeSegment(f *outFile, part uint32, content []byte, file *os.File) (err error) {
	offset := int64(part) * format.SegmentSize
	if int64(len(content)) != f.sizeOf(part) {
		return errSegmentSize
	}
	if f.sparse {
		err = writeSparse(file, content, offset, f.size)
	} else {
		_, err = file.WriteAt(content, offset)
	}
	r.count(int64(len(content)))
	return err
}

func (r *restore) count(n int64) {
	r.bytes.Add(n)
	r.c.Progress.add(n, 0)
}

// writePages writes the pages that the database has from one group, neighbours together.
func (r *restore) writePages(f *outFile, group uint32, content []byte, file *os.File) error {
	m, pages := f.pages, f.byGroup[group]
	size := int64(m.pageSize)
	for i := 0; i < len(pages); {
		n := 1
		for i+n < len(pages) && pages[i+n] == pages[i]+uint32(n) && m.slot[pages[i+n]] == m.slot[pages[i]]+uint16(n) {
			n++
		}
		from := int64(m.slot[pages[i]]) * size
		if from+int64(n)*size > int64(len(content)) {
			return fmt.Errorf("%w: a group of pages is too short", ErrDamaged)
		}
		if _, err := file.WriteAt(content[from:from+int64(n)*size], int64(pages[i])*size); err != nil {
			return err
		}
		r.count(int64(n) * size)
		i += n
	}
	return nil
}

// writeSparse leaves holes where the content has blocks of zeros.
func writeSparse(file *os.File, content []byte, offset, size int64) error {
	const block = 4096
	var zeros [block]byte
	for from := 0; from < len(content); from += block {
		p := content[from:min(from+block, len(content))]
		if bytes.Equal(p, zeros[:len(p)]) {
			continue
		}
		if _, err := file.WriteAt(p, offset+int64(from)); err != nil {
			return err
		}
	}
	return file.Truncate(size)
}

// done ends a file if nothing of it is missing any more.
func (r *restore) done(f *outFile) error {
	if f.left.Add(-1) > 0 {
		return nil
	}
	if f.failed.Load() {
		return r.removeTemp(f)
	}
	if !f.placed {
		if err := r.end(f); err != nil {
			return fmt.Errorf("restore %q: %w", f.path, err)
		}
	}
	if f.found {
		r.skipped.Add(1)
	}
	r.files.Add(1)
	r.c.Progress.add(0, 1)
	return nil
}

// end gives a complete file its mode, time and name.
func (r *restore) end(f *outFile) error {
	if f.pages != nil {
		if err := r.sync(f); err != nil {
			return err
		}
	}
	if err := r.work.Chmod(f.temp, r.mode(f.mode)); err != nil {
		return err
	}
	if err := r.work.Chtimes(f.temp, f.modTime, f.modTime); err != nil {
		return err
	}
	from := workName + "/" + f.temp
	if !r.c.Overwrite {
		err := r.inFolder(f.target, func() error { return renameNew(r.root, from, f.target) })
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w: it appeared during the restore", ErrOccupied)
		}
		return err
	}
	if f.pages != nil {
		if err := r.clearDatabase(f.target); err != nil {
			return err
		}
	}
	return r.inFolder(f.target, func() error { return r.root.Rename(from, f.target) })
}

// sync makes a database durable before it gets its name: pages have no ids that tell later whether they are right.
func (r *restore) sync(f *outFile) error {
	file, err := r.work.OpenFile(f.temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// clearDatabase removes an old database with what is beside it, which SQLite would take for a part of the new one; but not what
// was restored there. The database itself goes first: at no moment is one there without, or with another's, latest changes.
func (r *restore) clearDatabase(target string) error {
	if err := r.clear(target); err != nil {
		return err
	}
	for _, old := range siblings(target) {
		if !r.siblings[old] {
			if err := r.clear(old); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameIfFree is as good as renameNew but for a file that appears at the very moment.
func renameIfFree(root *os.Root, from, to string) error {
	if _, err := root.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return root.Rename(from, to)
}
