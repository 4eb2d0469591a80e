// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// parts are the files that together are a database at rest. The -shm is only
// an index of the -wal.
var parts = []string{"", "-wal", "-journal"}

// copyStill makes result(work) a copy of the database at src without opening
// src in SQLite. It copies the database's files, then reads them again: what
// is the same both times stood like that in the moment between, and what
// stands on disk at any one moment is what SQLite recovers from after a crash.
// It fails with errUnsettled if there was no such moment.
func copyStill(src string, pageSize int64, work string) error {
	dir := filepath.Join(work, "still")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db := filepath.Join(dir, "db")

	hot, err := copyParts(src, db)
	if errors.Is(err, fs.ErrNotExist) {
		return errUnsettled // if src itself is gone, the next attempt says so
	}
	if err != nil {
		return err
	}
	if !hot {
		if err := check(db); err != nil {
			return err
		}
		return os.Rename(db, result(work))
	}
	return backup(db, "mode=rw", pageSize, result(work))
}

// copyParts copies the parts of src that exist to db, and tells whether there
// is more than the database itself.
func copyParts(src, db string) (hot bool, err error) {
	var before [3]fs.FileInfo
	for i, suffix := range parts {
		if before[i], err = statPart(src + suffix); err != nil {
			return false, err
		}
		if before[i] == nil {
			continue
		}
		hot = hot || suffix != ""
		if err := copyFile(src+suffix, db+suffix); err != nil {
			return false, err
		}
	}
	for i, suffix := range parts {
		if before[i] != nil {
			if err := checkEqual(src+suffix, db+suffix); err != nil {
				return false, err
			}
		}
		after, err := statPart(src + suffix)
		if err != nil {
			return false, err
		}
		if !unchanged(before[i], after) {
			return false, errUnsettled
		}
	}
	return hot, nil
}

// statPart returns nil for a part that is missing or, which is the same to
// SQLite, empty.
func statPart(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	if info.Size() == 0 {
		return nil, nil
	}
	return info, nil
}

func unchanged(before, after fs.FileInfo) bool {
	if before == nil || after == nil {
		return before == nil && after == nil
	}
	return os.SameFile(before, after) && before.Size() == after.Size() && before.ModTime().Equal(after.ModTime())
}

func copyFile(src, dst string) error {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// checkEqual fails with errUnsettled if two files differ. Times alone would not
// show it: file systems keep them to some milliseconds or worse, and a writer
// needs microseconds.
func checkEqual(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 256<<10), make([]byte, 256<<10)
	for {
		na, errA := io.ReadFull(fa, bufA)
		nb, errB := io.ReadFull(fb, bufB)
		if !bytes.Equal(bufA[:na], bufB[:nb]) {
			return errUnsettled
		}
		for _, err := range []error{errA, errB} {
			if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
				return err
			}
		}
		if errA != nil {
			return nil
		}
	}
}
