// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// errInflated says that a -wal or -journal makes a database larger than all
// its files. Copied, a few forged bytes would fill the disk.
var errInflated = fmt.Errorf("%w: it claims more pages than its files hold", ErrNotDatabase)

// inflationAllowed is what a live database may grow, in bytes, while we open it.
const inflationAllowed = 64 << 20

// backup copies the database at src, opened with the URI parameters in query,
// to dst in one step: a backup in slices starts again whenever another process
// writes. It replaces dst.
func backup(src, query string, pageSize int64, dst string) error {
	largest := int64(inflationAllowed)
	for _, suffix := range parts {
		if info, err := os.Lstat(src + suffix); err == nil {
			largest += info.Size()
		}
	}
	if err := os.WriteFile(dst, nil, 0o600); err != nil {
		return err
	}
	// The copy is temporary and worthless unless complete, so it needs neither
	// journal nor sync. The small page cache stays in the processor's.
	conn, err := open(uri(dst, "mode=rw&_pragma=journal_mode(off)&_pragma=synchronous(off)"+
		"&_pragma=locking_mode(exclusive)&_pragma=cache_size(-256)"))
	if err != nil {
		return err
	}
	defer conn.Close()
	b, err := conn.NewRestore(uri(src, query))
	if err != nil {
		return err
	}
	_, err = b.Step(0) // counts the pages
	if err == nil && int64(uint32(b.PageCount()))*pageSize > largest {
		err = errInflated
	}
	if err == nil {
		_, err = b.Step(-1)
	}
	if finishErr := b.Finish(); err == nil {
		err = finishErr
	}
	return err
}

// check tells whether SQLite can read the database at path, which nobody else
// uses and which needs no recovery.
func check(path string) error {
	// A pragma that starts a read transaction, as this one, checks page 1 and
	// the file's size against it; unlike most it does not parse the schema.
	conn, err := open(uri(path, "mode=ro&immutable=1&_pragma=user_version"))
	if err != nil {
		return err
	}
	return conn.Close()
}

type restorer interface {
	NewRestore(srcURI string) (*sqlite.Backup, error)
	Close() error
}

func open(uri string) (restorer, error) {
	conn, err := new(sqlite.Driver).Open(uri)
	if err != nil {
		return nil, err
	}
	return conn.(restorer), nil
}

// uri escapes every byte of an absolute path that means something in a URI.
func uri(path, query string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/...
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: query + "&_pragma=trusted_schema(off)"}
	return u.String()
}

// wantsToWrite tells whether SQLite gave up because it would have had to
// create, recover or roll back something beside a database opened read-only.
// It also cannot open paths that it finds too long.
func wantsToWrite(err error) bool {
	code := primaryCode(err)
	return code == sqlite3.SQLITE_READONLY || code == sqlite3.SQLITE_CANTOPEN
}

// classify gives an error of one attempt the meaning that callers act on.
func classify(err error) error {
	switch primaryCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return errUnsettled
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrNotDatabase, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	if isFull(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// primaryCode is SQLite's result code without its extension, 0 if none.
func primaryCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return sqlite3.SQLITE_OK
}
