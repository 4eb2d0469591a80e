// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s blob.Store, name, data string) {
	t.Helper()
	if err := s.Put(t.Context(), name, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

// names returns the sorted names of all objects.
func names(t *testing.T, s blob.Store) []string {
	t.Helper()
	var names []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	slices.Sort(names)
	return names
}

// wantNoTemp fails the test if a temporary file is left.
func wantNoTemp(t *testing.T, path string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(path, tempDir))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

// writeFile makes a file, and the folders it is in, behind the store's back.
func writeFile(t *testing.T, data string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestConformance(t *testing.T) {
	path := t.TempDir()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, path) })
	wantNoTemp(t, path)
}

func TestOpenRefuses(t *testing.T) {
	file := writeFile(t, "x", t.TempDir(), "file")
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), file, filepath.Join(file, "under")} {
		if _, err := Open(path); !errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("Open(%s): %v; want ErrUnreachable", path, err)
		}
	}
	for _, path := range []string{file, filepath.Join(file, "under")} {
		if _, err := Create(path); err == nil {
			t.Errorf("Create(%s) succeeded on a file", path)
		}
	}
}

func TestCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "c")
	s, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != path {
		t.Errorf("String() = %s; want %s", s, path)
	}
	put(t, s, "d/e/x", "data")
	again, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, again); !slices.Equal(got, []string{"d/e/x"}) {
		t.Errorf("objects in the folder created again: %v", got)
	}
	if runtime.GOOS == "windows" {
		return // has no permission bits
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, "..": 0o700, "d": 0o700, "d/e": 0o700, tempDir: 0o700, "d/e/x": 0o600} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %q: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestLeftovers(t *testing.T) {
	path := t.TempDir()
	old := writeFile(t, "old", path, tempDir, "old")
	then := time.Now().Add(-tempAge - time.Minute)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	writer := open(t, path)
	temp, release, err := writer.writeTemp(t.Context(), []byte("young"))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	s := open(t, path)
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old leftover is still there: %v", err)
	}
	if _, err := writer.root.Stat(temp); err != nil {
		t.Errorf("the temporary file of a living writer is gone: %v", err)
	}
	if got := names(t, s); len(got) > 0 {
		t.Errorf("leftovers are listed: %v", got)
	}
}

// TestTidy: empty folders go, whatever holds something stays, and a Put that is under way makes its folders again.
func TestTidy(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	put(t, s, "gone/d/x", "data")
	put(t, s, "kept/d/x", "data")
	if err := s.Delete(t.Context(), "gone/d/x"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone", "kept", "none", "../kept"} {
		s.Tidy(name)
	}
	left, err := os.ReadDir(path)
	if err != nil || len(left) != 1 || left[0].Name() != "kept" {
		t.Errorf("left: %v, %v", left, err)
	}
	link, tidied := s.link, false
	s.link = func(oldName, newName string) error {
		if !tidied {
			tidied = true
			s.Tidy("new")
		}
		return link(oldName, newName)
	}
	put(t, s, "new/d/x", "data")
	if got := names(t, s); len(got) != 2 {
		t.Errorf("List: %v", got)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	path := t.TempDir()
	foreign := []string{".DS_Store", "Notes.TXT", "lost+found/x", "a/b c", "a/b/c/d/e", ".hidden/x", "a/.x"}
	for _, name := range foreign {
		writeFile(t, "foreign", path, name)
	}
	s := open(t, path)
	put(t, s, "a/x", "data")
	if got := names(t, s); !slices.Equal(got, []string{"a/x"}) {
		t.Errorf("List: %v", got)
	}
	for _, name := range foreign {
		if data, err := os.ReadFile(filepath.Join(path, name)); string(data) != "foreign" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

func TestLinksAreNotFollowedOut(t *testing.T) {
	outside, path := t.TempDir(), t.TempDir()
	secret := writeFile(t, "secret", outside, "x")
	for link, target := range map[string]string{"dir": outside, "file": secret, "up": filepath.Join("..", filepath.Base(outside))} {
		if err := os.Symlink(target, filepath.Join(path, link)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	s := open(t, path)
	for _, name := range []string{"dir/x", "file", "up/x"} {
		if n, err := s.ReadAt(t.Context(), name, make([]byte, 6), 0); n != 0 || err == nil {
			t.Errorf("ReadAt(%s) = %d, %v", name, n, err)
		}
		if err := s.Delete(t.Context(), name); err == nil {
			t.Errorf("Delete(%s) succeeded", name)
		}
	}
	for _, name := range []string{"dir/new", "file", "up/new"} {
		if err := s.Put(t.Context(), name, []byte("new")); err == nil {
			t.Errorf("Put(%s) succeeded", name)
		}
	}
	if got := names(t, s); len(got) > 0 {
		t.Errorf("List: %v", got)
	}
	if left, err := os.ReadDir(outside); len(left) != 1 || err != nil {
		t.Errorf("outside: %v, %v", left, err)
	}
	if data, err := os.ReadFile(secret); string(data) != "secret" {
		t.Errorf("the file outside: %q, %v", data, err)
	}
}

// TestFolderMadeAgain: someone tidies up empty folders while a store is open.
func TestFolderMadeAgain(t *testing.T) {
	path := t.TempDir()
	s := open(t, path)
	put(t, s, "d/x", "data")
	for _, dir := range []string{"d", tempDir} {
		if err := os.RemoveAll(filepath.Join(path, dir)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "d/x", "data")
}

// TestPutFlushesWhatWasListed: the writer of d/x may have been killed before it
// flushed d, and what is put next may refer to it.
func TestPutFlushesWhatWasListed(t *testing.T) {
	path := t.TempDir()
	put(t, open(t, path), "d/x", "data")
	s := open(t, path)
	names(t, s)
	if !s.listed["d"] {
		t.Errorf("folders to flush after List: %v", s.listed)
	}
	put(t, s, "head", "d/x")
	if len(s.listed) > 0 {
		t.Errorf("folders not flushed by Put: %v", s.listed)
	}
}

func TestDestinationGone(t *testing.T) {
	for what, remove := range map[string]func(path string) error{
		"removed": os.RemoveAll,
		"moved":   func(path string) error { return os.Rename(path, path+"-elsewhere") },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+"-elsewhere"), os.Mkdir(path, 0o700))
		},
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "destination")
			s, err := Create(path)
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, "d/x", "data")
			if err := remove(path); err != nil {
				t.Skipf("an open folder stays where it is here: %v", err)
			}
			wantUnreachable(t, s)
		})
	}
}

// wantUnreachable fails the test unless each method says that the destination is
// gone, where it cannot do its work.
func wantUnreachable(t *testing.T, s blob.Store) {
	t.Helper()
	_, readErr := s.ReadAt(t.Context(), "none", make([]byte, 1), 0)
	var listErr error
	for _, err := range s.List(t.Context(), "") {
		listErr = err
	}
	for op, err := range map[string]error{
		"Put":    s.Put(t.Context(), "d/new", []byte("data")),
		"ReadAt": readErr,
		"List":   listErr,
		"Delete": s.Delete(t.Context(), "none"),
	} {
		if !errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("%s: %v; want ErrUnreachable", op, err)
		}
		if errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s takes a destination that is gone for an empty one: %v", op, err)
		}
	}
}
