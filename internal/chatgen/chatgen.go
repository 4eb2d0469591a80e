// SPDX-License-Identifier: Apache-2.0

// Package chatgen makes chat stores that behave like a messenger's: a SQLite
// database whose inserts touch scattered pages, media that do not compress,
// forwarded duplicates, and the corners of a file system that backups get
// wrong. The demo, the tests and the benchmarks all run on its stores.
//
// It guarantees that on one platform the same Config gives the same tree, down
// to the modification times, so that figures can be repeated. It trusts
// whoever chooses the folder, and refuses to write into one that holds anything.
package chatgen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Config says how large a chat store is and which one it is. The zero value
// is the smallest store that still has every kind of file.
type Config struct {
	Seed           uint64
	Messages       int   // rows of the message table
	MediaFiles     int   // pictures, videos, voice notes, stickers and documents
	MediaMeanBytes int64 // average size of a media file
	Chats          int   // conversations; 0 is one for every 250 messages
	TinyFiles      int   // files under a kilobyte each, in a tree of their own
}

// Demo is a store of about 25 MB, made in a second.
var Demo = Config{Seed: 1, Messages: 6_000, MediaFiles: 120, MediaMeanBytes: 200_000, Chats: 24}

// Bench is a store of 3.15 GB, made in twenty seconds: a database of 352 MB
// and 6,349 media files, of which one in twenty is a forwarded copy.
var Bench = Config{Seed: 1, Messages: 1_300_000, MediaFiles: 6_349, MediaMeanBytes: 441_000, Chats: 400}

// The stores' history. It is fixed, because a store that depended on today's
// date would not be the same tomorrow.
var (
	historyStart = time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)
	historyEnd   = time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
)

// MessageDatabase is the path of the large database in a store, with slashes.
const MessageDatabase = databaseDir + "/msgstore.db"

const (
	databaseDir     = "Databases"
	contactDatabase = databaseDir + "/wa.db"
)

// Generate writes a chat store into dir, which must not exist or be empty.
// What it wrote before an error or the end of ctx stays behind.
func Generate(ctx context.Context, dir string, c Config) error {
	if c.Chats == 0 {
		c.Chats = 1 + c.Messages/250
	}
	if err := makeEmpty(dir); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	media := planMedia(c.rng("media"), c.MediaFiles, c.MediaMeanBytes, historyStart, historyEnd)
	files := append(slices.Clone(media), planTiny(c.rng("tiny"), c.TinyFiles)...)
	filesDone := make(chan error, 1)
	go func() {
		filesDone <- stopOn(cancel, writeFiles(ctx, dir, c.Seed, files))
	}()
	err := stopOn(cancel, writeDatabases(ctx, dir, c, media))
	if err := cmp.Or(err, <-filesDone); err != nil {
		return fmt.Errorf("chatgen: %w", err)
	}
	if err := writeOddities(dir); err != nil {
		return fmt.Errorf("chatgen: %w", err)
	}
	return ageFolders(dir)
}

// rng returns a stream of random numbers for one purpose, so that more
// messages do not change the media and the other way round.
func (c Config) rng(purpose string) *rand.Rand {
	var p uint64
	for _, b := range []byte(purpose) {
		p = p<<8 | uint64(b)
	}
	return rand.New(rand.NewPCG(c.Seed, p))
}

// makeEmpty makes dir if it is not there, and every folder that is always there.
func makeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("chatgen: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("chatgen: %s is not empty: name a new folder", dir)
	}
	for _, sub := range []string{databaseDir, "Media", "Backups"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("chatgen: %w", err)
		}
	}
	return nil
}

// ageFolders gives every folder a time in the past, the deepest first, for a
// write inside a folder makes it new again.
func ageFolders(dir string) error {
	var folders []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			folders = append(folders, p)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("chatgen: %w", err)
	}
	for i, p := range slices.Backward(folders) {
		when := historyEnd.Add(-time.Duration(i) * 1_000_003 * time.Microsecond)
		if err := os.Chtimes(p, when, when); err != nil {
			return fmt.Errorf("chatgen: %w", err)
		}
	}
	return nil
}

// stopOn ends the other half of the work if this half failed.
func stopOn(cancel context.CancelCauseFunc, err error) error {
	if err != nil {
		cancel(err)
	}
	return err
}
