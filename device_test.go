// SPDX-License-Identifier: Apache-2.0

package coffer_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/blob"
)

// world is a chat store, a destination and a device, all new.
type world struct {
	dir, state string
	setup      coffer.Setup
}

func newWorld(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	w := world{dir: dir, state: filepath.Join(dir, "state")}
	w.setup = coffer.Setup{Source: filepath.Join(dir, "chats"), Destination: filepath.Join(dir, "dest")}
	write(t, filepath.Join(w.setup.Source, "note"), "hello")
	return w
}

func (w world) device() *coffer.Device { return coffer.OpenDevice(w.state, coffer.Options{}) }

// enabled is a world whose device is set up.
func enabled(t *testing.T) (world, *coffer.Device, coffer.Key) {
	t.Helper()
	w, key := newWorld(t), coffer.NewKey()
	d := w.device()
	if err := d.Enable(t.Context(), w.setup, key); err != nil {
		t.Fatal(err)
	}
	return w, d, key
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func backup(t *testing.T, d *coffer.Device, o coffer.BackupOptions) *archive.BackupReport {
	t.Helper()
	r, err := d.Backup(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEnableRefuses(t *testing.T) {
	w, d, key := enabled(t)
	if err := d.Enable(t.Context(), w.setup, key); !errors.Is(err, coffer.ErrEnabled) {
		t.Errorf("twice: %v", err)
	}
	other := coffer.OpenDevice(filepath.Join(w.dir, "other"), coffer.Options{})
	if err := other.Enable(t.Context(), w.setup, key); !errors.Is(err, archive.ErrExists) {
		t.Errorf("on top of an archive: %v", err)
	}
	found, err := other.Prepare(t.Context(), w.setup)
	if !errors.Is(err, archive.ErrExists) || len(found) != 1 {
		t.Errorf("Prepare found %v, %v", found, err)
	}
	if _, err := other.Config(); !errors.Is(err, coffer.ErrNotEnabled) {
		t.Errorf("a refused set-up left something: %v", err)
	}
	beside := w.setup
	beside.Beside = true
	if err := other.Enable(t.Context(), beside, coffer.NewKey()); err != nil {
		t.Errorf("beside it: %v", err)
	}

	for name, test := range map[string]struct {
		setup coffer.Setup
		want  error
	}{
		"no source":             {coffer.Setup{Source: filepath.Join(w.dir, "no"), Destination: w.setup.Destination}, fs.ErrNotExist},
		"a file as source":      {coffer.Setup{Source: filepath.Join(w.setup.Source, "note"), Destination: w.setup.Destination}, coffer.ErrSource},
		"the destination":       {coffer.Setup{Source: w.setup.Destination, Destination: w.setup.Destination}, coffer.ErrSource},
		"no destination":        {coffer.Setup{Source: w.setup.Source}, coffer.ErrDestination},
		"a scheme":              {coffer.Setup{Source: w.setup.Source, Destination: "https://example.org/x"}, coffer.ErrDestination},
		"a file as destination": {coffer.Setup{Source: w.setup.Source, Destination: filepath.Join(w.setup.Source, "note")}, blob.ErrUnreachable},
		"no parent":             {coffer.Setup{Source: w.setup.Source, Destination: filepath.Join(w.dir, "no", "where")}, blob.ErrUnreachable},
		"no exclude file":       {coffer.Setup{Source: w.setup.Source, Destination: w.setup.Destination, ExcludeFile: "no"}, fs.ErrNotExist},
	} {
		fresh := coffer.OpenDevice(filepath.Join(w.dir, "fresh"), coffer.Options{})
		if err := fresh.Enable(t.Context(), test.setup, key); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestStateIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode here; the user's folder protects them")
	}
	w, d, _ := enabled(t)
	backup(t, d, coffer.BackupOptions{})
	info, err := os.Stat(w.state)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state directory: %v, %v", info.Mode(), err)
	}
	err = filepath.WalkDir(w.state, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunsAreRecorded(t *testing.T) {
	w, d, _ := enabled(t)
	if h, err := d.History(); err != nil || len(h.Runs) != 0 || !h.LastGood.IsZero() {
		t.Errorf("before the first run: %+v, %v", h, err)
	}
	first := backup(t, d, coffer.BackupOptions{})
	backup(t, d, coffer.BackupOptions{})
	moved := w.setup.Destination + "-away"
	if err := os.Rename(w.setup.Destination, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Backup(t.Context(), coffer.BackupOptions{}); !errors.Is(err, blob.ErrUnreachable) {
		t.Errorf("without the destination: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := os.Rename(moved, w.setup.Destination); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Backup(ctx, coffer.BackupOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	h, err := w.device().History()
	if err != nil || len(h.Runs) != 4 {
		t.Fatalf("history: %+v, %v", h, err)
	}
	for i, want := range []struct {
		outcome coffer.Outcome
		cause   coffer.Cause
	}{
		{coffer.OutcomeOK, ""}, {coffer.OutcomeUnchanged, ""},
		{coffer.OutcomeFailed, coffer.CauseUnreachable}, {coffer.OutcomeFailed, coffer.CauseInterrupted},
	} {
		if got := h.Runs[i]; got.Outcome != want.outcome || got.Cause != want.cause {
			t.Errorf("run %d: %+v, want %v", i, got, want)
		}
	}
	if h.Runs[0].Snapshot != first.Snapshot || !h.LastGood.Equal(h.Runs[1].Finished) {
		t.Errorf("history: %+v", h)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	w := newWorld(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := coffer.OpenDevice(w.state, coffer.Options{Clock: func() time.Time { now = now.Add(time.Minute); return now }})
	if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
	good, err := d.History()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(w.setup.Source, w.setup.Source+"-away"); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		if _, err := d.Backup(t.Context(), coffer.BackupOptions{}); !errors.Is(err, coffer.ErrSource) {
			t.Fatal(err)
		}
	}
	h, err := d.History()
	if err != nil || len(h.Runs) != 50 || !h.LastGood.Equal(good.LastGood) || h.LastGood.IsZero() {
		t.Errorf("%d runs, last good %v, want 50 and %v; %v", len(h.Runs), h.LastGood, good.LastGood, err)
	}
}

// A run that was not begun is no failure and no backup, and one after the other for the same reason is one entry.
func TestSkippedRuns(t *testing.T) {
	w := newWorld(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := coffer.OpenDevice(w.state, coffer.Options{Clock: func() time.Time { now = now.Add(time.Minute); return now }})
	if err := d.Enable(t.Context(), w.setup, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
	before, err := d.History()
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		if err := d.RecordSkipped(coffer.CausePower, "on battery"); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Exclusive("backup", func() error { return d.RecordSkipped(coffer.CauseBusy, "at work") }); err != nil {
		t.Fatal(err)
	}
	h, err := d.History()
	if err != nil || len(h.Runs) != 3 || !h.LastGood.Equal(before.LastGood) {
		t.Fatalf("history %+v, %v", h, err)
	}
	first, last := h.Runs[1], h.Runs[2]
	if first.Outcome != coffer.OutcomeSkipped || first.Cause != coffer.CausePower || first.Finished.Sub(first.Started) != 59*time.Minute {
		t.Errorf("skipped 60 times: %+v", first)
	}
	if last.Outcome != coffer.OutcomeSkipped || last.Cause != coffer.CauseBusy || last.Error != "at work" {
		t.Errorf("skipped for another cause: %+v", last)
	}
}

func TestBusy(t *testing.T) {
	w, d, key := enabled(t)
	err := d.Exclusive("prune", func() error {
		other := w.device()
		calls := map[string]func() error{
			"Backup":    func() error { _, err := other.Backup(t.Context(), coffer.BackupOptions{}); return err },
			"Enable":    func() error { return other.Enable(t.Context(), w.setup, key) },
			"Adopt":     func() error { _, err := other.Adopt(t.Context(), w.setup, coffer.ID{}, key); return err },
			"ChangeKey": func() error { return other.ChangeKey(t.Context(), key) },
			"Disable":   other.Disable,
		}
		for name, call := range calls {
			err := call()
			if !errors.Is(err, coffer.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("process %d, prune since", os.Getpid())) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := other.Open(t.Context(), false) // reading goes on
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
}

func TestRollbackIsNoticed(t *testing.T) {
	w, d, key := enabled(t)
	backup(t, d, coffer.BackupOptions{})
	old := filepath.Join(w.dir, "old")
	if err := os.CopyFS(old, os.DirFS(w.setup.Destination)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.setup.Source, "second"), "x")
	backup(t, d, coffer.BackupOptions{})
	if err := os.Rename(w.setup.Destination, w.setup.Destination+"-new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, w.setup.Destination); err != nil {
		t.Fatal(err)
	}

	if _, err := d.Open(t.Context(), false); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("Open: %v", err)
	}
	if _, err := d.OpenAt(t.Context(), w.setup.Destination, coffer.ID{}, key, false); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("OpenAt with the key: %v", err)
	}
	if _, err := d.Backup(t.Context(), coffer.BackupOptions{}); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("Backup: %v", err)
	}
	// Reading the older state on purpose does not make it the true one ...
	if _, err := d.Open(t.Context(), true); err != nil {
		t.Errorf("Open of the older state: %v", err)
	}
	if _, err := d.Open(t.Context(), false); !errors.Is(err, archive.ErrRolledBack) {
		t.Errorf("Open afterwards: %v", err)
	}
	// ... a backup into it does.
	backup(t, d, coffer.BackupOptions{AcceptOlder: true})
	backup(t, d, coffer.BackupOptions{})
	if _, err := d.Open(t.Context(), false); err != nil {
		t.Errorf("Open after a backup into the older state: %v", err)
	}
}

func TestBrokenMemoryIsNoMemory(t *testing.T) {
	w, d, _ := enabled(t)
	backup(t, d, coffer.BackupOptions{})
	write(t, filepath.Join(w.state, "head.json"), "{")
	if _, err := d.Open(t.Context(), false); !errors.Is(err, coffer.ErrState) {
		t.Errorf("a memory that cannot be read: %v, want ErrState", err)
	}
}

func TestConfigOfAnotherVersion(t *testing.T) {
	w := newWorld(t)
	write(t, filepath.Join(w.state, "device.json"), `{"version": 2}`)
	if _, err := w.device().Config(); !errors.Is(err, coffer.ErrState) {
		t.Errorf("Config: %v", err)
	}
	if err := w.device().Enable(t.Context(), w.setup, coffer.NewKey()); !errors.Is(err, coffer.ErrState) {
		t.Errorf("Enable over it: %v", err)
	}
}

func TestAdopt(t *testing.T) {
	w, d, key := enabled(t)
	backup(t, d, coffer.BackupOptions{})
	phone := coffer.OpenDevice(filepath.Join(w.dir, "phone"), coffer.Options{})
	if _, err := phone.Adopt(t.Context(), w.setup, coffer.ID{}, coffer.NewKey()); !errors.Is(err, archive.ErrWrongKey) {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := phone.Config(); !errors.Is(err, coffer.ErrNotEnabled) {
		t.Errorf("after a wrong key: %v", err)
	}
	head, err := phone.Adopt(t.Context(), w.setup, coffer.ID{}, key)
	if err != nil || head.Generation == 0 {
		t.Fatalf("%+v, %v", head, err)
	}
	if r := backup(t, phone, coffer.BackupOptions{}); r.AddedBytes > 10_000 {
		t.Errorf("%d bytes were uploaded", r.AddedBytes)
	}
	before, err := phone.Config()
	if err != nil {
		t.Fatal(err)
	}
	// Again, with another source: the same device.
	w.setup.Source = filepath.Join(w.dir, "moved")
	write(t, filepath.Join(w.setup.Source, "a"), "b")
	if _, err := phone.Adopt(t.Context(), w.setup, coffer.ID{}, key); err != nil {
		t.Fatal(err)
	}
	if after, err := phone.Config(); err != nil || after.Device != before.Device || after.Source != w.setup.Source {
		t.Errorf("%+v, %v", after, err)
	}
	if _, err := phone.Adopt(t.Context(), w.setup, coffer.ID{1}, key); !errors.Is(err, coffer.ErrEnabled) {
		t.Errorf("another archive: %v", err)
	}
}

func TestDisable(t *testing.T) {
	w, d, key := enabled(t)
	backup(t, d, coffer.BackupOptions{})
	if err := d.Disable(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Config(); !errors.Is(err, coffer.ErrNotEnabled) {
		t.Errorf("Config: %v", err)
	}
	if err := d.Disable(); !errors.Is(err, coffer.ErrNotEnabled) {
		t.Errorf("twice: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(w.state, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if name := filepath.Base(path); !strings.HasSuffix(name, "lock") {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := coffer.OpenArchive(t.Context(), w.setup.Destination, coffer.ID{}, key); err != nil {
		t.Errorf("the archive: %v", err)
	}
}

// What is Coffer's own is left out although it lies in the source, whatever its name looks like as a pattern.
func TestOwnFoldersAreLeftOut(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("such names are not possible here")
	}
	dir := t.TempDir()
	state, dest := filepath.Join(dir, "a[1]{b", "state"), filepath.Join(dir, "de*st")
	write(t, filepath.Join(dir, "dexst"), "not ours")
	write(t, filepath.Join(dir, "a1", "state"), "not ours")
	d := coffer.OpenDevice(state, coffer.Options{})
	if err := d.Enable(t.Context(), coffer.Setup{Source: dir, Destination: dest}, coffer.NewKey()); err != nil {
		t.Fatal(err)
	}
	backup(t, d, coffer.BackupOptions{})
	a, err := d.Open(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Snapshot(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for e, err := range s.List(t.Context(), "", true) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != archive.TypeDir {
			paths = append(paths, e.Path)
		}
	}
	if got := strings.Join(paths, " "); got != "a1/state dexst" {
		t.Errorf("backed up: %s", got)
	}
}

func TestCauseOf(t *testing.T) {
	for want, err := range map[coffer.Cause]error{
		"":                      nil,
		coffer.CauseOther:       errors.New("x"),
		coffer.CauseInterrupted: fmt.Errorf("put: %w (%w)", blob.ErrUnreachable, context.Canceled),
		coffer.CauseDiskFull:    &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC},
		coffer.CauseFull:        fmt.Errorf("%w (%v)", blob.ErrFull, syscall.ENOSPC),
		coffer.CauseUnreachable: fmt.Errorf("outer: %w", blob.ErrUnreachable),
		coffer.CauseWrongKey:    fmt.Errorf("outer: %w", archive.ErrWrongKey),
	} {
		if got := coffer.CauseOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

func TestDefaultStateDir(t *testing.T) {
	t.Setenv("COFFER_HOME", "/x/y")
	if dir, err := coffer.DefaultStateDir(); err != nil || filepath.ToSlash(dir) != "/x/y" && filepath.VolumeName(dir) == "" {
		t.Errorf("%q, %v", dir, err)
	}
	t.Setenv("COFFER_HOME", "")
	t.Setenv("HOME", "/h")
	t.Setenv("LocalAppData", "/h")
	t.Setenv("XDG_STATE_HOME", "relative")
	if dir, err := coffer.DefaultStateDir(); err != nil || !strings.HasPrefix(filepath.ToSlash(dir), "/h/") || filepath.Base(dir) != "coffer" {
		t.Errorf("%q, %v", dir, err)
	}
}
