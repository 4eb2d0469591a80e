// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var small = Config{Seed: 7, Messages: 1_000, MediaFiles: 320, MediaMeanBytes: 3_000, TinyFiles: 300}

func generate(t *testing.T, c Config) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if err := Generate(t.Context(), dir, c); err != nil {
		t.Fatal(err)
	}
	return dir
}

func nextDay(t *testing.T, dir string, c Config, day int) {
	t.Helper()
	if err := NextDay(t.Context(), dir, c, day); err != nil {
		t.Fatal(err)
	}
}

func compare(t *testing.T, a, b string) []string {
	t.Helper()
	found, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestSameConfigSameTree(t *testing.T) {
	a, b := generate(t, small), generate(t, small)
	for day := range 3 {
		if day > 0 {
			nextDay(t, a, small, day)
			nextDay(t, b, small, day)
		}
		if found := compare(t, a, b); len(found) > 0 {
			t.Fatalf("day %d differs:\n%s", day, strings.Join(found, "\n"))
		}
	}
	other := small
	other.Seed++
	if found := compare(t, a, generate(t, other)); len(found) < small.MediaFiles {
		t.Errorf("another seed gives nearly the same store: %d differences", len(found))
	}
}

func TestZeroConfig(t *testing.T) {
	dir := generate(t, Config{})
	nextDay(t, dir, Config{}, 1)
	if err := CheckMoment(filepath.Join(dir, MessageDatabase)); err != nil {
		t.Error(err)
	}
}

// TestEveryKindOfFile looks for what the users of the store rely on.
func TestEveryKindOfFile(t *testing.T) {
	dir := generate(t, small)
	contents := map[[32]byte]int{}
	total := int64(0)
	perms := map[fs.FileMode]int{}
	var media, tiny, empty int
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		perms[info.Mode().Perm()]++
		if len(data) == 0 {
			empty++
		}
		switch rel, _ := filepath.Rel(dir, p); strings.Count(rel, string(filepath.Separator)) {
		case 2:
			if strings.HasPrefix(rel, "Media") {
				media++
				total += info.Size()
				contents[sha256.Sum256(data)]++
				break
			}
			tiny++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if media != small.MediaFiles || tiny != small.TinyFiles || empty != 1 {
		t.Errorf("%d media, %d tiny, %d empty files", media, tiny, empty)
	}
	if mean := total / int64(media); mean < small.MediaMeanBytes*9/10 || mean > small.MediaMeanBytes*11/10 {
		t.Errorf("media are %d bytes on average", mean)
	}
	if forwarded := media - len(contents); forwarded < media/50 || forwarded > media/10 {
		t.Errorf("%d of %d media are forwarded copies", forwarded, media)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "Media", "Statuses")); err != nil || len(entries) > 0 {
		t.Errorf("empty folder: %v, %v", entries, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if target, err := os.Readlink(filepath.Join(dir, "Media", "Camera")); err != nil || target != "Images" {
		t.Errorf("symbolic link: %q, %v", target, err)
	}
	for _, p := range []fs.FileMode{0o600, 0o644, 0o755} {
		if perms[p] == 0 {
			t.Errorf("no file has permissions %v", p)
		}
	}
}

func TestDatabaseIsCleanWAL(t *testing.T) {
	dir := generate(t, small)
	for _, name := range []string{MessageDatabase, contactDatabase} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), sqliteMagic) || data[16] != 4096>>8 || data[18] != 2 || data[19] != 2 {
			t.Errorf("%s: header % x is not that of a WAL database with pages of 4,096 bytes", name, data[:20])
		}
		if _, err := os.Stat(filepath.Join(dir, name+"-wal")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was not closed cleanly: %v", name, err)
		}
	}
	if err := CheckMoment(filepath.Join(dir, MessageDatabase)); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	dir := generate(t, small)
	nextDay(t, dir, small, 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		err  error
		says string
	}{
		{"generate over a store", Generate(t.Context(), dir, small), "is not empty"},
		{"generate after the end", Generate(ended, t.TempDir(), small), context.Canceled.Error()},
		{"day before the first", NextDay(t.Context(), dir, small, 0), "days count from 1"},
		{"day without a store", NextDay(t.Context(), t.TempDir(), small, 1), "generate one first"},
		{"day twice", NextDay(t.Context(), dir, small, 1), "exist"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, tt.err, tt.says)
		}
	}
}

// messageTexts returns the texts of all messages by their ids.
func messageTexts(t *testing.T, dir string) map[int64]string {
	t.Helper()
	db, err := openDatabase(filepath.Join(dir, MessageDatabase), "mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT _id, text_data FROM message`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	texts := map[int64]string{}
	for rows.Next() {
		var id int64
		var text sql.NullString
		if err := rows.Scan(&id, &text); err != nil {
			t.Fatal(err)
		}
		texts[id] = text.String
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return texts
}

func pathsUnder(t *testing.T, dir string) map[string]bool {
	t.Helper()
	paths := map[string]bool{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, p)
			paths[filepath.ToSlash(rel)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestNextDay(t *testing.T) {
	c := small
	c.Messages = 38_000
	dir := generate(t, c)
	texts, paths := messageTexts(t, dir), pathsUnder(t, dir)
	nextDay(t, dir, c, 1)

	var edited, deleted, added int
	after := messageTexts(t, dir)
	for id, text := range texts {
		if now, ok := after[id]; !ok {
			deleted++
		} else if now != text {
			edited++
		}
	}
	for id := range after {
		if _, ok := texts[id]; !ok {
			added++
		}
	}
	if edited != 1 || deleted != 1 || added != 190 {
		t.Errorf("%d edits, %d deletions, %d new messages", edited, deleted, added)
	}

	var vanished, moved, fresh int
	pathsAfter := pathsUnder(t, dir)
	for p := range paths {
		if !pathsAfter[p] {
			vanished++
		}
	}
	for p := range pathsAfter {
		if strings.HasPrefix(p, "Media/Images/Saved/") {
			moved++
		} else if !paths[p] {
			fresh++
		}
	}
	if vanished != 1 || moved != 1 || fresh != 2 {
		t.Errorf("%d files left their place, %d files were moved to, %d are new", vanished, moved, fresh)
	}
	if err := CheckMoment(filepath.Join(dir, MessageDatabase)); err != nil {
		t.Error(err)
	}
}
