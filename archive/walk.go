// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

// workers is how many goroutines read and seal: enough to keep all cores busy while some wait for the disk.
func workers() int { return max(4, runtime.GOMAXPROCS(0)) }

// walk sends each path of the source to the lister, and what must be read also to the workers.
func (r *run) walk(ctx context.Context, work, ordered chan<- *job) error {
	cache := openCache(r.cachePath())
	defer cache.close()
	slices.SortFunc(r.companions, func(x, y *job) int { return format.ComparePaths(x.item.Path, y.item.Path) })
	passed := func(path string) error { // sends the companions that come before path, if their database came
		for len(r.companions) > 0 && (path == "" || format.ComparePaths(r.companions[0].item.Path, path) < 0) {
			j := r.companions[0]
			r.companions = r.companions[1:]
			if !j.copy.database.listed {
				continue
			}
			if err := send(ctx, ordered, j); err != nil {
				return err
			}
		}
		return nil
	}
	err := r.tree.Walk(ctx, func(it source.Item, err error) error {
		if it.Path != "" {
			if err := passed(it.Path); err != nil {
				return err
			}
			if len(r.companions) > 0 && r.companions[0].item.Path == it.Path {
				r.companions = r.companions[1:]
			}
		}
		j := r.job(it, err, cache)
		if j == nil {
			return nil
		}
		if err := send(ctx, ordered, j); err != nil {
			return err
		}
		if j.done == closed || j.copy != nil {
			return nil
		}
		return send(ctx, work, j)
	})
	if err != nil {
		return err
	}
	return passed("")
}

