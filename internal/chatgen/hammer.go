// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"
)

// Hammer writes to a message database as a very busy app would, one
// transaction after the other, until ctx ends, and returns how many it
// committed. The end of ctx is not an error. It works beside readers, but
// belongs in a process of its own when this one opens the same file.
func Hammer(ctx context.Context, dbPath string) (commits int, err error) {
	return HammerNotify(ctx, dbPath, func() {})
}

// HammerNotify is Hammer, and calls first after the first commit.
func HammerNotify(ctx context.Context, dbPath string, first func()) (commits int, err error) {
	db, err := openDatabase(dbPath, "mode=rw&_txlock=immediate&_pragma=busy_timeout(30000)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return 0, fmt.Errorf("chatgen: %w", err)
	}
	defer db.Close()
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for ctx.Err() == nil {
		if err := inTx(db, func(tx *sql.Tx) error { return strike(tx, rng) }); err != nil {
			return commits, fmt.Errorf("chatgen: %s: %w", dbPath, err)
		}
		if commits++; commits == 1 {
			first()
		}
	}
	if err := db.Close(); err != nil {
		return commits, fmt.Errorf("chatgen: %s: %w", dbPath, err)
	}
	return commits, nil
}

// strike is a transaction that touches the end of the file, its middle, and props.
func strike(tx *sql.Tx, rng *rand.Rand) error {
	w, err := newWriter(tx, rng)
	if err != nil {
		return err
	}
	w.timeMs = time.Now().UnixMilli()
	if err := w.edit(); err != nil {
		return err
	}
	if err := w.remove(); err != nil {
		return err
	}
	for range 1 + rng.IntN(8) {
		if err := w.add(nil); err != nil {
			return err
		}
	}
	return w.flush()
}

// CheckMoment returns an error unless the message database is sound and shows
// one moment: what props says of the messages, which every transaction keeps
// right, is what the messages say. It leaves no trace beside a database that
// has no -wal.
func CheckMoment(dbPath string) error {
	options := "mode=ro&_pragma=busy_timeout(30000)"
	if _, err := os.Lstat(dbPath + "-wal"); errors.Is(err, fs.ErrNotExist) {
		options += "&immutable=1"
	}
	db, err := openDatabase(dbPath, options)
	if err != nil {
		return fmt.Errorf("chatgen: %w", err)
	}
	defer db.Close()
	if err := inTx(db, checkMoment); err != nil {
		return fmt.Errorf("chatgen: %s: %w", dbPath, err)
	}
	return nil
}

func checkMoment(tx *sql.Tx) error {
	var report string
	if err := tx.QueryRow(`PRAGMA integrity_check(1)`).Scan(&report); err != nil {
		return fmt.Errorf("integrity check: %w", err)
	}
	if report != "ok" {
		return fmt.Errorf("integrity check: %s", report)
	}
	var messages, textBytes, wantMessages, wantTextBytes int64
	err := tx.QueryRow(`SELECT count(*), ifnull(sum(octet_length(text_data)), 0),
		(SELECT value FROM props WHERE key = 'messages'), (SELECT value FROM props WHERE key = 'text_bytes') FROM message`).
		Scan(&messages, &textBytes, &wantMessages, &wantTextBytes)
	if err != nil {
		return err
	}
	if messages != wantMessages || textBytes != wantTextBytes {
		return fmt.Errorf("not one moment: %d messages of %d bytes, but props says %d of %d",
			messages, textBytes, wantMessages, wantTextBytes)
	}
	return nil
}
