// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"path"
	"strings"
)

// writer appends messages to a message database within one transaction.
type writer struct {
	rng    *rand.Rand
	chats  *rand.Zipf
	nChats int64
	nextID int64
	timeMs int64 // of the last message
	stepMs int64 // on average between two messages

	chat     int64 // people stay in one chat for a while
	chatLeft int

	messages, textBytes int64 // what this transaction changed, for props
	text, noise         []byte

	tx                                                      *sql.Tx
	message, search, media, thumbnail, quoted, addOn, calls *sql.Stmt
}

// newWriter continues a database that has chats.
func newWriter(tx *sql.Tx, rng *rand.Rand) (*writer, error) {
	w := &writer{tx: tx, rng: rng}
	err := tx.QueryRow(`SELECT (SELECT count(*) FROM chat), 1 + ifnull((SELECT max(_id) FROM message), 0)`).Scan(&w.nChats, &w.nextID)
	if err != nil {
		return nil, err
	}
	w.chats = rand.NewZipf(rng, 1.2, 4, uint64(w.nChats-1))
	for _, p := range []struct {
		stmt **sql.Stmt
		into string
		n    int
	}{
		{&w.message, "message", 9},
		{&w.search, "message_search", 2},
		{&w.media, "message_media", 9},
		{&w.thumbnail, "message_thumbnail", 2},
		{&w.quoted, "message_quoted", 4},
		{&w.addOn, "message_add_on", 7},
		{&w.calls, "call_log", 8},
	} {
		values := strings.Repeat(", ?", p.n)[2:]
		if *p.stmt, err = tx.Prepare("INSERT INTO " + p.into + " VALUES (" + values + ")"); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// addDay appends n messages, the given media evenly among them.
func (w *writer) addDay(ctx context.Context, n int, media []mediaFile) error {
	for i := range n {
		if i%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var file *mediaFile
		if m := i * len(media) / n; m < (i+1)*len(media)/n {
			file = &media[m]
		}
		if err := w.add(file); err != nil {
			return err
		}
	}
	return w.flush()
}

// add appends one message: of text, or with a media file.
func (w *writer) add(file *mediaFile) error {
	rng := w.rng
	if w.chatLeft--; w.chatLeft <= 0 {
		w.chat, w.chatLeft = 1+int64(w.chats.Uint64()), 1+int(rng.ExpFloat64()*10)
	}
	fromMe := rng.Int64N(2)
	sender := w.chat
	if w.chat%4 == 0 { // a group
		sender = w.nChats + 1 + rng.Int64N(2*w.nChats)
	}
	id := w.nextID
	w.nextID++
	w.timeMs += 1 + rng.Int64N(2*w.stepMs+1)

	var text any
	messageType := 0
	if file == nil {
		w.text = appendText(w.text[:0], rng)
		w.textBytes += int64(len(w.text))
		text = string(w.text)
	} else {
		messageType = file.kind.messageType
	}
	w.messages++
	if _, err := w.message.Exec(id, w.chat, fromMe, w.keyID(), sender, w.timeMs, messageType, text, id); err != nil {
		return err
	}
	if file != nil {
		return w.addMedia(id, file)
	}
	if err := w.index(id, w.text); err != nil {
		return err
	}
	return w.addExtras(id, sender)
}

// addExtras makes some messages answers, some liked, and logs a call now and then.
func (w *writer) addExtras(id, sender int64) (err error) {
	rng := w.rng
	switch x := rng.IntN(100); {
	case x < 6:
		w.text = appendText(w.text[:0], rng)
		_, err = w.quoted.Exec(id, w.chat, w.keyID(), string(w.text))
	case x < 14:
		_, err = w.addOn.Exec(nil, id, w.keyID(), sender, w.timeMs, 56, "👍")
	case x < 15:
		_, err = w.calls.Exec(nil, w.chat, rng.IntN(2), "call:"+w.keyID(), w.timeMs, rng.IntN(900), rng.IntN(2), 5)
	}
	return err
}

func (w *writer) addMedia(id int64, f *mediaFile) error {
	// The hash stands for the content; it is not computed, for the file is
	// being written at the same time.
	hash := make([]byte, 32)
	binary.LittleEndian.PutUint64(hash, f.content)
	binary.LittleEndian.PutUint64(hash[8:], uint64(f.size))
	duration := 0
	if f.kind.messageType == 2 || f.kind.messageType == 3 {
		duration = int(f.size / 16_000)
	}
	_, err := w.media.Exec(id, w.chat, f.path, f.size, f.kind.mime, f.size, path.Base(f.path), base64.StdEncoding.EncodeToString(hash), duration)
	if err != nil || !f.kind.thumbnail {
		return err
	}
	w.noise = w.noise[:0]
	for range 300 + w.rng.IntN(700) {
		w.noise = append(w.noise, byte(w.rng.Uint32()))
	}
	_, err = w.thumbnail.Exec(id, w.noise)
	return err
}

// index makes a message findable by its search words.
func (w *writer) index(id int64, text []byte) error {
	for _, word := range searchWords(text) {
		if _, err := w.search.Exec(word, id); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) unindex(id int64, text []byte) error {
	for _, word := range searchWords(text) {
		if _, err := w.tx.Exec(`DELETE FROM message_search WHERE word = ? AND message_row_id = ?`, word, id); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) keyID() string {
	var key [keyBytes]byte
	for i := range key {
		key[i] = byte(w.rng.Uint32())
	}
	return "3A" + strings.ToUpper(hex.EncodeToString(key[:]))
}

const keyBytes = 9

// flush brings props up to date; the transaction must not end without it.
func (w *writer) flush() error {
	_, err := w.tx.Exec(`UPDATE props SET value = value + CASE key WHEN 'messages' THEN ? ELSE ? END`, w.messages, w.textBytes)
	w.messages, w.textBytes = 0, 0
	return err
}
