// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/archive/source"
)

type databaseKind byte

const (
	notDatabase    databaseKind = iota
	sqliteDatabase              // has the magic: copied by CopyDatabase
	namedDatabase               // named by the user: copied as it lies, with its -wal and -journal
)

// A databaseCopy is a private copy of one database, made at one moment.
type databaseCopy struct {
	kind     databaseKind
	pageSize uint32 // 0: to be read from the copy
	path     string // of the copy
	stamp    databaseStamp
	previous *databaseMap // what the archive has of it; nil: nothing
	database *job         // of a companion: the database that it belongs to
}

// A databaseStamp tells an unchanged database: by itself and by the files that its latest changes may be in.
type databaseStamp struct{ Main, Wal, Journal source.Stat }

func (s databaseStamp) same(t databaseStamp) bool {
	return s.Main.Same(t.Main) && s.Wal.Same(t.Wal) && s.Journal.Same(t.Journal)
}

func (s databaseStamp) settled(before time.Time) bool {
	return s.Main.Settled(before) && s.Wal.Settled(before) && s.Journal.Settled(before)
}

func (s databaseStamp) fresh(now time.Time) bool {
	return s.Main.Fresh(now) || s.Wal.Fresh(now) || s.Journal.Fresh(now)
}

func (r *run) stamp(path string) databaseStamp {
	return databaseStamp{r.tree.Lstat(path), r.tree.Lstat(path + "-wal"), r.tree.Lstat(path + "-journal")}
}

// copyDatabase makes the job's copy, or finds that the database did not change, or that it is none. What the snapshot has of a
// database is one moment, so what lies beside it is left out, or copied with it.
func (r *run) copyDatabase(ctx context.Context, j *job) (err error) {
	c := j.copy
	c.stamp = r.stamp(j.item.Path)
	saved := r.loadSavedMap(j.item.Path)
	alone := c.stamp.Wal == source.Stat{} && c.stamp.Journal == source.Stat{}
	if (c.kind == sqliteDatabase || alone) && r.isUnchangedDatabase(saved, c.stamp) {
		r.leave(j)
		j.done = closed
		j.entry = saved.entry(c.stamp.Main)
		return nil
	}
	if c.previous, err = r.previousMap(ctx, j.item.Path, saved); err != nil {
		return err
	}
	if err := r.checkSpace(c.stamp.Main.Size + c.stamp.Wal.Size + c.stamp.Journal.Size); err != nil {
		return err
	}
	if c.kind == sqliteDatabase {
		return r.copyOnline(ctx, j)
	}
	return r.copyStill(ctx, j)
}

func (r *run) isUnchangedDatabase(saved *savedMap, now databaseStamp) bool {
	return saved != nil && !r.c.ReadAll && saved.Stamp.same(now) && now.settled(saved.Taken) &&
		r.haveAll(saved.Layers) && r.haveAll(saved.Groups)
}

// leave keeps the files beside a database out of the snapshot. Beside its copy they would be applied to it a second time.
func (r *run) leave(j *job) {
	for _, path := range siblings(j.item.Path) {
		r.left[path] = true
	}
}

// copyOnline copies through SQLite.
func (r *run) copyOnline(ctx context.Context, j *job) error {
	err := r.c.CopyDatabase(ctx, r.tree.FullPath(j.item.Path), j.copy.path)
	switch {
	case err == nil:
		r.leave(j)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isNoSpace(err):
		return fmt.Errorf("copy database %q: %w", j.item.Path, err)
	}
	j.copy.kind = notDatabase
	if errors.Is(err, fs.ErrNotExist) && r.stamp(j.item.Path).Main == (source.Stat{}) {
		return nil // it is gone, as if a moment earlier
	}
	r.problem(j.item.Path, ProblemNotDatabase, "SQLite cannot copy it, so it is stored as an ordinary file: "+err.Error())
	return nil
}

// stillTries is how often a database that is copied as it lies is copied until it held still. The pauses between double.
const stillTries = 5

// copyStill copies a database, its -wal and its -journal as they lie, until none of them changed meanwhile.
func (r *run) copyStill(ctx context.Context, j *job) error {
	c := j.copy
	for try := 0; ; try++ {
		c.stamp = r.stamp(j.item.Path)
		still := !c.stamp.fresh(time.Now())
		for _, suffix := range []string{"", "-wal", "-journal"} {
			err := r.copyPlain(ctx, j.item.Path+suffix, c.path+suffix)
			if _, isSource := errors.AsType[*sourceError](err); !isSource && err != nil {
				return err
			}
			none := errors.Is(err, fs.ErrNotExist) || errors.Is(err, source.ErrNotRegular)
			if err != nil && (suffix == "" || !none) {
				c.kind = notDatabase // whatever it is, the walk reports it
				return nil
			}
		}
		if still && c.stamp.same(r.stamp(j.item.Path)) {
			break
		}
		if try == stillTries-1 {
			r.problem(j.item.Path, ProblemTorn, fmt.Sprintf("it changed during each of %d attempts to copy it; the snapshot has it possibly torn", stillTries))
			c.stamp.Main.Inode, c.stamp.Main.Size = 0, -1 // never taken for unchanged
			break
		}
		if err := pause(ctx, freshPause<<try); err != nil {
			return err
		}
	}
	r.leave(j)
	r.addCompanions(j)
	return nil
}

// addCompanions makes the copied -wal and -journal jobs of their own, read from the copies. The -shm is rebuilt from the -wal.
func (r *run) addCompanions(j *job) {
	for suffix, s := range map[string]source.Stat{"-wal": j.copy.stamp.Wal, "-journal": j.copy.stamp.Journal} {
		if _, err := os.Lstat(j.copy.path + suffix); err != nil || s == (source.Stat{}) {
			continue
		}
		companion := &job{
			item: source.Item{Path: j.item.Path + suffix, Type: source.File, Stat: s},
			copy: &databaseCopy{kind: notDatabase, path: j.copy.path + suffix, database: j},
			done: make(chan struct{}),
		}
		r.databases[companion.item.Path] = companion
		r.companions = append(r.companions, companion)
	}
}

// copyPlain copies one file of the source. An error of the source is a sourceError; then there is no copy.
func (r *run) copyPlain(ctx context.Context, path, dst string) error {
	if err := os.Remove(dst); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	src, _, err := r.tree.OpenFile(path)
	if err != nil {
		return &sourceError{err}
	}
	defer src.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, contextReader{ctx, src})
	if err2 := out.Close(); err == nil {
		err = err2
	}
	if isNoSpace(err) {
		err = fmt.Errorf("copy database %q: %w: %w", path, ErrNoSpace, err)
	}
	return err
}

func isNoSpace(err error) bool {
	return errors.Is(err, ErrNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}

// checkSpace refuses to begin a copy that cannot end.
func (r *run) checkSpace(need int64) error {
	free, err := freeSpace(r.tmp)
	if err == nil && free < need+need/16 {
		return fmt.Errorf("%w: copying the databases takes %d bytes in %s, and only %d are free", ErrNoSpace, need+need/16, r.tmp, free)
	}
	return nil // an unknown amount is found out by trying
}

// pageSizeOf reads the page size from a SQLite header; 0 if there is none that can be.
func pageSizeOf(f *os.File) uint32 {
	var h [18]byte
	if _, err := f.ReadAt(h[:], 0); err != nil || string(h[:16]) != sqliteMagic {
		return 0
	}
	n := uint32(h[16])<<8 | uint32(h[17])
	if n == 1 {
		n = format.MaxPageSize
	}
	if n < format.MinPageSize || n&(n-1) != 0 {
		return 0
	}
	return n
}
