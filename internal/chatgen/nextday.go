// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// A day's changes in a store as large as Bench; a smaller one has its share,
// but at least one of each.
const (
	messagesPerDay = 0.005 // of all
	editsPerDay    = 35
	deletesPerDay  = 15
	filesPerDay    = 40
	movesPerDay    = 20
)

func share(perDay, size, benchSize int) int {
	return max(1, perDay*size/benchSize)
}

// NextDay changes the store that Generate made from c in dir as a day's use
// would: new messages, edits, deletions, new files, pictures moved to another
// folder. Days count from 1 and come in their order, each once. The times of
// what it touches are those of that day.
func NextDay(ctx context.Context, dir string, c Config, day int) error {
	if day < 1 {
		return fmt.Errorf("chatgen: day %d: days count from 1", day)
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(MessageDatabase))); err != nil {
		return fmt.Errorf("chatgen: %s has no store to age, generate one first: %w", dir, err)
	}
	rng := c.rng(fmt.Sprintf("day%d", day))
	night := historyEnd.AddDate(0, 0, day)
	fresh := planMedia(rng, share(filesPerDay, c.MediaFiles, Bench.MediaFiles), c.MediaMeanBytes, night.AddDate(0, 0, -1), night)
	if err := writeFiles(ctx, dir, c.Seed, fresh); err != nil {
		return fmt.Errorf("chatgen: %w", err)
	}
	moves, err := movePictures(dir, rng, share(movesPerDay, c.MediaFiles, Bench.MediaFiles))
	if err != nil {
		return fmt.Errorf("chatgen: %w", err)
	}
	if err := changeMessages(ctx, dir, c, rng, night, fresh, moves); err != nil {
		return fmt.Errorf("chatgen: %w", err)
	}
	touched := map[string]bool{MessageDatabase: true, databaseDir: true, "Media": true}
	for _, f := range fresh {
		touched[path.Dir(f.path)] = true
	}
	for _, m := range moves {
		touched[path.Dir(m.from)], touched[path.Dir(m.to)] = true, true
	}
	for p := range touched {
		if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(p)), night, night); err != nil {
			return fmt.Errorf("chatgen: %w", err)
		}
	}
	return nil
}

// move is a rename; the paths are in the store, with slashes.
type move struct{ from, to string }

// movePictures renames up to n pictures into a folder for the saved ones.
func movePictures(dir string, rng *rand.Rand, n int) ([]move, error) {
	const from, to = "Media/Images", "Media/Images/Saved"
	if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(to)), 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(from)))
	if err != nil {
		return nil, err
	}
	var moves []move
	for _, i := range rng.Perm(len(entries)) {
		name := entries[i].Name()
		if len(moves) == n || !entries[i].Type().IsRegular() {
			continue
		}
		m := move{path.Join(from, name), path.Join(to, name)}
		if err := os.Rename(filepath.Join(dir, filepath.FromSlash(m.from)), filepath.Join(dir, filepath.FromSlash(m.to))); err != nil {
			return nil, err
		}
		moves = append(moves, m)
	}
	return moves, nil
}

func changeMessages(ctx context.Context, dir string, c Config, rng *rand.Rand, night time.Time, fresh []mediaFile, moves []move) error {
	db, err := openDatabase(filepath.Join(dir, filepath.FromSlash(MessageDatabase)), "mode=rw&_pragma=synchronous(OFF)")
	if err != nil {
		return err
	}
	defer db.Close()
	err = inTx(db, func(tx *sql.Tx) error {
		w, err := newWriter(tx, rng)
		if err != nil {
			return err
		}
		for range share(editsPerDay, c.Messages, Bench.Messages) {
			if err := w.edit(); err != nil {
				return err
			}
		}
		for range share(deletesPerDay, c.Messages, Bench.Messages) {
			if err := w.remove(); err != nil {
				return err
			}
		}
		for _, m := range moves {
			if _, err := tx.Exec(`UPDATE message_media SET file_path = ? WHERE file_path = ?`, m.to, m.from); err != nil {
				return err
			}
		}
		n := max(1, int(float64(c.Messages)*messagesPerDay))
		w.timeMs, w.stepMs = night.AddDate(0, 0, -1).UnixMilli(), (24*time.Hour).Milliseconds()/int64(n+1)
		return w.addDay(ctx, n, fresh)
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// edit changes the text of a message somewhere in the history.
func (w *writer) edit() error {
	id, old, err := w.anyText()
	if err != nil || id == 0 {
		return err
	}
	w.text = appendText(w.text[:0], w.rng)
	if _, err := w.tx.Exec(`UPDATE message SET text_data = ? WHERE _id = ?`, string(w.text), id); err != nil {
		return err
	}
	w.textBytes += int64(len(w.text) - len(old))
	if err := w.unindex(id, old); err != nil {
		return err
	}
	return w.index(id, w.text)
}

// remove deletes a message and all that hangs on it.
func (w *writer) remove() error {
	id, old, err := w.anyText()
	if err != nil || id == 0 {
		return err
	}
	for _, from := range strings.Fields("message._id message_quoted.message_row_id message_add_on.parent_message_row_id") {
		table, column, _ := strings.Cut(from, ".")
		if _, err := w.tx.Exec("DELETE FROM "+table+" WHERE "+column+" = ?", id); err != nil {
			return err
		}
	}
	w.messages--
	w.textBytes -= int64(len(old))
	return w.unindex(id, old)
}

// anyText chooses a text message at random; id is 0 if there is none.
func (w *writer) anyText() (id int64, text []byte, err error) {
	err = w.tx.QueryRow(`SELECT _id, text_data FROM message WHERE _id >= ? AND message_type = 0 ORDER BY _id LIMIT 1`,
		1+w.rng.Int64N(w.nextID)).Scan(&id, &text)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, text, err
}
