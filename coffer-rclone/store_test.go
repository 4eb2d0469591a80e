// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
	"github.com/coffer-backup/coffer/blob/helper"
)

// With these arguments the test binary is the program itself, so that it is tested behind its pipes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "version") {
		main()
		return
	}
	// Not the configuration of whoever runs the tests.
	os.Setenv("RCLONE_CONFIG", filepath.Join(os.TempDir(), "no-such-rclone.conf"))
	if err := configure(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// openHelper starts the program for a remote, with the rclone configuration at config.
func openHelper(t *testing.T, config string, args ...string) (*helper.Store, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("RCLONE_CONFIG", config)
	s, err := helper.Open(t.Context(), helper.Config{
		Command: append([]string{self, "serve"}, args...),
		Stderr:  func(line string) { t.Log(line) },
	})
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return s, err
}

func TestLocal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	s, err := openHelper(t, "none.conf", "--create", dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != "rclone:local:"+dir {
		t.Errorf("String() = %s", s)
	}
	blobtest.Run(t, func(*testing.T) blob.Store { return s })
	wantNoTemp(t, dir)
}

func wantNoTemp(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(dir, tempDir))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary objects left: %v, %v", left, err)
	}
}

func openLocal(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := open(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, tempDir), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old": tempAge + time.Hour, "young": 0} {
		file, then := filepath.Join(dir, tempDir, name), time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Chtimes(file, then, then)); err != nil {
			t.Fatal(err)
		}
	}
	s := openLocal(t, dir)
	if err := s.Put(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, tempDir))
	if err != nil || len(left) != 1 || left[0].Name() != "young" {
		t.Errorf("left: %v, %v", left, err)
	}
	var names []string
	for info, err := range s.List(t.Context(), "") {
		names = append(names, info.Name)
		if err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(names, []string{"x"}) {
		t.Errorf("listed: %q", names)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]struct {
		class error
		says  string
	}{
		filepath.Join(dir, "none"): {blob.ErrUnreachable, "does not exist there"},
		filepath.Join(dir, "file"): {nil, "a file is where"},
		"nothing:path":             {nil, "rclone config"},
		":sftp,pass=secret:path":   {nil, "pass is nothing for a command"},
		":nonsense:path":           {nil, "nonsense"},
	} {
		_, err := openHelper(t, "none.conf", text)
		if err == nil || want.class != nil && !errors.Is(err, want.class) || !contains(err.Error(), want.says) || contains(err.Error(), "=secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestFolderRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	s, err := open(t.Context(), dir, true)
	if err == nil {
		err = os.Remove(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "x/y"} {
		for _, err = range s.List(t.Context(), prefix) {
		}
		if !errors.Is(err, blob.ErrUnreachable) {
			t.Errorf("List(%q) of a removed folder: %v", prefix, err)
		}
	}
}

func TestVersion(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out := run(t, self, "version"); !contains(out, "rclone v1.76.0,") || !contains(out, "protocol 1") {
		t.Error(out)
	}
}
