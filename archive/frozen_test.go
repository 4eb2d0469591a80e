// SPDX-License-Identifier: Apache-2.0

package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob/folder"
	"github.com/coffer-backup/coffer/internal/chatgen"
)

var freeze = flag.Bool("freeze", false, "make the frozen archive of the current format version; never for a version that was released")

// frozenKey is the key of all frozen archives. They hold made-up chats only.
const frozenKey = "0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567 89ab cdef"

const frozenDir = "testdata/frozen/1"

// A frozenFile is what a snapshot of a frozen archive must restore to.
type frozenFile struct {
	Path    string // quoted as in Go, because it may hold any bytes
	Type    string
	Mode    uint32
	ModTime time.Time
	Size    int64
	Target  string
	SHA256  string
}

// TestFrozen opens an archive that was made when the format was fixed. Whatever this program becomes, it must read it.
func TestFrozen(t *testing.T) {
	if *freeze {
		makeFrozen(t)
	}
	key, err := format.ParseKey(frozenKey)
	if err != nil {
		t.Fatal(err)
	}
	store, err := folder.Open(filepath.Join(frozenDir, "destination"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), store, archive.ID{}, key, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	report, err := a.Verify(t.Context(), archive.VerifyConfig{ReadAll: true})
	if err != nil || len(report.Damage) > 0 {
		t.Fatalf("verify: %v, %+v", err, report)
	}
	text, err := os.ReadFile(filepath.Join(frozenDir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]frozenFile
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != 2 || len(a.Snapshots()) != len(want) {
		t.Fatalf("%d snapshots, want %d", len(a.Snapshots()), len(want))
	}
	for _, s := range a.Snapshots() {
		got, _ := json.MarshalIndent(describe(t, a, s), "", " ")
		expected, _ := json.MarshalIndent(want[s.ID.String()], "", " ")
		if !bytes.Equal(got, expected) {
			t.Errorf("snapshot %s is not what was frozen:\n%s", s.ID, got)
		}
	}
}

func describe(t *testing.T, a *archive.Archive, info archive.SnapshotInfo) []frozenFile {
	t.Helper()
	s, err := a.Snapshot(t.Context(), info.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	var files []frozenFile
	for e, err := range s.List(t.Context(), "", true) {
		if err != nil {
			t.Fatal(err)
		}
		f := frozenFile{Path: strconv.Quote(e.Path), Type: string(rune(e.Type)), Mode: e.Mode, ModTime: e.ModTime, Size: e.Size, Target: e.Target}
		if e.Type == archive.TypeFile || e.Type == archive.TypeDatabase {
			h := sha256.New()
			if err := s.Dump(t.Context(), e.Path, h); err != nil {
				t.Fatal(err)
			}
			f.SHA256 = hex.EncodeToString(h.Sum(nil))
		}
		files = append(files, f)
	}
	return files
}

func makeFrozen(t *testing.T) {
	ctx := context.Background()
	config := chatgen.Config{Seed: 1, Messages: 60, MediaFiles: 8, MediaMeanBytes: 4 << 10, Chats: 3}
	source := filepath.Join(t.TempDir(), "chats")
	if err := chatgen.Generate(ctx, source, config); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(frozenDir); err != nil {
		t.Fatal(err)
	}
	store, err := folder.Create(filepath.Join(frozenDir, "destination"))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := format.ParseKey(frozenKey)
	a, err := archive.Create(ctx, store, format.NewID(), key, archive.Options{Device: format.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	for day := range 2 {
		if day > 0 {
			if err := chatgen.NextDay(ctx, source, config, day); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Backup(ctx, archive.BackupConfig{Source: source, StateDir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]frozenFile{}
	for _, s := range a.Snapshots() {
		want[s.ID.String()] = describe(t, a, s)
	}
	text, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(frozenDir, "expected.json"), append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