func send(ctx context.Context, c chan<- *job, j *job) error {
	select {
	case c <- j:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// job decides what is to be done with a path; nil is nothing.
func (r *run) job(it source.Item, err error, cache *cacheReader) *job {
	j := &job{item: it, done: closed, entry: format.Entry{Path: it.Path, Mode: it.Stat.Mode, ModTime: it.Stat.ModTime}}
	switch {
	case err != nil:
		r.unreadable(it.Path, err)
		return nil
	case !format.ValidPath(it.Path):
		r.problem(it.Path, ProblemUnreadable, "the path is too long")
		return nil
	case it.Type == source.File && it.Stat.Size > format.MaxFileSize:
		r.problem(it.Path, ProblemUnreadable, "the file is too large")
		return nil
	case it.Type == source.Other:
		r.problem(it.Path, ProblemSkipped, "a socket, pipe or device is not backed up")
		return nil
	case it.Type == source.Dir:
		j.entry.Type = format.TypeDir
	case it.Type == source.Symlink:
		j.entry.Type, j.entry.Target = format.TypeSymlink, it.Target
	case r.databases[it.Path] != nil:
		j = r.databases[it.Path]
		j.listed = true
		return j
	case r.left[it.Path]:
		return nil
	default:
		cached := cache.next(it.Path)
		if cached != nil && cached.entry.Type == format.TypeFile && r.isUnchanged(cached, it, cache) {
			j.entry.Type, j.entry.Size, j.entry.Sparse, j.entry.Segments = format.TypeFile, cached.entry.Size, cached.entry.Sparse, cached.entry.Segments
			r.c.Progress.add(it.Stat.Size, 1)
			return j
		}
		j.entry.Type, j.done = format.TypeFile, make(chan struct{})
	}
	return j
}

func (r *run) isUnchanged(cached *cachedFile, it source.Item, cache *cacheReader) bool {
	return !r.c.ReadAll && cached.stat.Same(it.Stat) && it.Stat.Settled(cache.taken) && r.haveFile(&cached.entry)
}

// haveFile reports whether the archive has all contents of a file's entry.
func (r *run) haveFile(e *format.Entry) bool {
	if !r.haveAll(e.Segments) {
		return false
	}
	if e.Inline() {
		return true
	}
	for _, list := range e.Segments {
		plain, err := r.a.content(r.p.ctx, list)
		if err != nil {
			return false
		}
		ids, err := format.DecodeIDs(plain)
		if err != nil || !r.haveAll(ids) {
			return false
		}
	}
	return true
}

func (r *run) haveAll(ids []format.ContentID) bool {
	for _, id := range ids {
		if !r.p.have(id) {
			return false
		}
	}
	return true
}

func (r *run) unreadable(path string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		r.problem(path, ProblemVanished, "it was gone when it was to be read")
		return
	}
	var pe *fs.PathError // its path is said already
	if errors.As(err, &pe) {
		err = pe.Err
	}
	r.problem(path, ProblemUnreadable, err.Error())
}

// copyDatabases finds all databases and copies them before any other file is read, so that no message in a snapshot refers
// to a media file that came later. Each copy is processed by a worker while the next one is made.
func (r *run) copyDatabases(ctx context.Context, work chan<- *job) error {
	var found []*job
	var bytes, files int64
	known := map[string]bool{}
	err := r.tree.Walk(ctx, func(it source.Item, err error) error {
		if err != nil || it.Type != source.File {
			return nil // the second walk reports it
		}
		bytes, files = bytes+it.Stat.Size, files+1
		base := siblingOf(it.Path)
		if base != "" {
			it = source.Item{Path: base, Type: source.File, Stat: r.tree.Lstat(base)}
		}
		kind, pageSize := r.databaseKind(it, base != "")
		if kind != notDatabase && !known[it.Path] {
			known[it.Path] = true
			found = append(found, &job{item: it, copy: &databaseCopy{kind: kind, pageSize: pageSize}, done: make(chan struct{})})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(found) > 0 {
		r.c.Progress.begin("copying databases", 0, int64(len(found)))
	}
	sent := 0
	for i, j := range found {
		j.copy.path = filepath.Join(r.tmp, strconv.Itoa(i))
		if err := r.copyDatabase(ctx, j); err != nil {
			return err
		}
		r.c.Progress.add(0, 1)
		if j.copy.kind == notDatabase {
			continue // it turned out to be none
		}
		r.databases[j.item.Path] = j
		if j.done != closed {
			if err := send(ctx, work, j); err != nil {
				return err
			}
		}
		for ; sent < len(r.companions); sent++ {
			if err := send(ctx, work, r.companions[sent]); err != nil {
				return err
			}
		}
	}
	r.c.Progress.begin("backing up", bytes, files)
	return nil
}

const sqliteMagic = "SQLite format 3\x00"

// databaseKind tells databases by name and by what they begin with. A SQLite database that is not in use has a size of whole
// pages, so most files need not be opened for that.
func (r *run) databaseKind(it source.Item, inUse bool) (databaseKind, uint32) {
	for _, g := range r.globs {
		if g.Matches(it.Path) && it.Stat.Size > 0 {
			return namedDatabase, g.PageSize
		}
	}
	if it.Stat.Size == 0 || it.Stat.Size%format.MinPageSize != 0 && !inUse {
		return notDatabase, 0
	}
	f, _, err := r.tree.OpenFile(it.Path)
	if err != nil {
		return notDatabase, 0
	}
	defer f.Close()
	var m [len(sqliteMagic)]byte
	if _, err := io.ReadFull(f, m[:]); err != nil || string(m[:]) != sqliteMagic {
		return notDatabase, 0
	}
	if r.c.CopyDatabase == nil {
		return namedDatabase, 0
	}
	return sqliteDatabase, 0
}

// siblingOf returns the path that a -wal or -journal would belong to; "" for any other file.
func siblingOf(path string) string {
	for _, suffix := range []string{"-wal", "-journal"} {
		if base, ok := strings.CutSuffix(path, suffix); ok {
			return base
		}
	}
	return ""
}

// siblings names the files that a database's copy stands for, or needs.
func siblings(path string) [3]string {
	return [3]string{path + "-wal", path + "-journal", path + "-shm"}
}
