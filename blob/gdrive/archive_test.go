// SPDX-License-Identifier: Apache-2.0

package gdrive_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/gdrive"
	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
)

// TestArchive backs up and restores over a Drive that behaves, and over one that cuts uploads, refuses what comes too fast, lags, and ends tokens. It
// counts what each step asks for, which the README says.
func TestArchive(t *testing.T) {
	for what, behaviour := range map[string]fakedrive.Behaviour{
		"good": {},
		"bad": {
			ListDelay: 5 * time.Millisecond, LimitEvery: 29, PageSize: 3, AccessLifetime: time.Second,
			CutUploads: []int64{100, 1 << 20, 5 << 20, 0},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.Set(func(b *fakedrive.Behaviour) { *b = behaviour })
			l := newLife(t, s)
			l.write("old", noise(24<<20))
			l.step("first backup", 0, l.backup)
			l.step("backup without a change", 11, l.backup)
			l.write("new", noise(3 << 20)[1<<20:])
			l.step("backup of a day", 30, l.backup)
			l.step("restore", 0, l.restore)
		})
	}
}

// life is one archive and its device.
type life struct {
	*testing.T
	s                  *fakedrive.Server
	id                 archive.ID
	key                archive.Key
	seen               archive.Head
	source, state, out string
	files              map[string][]byte
}

func newLife(t *testing.T, s *fakedrive.Server) *life {
	l := &life{T: t, s: s, id: format.NewID(), key: format.NewKey(), source: t.TempDir(), state: t.TempDir(), out: t.TempDir(), files: map[string][]byte{}}
	a, err := archive.Create(t.Context(), open(t, s), l.id, l.key, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	return l
}

func (l *life) write(name string, data []byte) {
	l.files[name] = data
	if err := os.WriteFile(filepath.Join(l.source, name), data, 0o600); err != nil {
		l.Fatal(err)
	}
}

// step runs one command as a process of its own would, from sign-in to the end.
func (l *life) step(what string, most int, do func(*archive.Archive) error) {
	l.Helper()
	before, sent := total(l.s), l.s.UploadedBytes()
	store, err := gdrive.Open(l.Context(), config(l.s, ""))
	if err != nil {
		l.Fatal(err)
	}
	a, err := archive.Open(l.Context(), store, l.id, l.key, archive.Options{Seen: l.seen, OnHead: func(h archive.Head) error { l.seen = h; return nil }})
	if err != nil {
		l.Fatalf("%s: %v", what, err)
	}
	defer a.Close()
	if err := do(a); err != nil {
		l.Fatalf("%s: %v", what, err)
	}
	requests := total(l.s) - before
	l.Logf("%s: %d requests, %d bytes sent", what, requests, l.s.UploadedBytes()-sent)
	if most > 0 && requests > most && filepath.Base(l.Name()) == "good" {
		l.Errorf("%s: %d requests; want %d at most", what, requests, most)
	}
}

func (l *life) backup(a *archive.Archive) error {
	_, err := a.Backup(l.Context(), archive.BackupConfig{Source: l.source, StateDir: l.state})
	return err
}

func (l *life) restore(a *archive.Archive) error {
	if _, err := a.Restore(l.Context(), archive.RestoreConfig{Snapshot: "latest", Dir: l.out}); err != nil {
		return err
	}
	for name, want := range l.files {
		if got, err := os.ReadFile(filepath.Join(l.out, name)); err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("%s is not what it was: %d bytes, %w", name, len(got), err)
		}
	}
	return nil
}
