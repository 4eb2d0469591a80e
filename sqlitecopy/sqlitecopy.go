// SPDX-License-Identifier: Apache-2.0

// Package sqlitecopy copies a SQLite database while other processes go on
// writing it.
//
// It guarantees that the copy is one consistent moment of the database in one
// self-contained file with the source's page size, page count and auto-vacuum
// layout, and that the source is never changed: no checkpoint, no rollback,
// and no -wal, -shm or -journal created, truncated or removed beside it. Of a
// database at rest the copy differs at most in header bytes 24-27, 40-43 and
// 92-99, the change counters, the schema cookie and the version of SQLite.
//
// It trusts the file locks of the operating system, the application to keep
// SQLite's locking rules, and the directory of the copy to be the caller's
// own. It does not trust the database: no SQL that the file holds is run, and
// no more is written than its files hold.
//
// It refuses what SQLite itself cannot read. And it must not run inside a
// process that has the database open: closing any descriptor of a file drops
// all POSIX locks that the process holds on it. That is what [Child] is for.
package sqlitecopy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

var (
	// ErrNotDatabase means that SQLite cannot read the file: it is corrupt,
	// encrypted, or no database at all.
	ErrNotDatabase = errors.New("not a database that SQLite can read")
	// ErrBusy means that for as long as Copy waits there was no consistent
	// moment to copy, because others held the database locked or kept changing
	// it.
	ErrBusy = errors.New("database is in use by a writer that locks others out; close its app or try again later")
	// ErrFull means that there is no room for the copy.
	ErrFull = errors.New("no space left for the copy of the database")
)

// errUnsettled ends one attempt: the database was locked, or changed while its
// files were copied. Another attempt may succeed.
var errUnsettled = errors.New("locked or changing")

// busyWait bounds the attempts.
var busyWait = 30 * time.Second

// A writer in rollback mode leaves only short gaps between its locks, so we
// look often; but we rest for longer than we worked.
const (
	pollPause = 5 * time.Millisecond
	restRatio = 10
)

// workSuffix names the private directory beside dst in which a copy grows.
const workSuffix = ".copying"

// Copy makes dst, a new file with mode 0600, a consistent copy of the database
// at src, which must be a regular file. For up to 30 seconds it waits for
// writers that lock readers out.
//
// On any error there is no dst. Errors are [ErrNotDatabase], [ErrBusy],
// [ErrFull], [fs.ErrExist] for dst, or those of ctx and of the file system.
// While it works it keeps a directory dst+".copying", which only a killed
// process leaves behind.
//
// The copying itself cannot be interrupted: ctx is looked at between its steps
// and while waiting. [Child] can end it at any moment.
func Copy(ctx context.Context, src, dst string) error {
	if err := copyDatabase(ctx, src, dst); err != nil {
		return fmt.Errorf("copy database %q: %w", src, err)
	}
	return nil
}

func copyDatabase(ctx context.Context, src, dst string) error {
	// SQLite takes URIs, and those need absolute paths.
	src, err := filepath.Abs(src)
	if err != nil {
		return err
	}
	dst, err = filepath.Abs(dst)
	if err != nil {
		return err
	}
	if err := checkAbsent(dst); err != nil {
		return err
	}
	work := dst + workSuffix
	if err := os.Mkdir(work, 0o700); err != nil {
		return classify(err)
	}
	defer os.RemoveAll(work)

	err = retry(ctx, func() error { return classify(attempt(src, work)) })
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	return os.Rename(result(work), dst)
}

// result is the finished copy inside a work directory.
func result(work string) string { return filepath.Join(work, "copy") }

// checkAbsent refuses a dst that exists, or whose work directory does.
func checkAbsent(dst string) error {
	for _, path := range []string{dst, dst + workSuffix} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%q is in the way; remove it: %w", path, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// retry repeats an attempt that found the database unsettled.
func retry(ctx context.Context, attempt func() error) error {
	for deadline := time.Now().Add(busyWait); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		started := time.Now()
		if err := attempt(); !errors.Is(err, errUnsettled) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w (waited %v)", ErrBusy, busyWait)
		}
		rest := pollPause + restRatio*time.Since(started)
		select {
		case <-ctx.Done():
		case <-time.After(min(rest, time.Until(deadline))):
		}
	}
}

// attempt makes result(work) a copy of src, through SQLite if SQLite can read
// src without writing beside it, and else from a private copy of the files.
func attempt(src, work string) error {
	// A symbolic link is refused because SQLite would look for the -wal and
	// -journal beside its target and we beside the link.
	if info, err := os.Lstat(src); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()

	// The last connection to close a WAL database removes its -wal, for which
	// it must lock all others out. Under our lock what we see beside src
	// therefore stays until SQLite has opened it; without it SQLite could find
	// the -wal gone and create a new one.
	locked, err := lockShared(f)
	if err != nil {
		return err
	}
	wal, pageSize, err := readHeader(f)
	if err != nil {
		return err
	}
	if wal && (!locked || missing(src+"-wal") || missing(src+"-shm")) {
		// Nobody is connected, or somebody in exclusive mode who may never
		// unlock. Either way a WAL database is whole at any moment.
		return copyStill(src, pageSize, work)
	}
	if !locked {
		return errUnsettled
	}

	// readonly_shm takes part in the locking of the -shm if its application
	// lives, and else works without; it never creates or writes one.
	err = backup(src, "mode=ro&readonly_shm=1", pageSize, result(work))
	if !wantsToWrite(err) && !errors.Is(err, errInflated) {
		return err
	}
	if !wal {
		// In rollback mode only the lock keeps writers away that journal in
		// memory. Closing its connection, SQLite gave up ours as well. The
		// new one lasts until src has been read once, and so long it must.
		if locked, err := lockShared(f); err != nil {
			return err
		} else if !locked {
			return errUnsettled
		}
	}
	return copyStill(src, pageSize, work)
}

// readHeader returns whether the database is in WAL mode, and its page size.
func readHeader(f *os.File) (wal bool, pageSize int64, err error) {
	var header [20]byte
	_, err = f.ReadAt(header[:], 0)
	if err != nil && err != io.EOF {
		return false, 0, err
	}
	// SQLite takes an empty file for an empty database and deletes what it
	// finds beside it.
	if string(header[:16]) != "SQLite format 3\x00" {
		return false, 0, fmt.Errorf("%w: it does not begin with SQLite's magic", ErrNotDatabase)
	}
	pageSize = int64(binary.BigEndian.Uint16(header[16:]))
	if pageSize == 1 {
		pageSize = 65536
	}
	// SQLite would make up what is missing of page 1.
	if info, err := f.Stat(); err != nil {
		return false, 0, err
	} else if info.Size() < pageSize {
		return false, 0, fmt.Errorf("%w: it ends within its first page", ErrNotDatabase)
	}
	return header[18] == 2 || header[19] == 2, pageSize, nil
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}
