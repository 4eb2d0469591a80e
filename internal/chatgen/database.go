// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// A random key_id and the search word make an insert touch pages all over the
// file, as in a real store; that decides what an increment costs.
//
// props holds two sums over message that every transaction keeps right, so
// that a copy which mixes two moments can be told from one which does not.
const messageSchema = `
CREATE TABLE jid (_id INTEGER PRIMARY KEY, user TEXT NOT NULL, server TEXT NOT NULL, raw_string TEXT UNIQUE);
CREATE TABLE chat (_id INTEGER PRIMARY KEY, jid_row_id INTEGER UNIQUE, subject TEXT);
CREATE TABLE message (_id INTEGER PRIMARY KEY, chat_row_id INTEGER NOT NULL, from_me INTEGER NOT NULL,
	key_id TEXT NOT NULL, sender_jid_row_id INTEGER, timestamp INTEGER, message_type INTEGER, text_data TEXT, sort_id INTEGER NOT NULL);
CREATE UNIQUE INDEX message_key_index ON message (chat_row_id, from_me, key_id);
CREATE INDEX message_chat_sort_index ON message (chat_row_id, sort_id);
CREATE TABLE message_search (word TEXT, message_row_id INTEGER, PRIMARY KEY (word, message_row_id)) WITHOUT ROWID;
CREATE TABLE message_media (message_row_id INTEGER PRIMARY KEY, chat_row_id INTEGER, file_path TEXT, file_size INTEGER,
	mime_type TEXT, file_length INTEGER, media_name TEXT, file_hash TEXT, media_duration INTEGER);
CREATE INDEX message_media_hash_index ON message_media (file_hash);
CREATE TABLE message_thumbnail (message_row_id INTEGER PRIMARY KEY, thumbnail BLOB);
CREATE TABLE message_quoted (message_row_id INTEGER PRIMARY KEY, chat_row_id INTEGER, key_id TEXT, text_data TEXT);
CREATE TABLE message_add_on (_id INTEGER PRIMARY KEY, parent_message_row_id INTEGER, key_id TEXT, sender_jid_row_id INTEGER,
	timestamp INTEGER, message_add_on_type INTEGER, reaction TEXT);
CREATE INDEX message_add_on_parent_index ON message_add_on (parent_message_row_id);
CREATE TABLE call_log (_id INTEGER PRIMARY KEY, jid_row_id INTEGER, from_me INTEGER, call_id TEXT UNIQUE, timestamp INTEGER,
	duration INTEGER, video_call INTEGER, call_result INTEGER);
CREATE TABLE props (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO props VALUES ('messages', 0), ('text_bytes', 0);
`

const contactSchema = `
CREATE TABLE wa_contacts (_id INTEGER PRIMARY KEY, jid TEXT NOT NULL, number TEXT, display_name TEXT, status TEXT);
CREATE INDEX wa_contacts_jid_index ON wa_contacts (jid);
`

// bulk makes a new database fast to fill and worthless after a crash. The
// cache holds the indexes, whose pages are hit at random.
const bulk = "mode=rwc&_pragma=page_size(4096)&_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)" +
	"&_pragma=locking_mode(EXCLUSIVE)&_pragma=cache_size(-192000)"

// openDatabase opens a database over a single connection. The options are the
// query of the driver's URI.
func openDatabase(path, options string) (*sql.DB, error) {
	name := url.URL{Path: filepath.ToSlash(path)}
	db, err := sql.Open("sqlite", "file:"+name.EscapedPath()+"?"+options)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// createDatabase makes a database in WAL mode by schema and fill. It passes no
// context to the statements, for the driver would spend a goroutine on each.
func createDatabase(path, schema string, fill func(*sql.Tx) error) error {
	db, err := openDatabase(path, bulk)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Exec(schema); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := inTx(db, fill); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := db.Close(); err != nil {
		return err
	}
	if db, err = openDatabase(path, "mode=rw&_pragma=journal_mode(WAL)"); err != nil {
		return err
	}
	defer db.Close()
	if err := db.Ping(); err != nil { // runs the pragma, which is kept in the file
		return fmt.Errorf("%s: %w", path, err)
	}
	return db.Close()
}

func inTx(db *sql.DB, work func(*sql.Tx) error) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := work(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func writeDatabases(ctx context.Context, dir string, c Config, media []mediaFile) error {
	messages, contacts := filepath.Join(dir, filepath.FromSlash(MessageDatabase)), filepath.Join(dir, filepath.FromSlash(contactDatabase))
	err := createDatabase(messages, messageSchema, func(tx *sql.Tx) error { return fillMessages(ctx, tx, c, media) })
	if err != nil {
		return err
	}
	if err := createDatabase(contacts, contactSchema, func(tx *sql.Tx) error { return fillContacts(tx, c) }); err != nil {
		return err
	}
	for _, p := range []string{messages, contacts} {
		if err := os.Chmod(p, 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(p, historyEnd, historyEnd); err != nil {
			return err
		}
	}
	return nil
}

func fillMessages(ctx context.Context, tx *sql.Tx, c Config, media []mediaFile) error {
	rng := c.rng("people")
	for i := range int64(c.Chats * 3) {
		user := phoneNumber(rng)
		if _, err := tx.Exec(`INSERT INTO jid VALUES (?, ?, 'chat.example', ?)`, i+1, user, fmt.Sprintf("%s-%d@chat.example", user, i)); err != nil {
			return err
		}
	}
	for i := range int64(c.Chats) {
		if _, err := tx.Exec(`INSERT INTO chat VALUES (?, ?, ?)`, i+1, i+1, inventWord(rng, 3)); err != nil {
			return err
		}
	}
	w, err := newWriter(tx, c.rng("messages"))
	if err != nil {
		return err
	}
	w.timeMs, w.stepMs = historyStart.UnixMilli(), historyEnd.Sub(historyStart).Milliseconds()/int64(c.Messages+1)
	return w.addDay(ctx, c.Messages, media)
}

func fillContacts(tx *sql.Tx, c Config) error {
	rng := c.rng("people")
	for range c.Chats * 3 {
		number := phoneNumber(rng)
		_, err := tx.Exec(`INSERT INTO wa_contacts (jid, number, display_name, status) VALUES (?, ?, ?, ?)`,
			number+"@chat.example", "+"+number, inventWord(rng, 2)+" "+inventWord(rng, 3), string(appendText(nil, rng)))
		if err != nil {
			return err
		}
	}
	return nil
}

func phoneNumber(rng *rand.Rand) string {
	return fmt.Sprintf("49%09d", rng.IntN(1e9))
}
