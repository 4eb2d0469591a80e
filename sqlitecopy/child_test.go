// SPDX-License-Identifier: Apache-2.0

package sqlitecopy

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDstExists(t *testing.T) {
	db := filepath.Join(t.TempDir(), "chat.db")
	execute(t, db, schema, fill)
	for _, name := range []string{"copy", "copy" + workSuffix} {
		for _, copyDatabase := range []func(src, dst string) error{
			child(t),
			func(src, dst string) error { return Copy(t.Context(), src, dst) },
		} {
			dst := newDst(t)
			other := filepath.Join(filepath.Dir(dst), name)
			must(t, os.WriteFile(other, []byte("mine"), 0o600))
			if err := copyDatabase(db, dst); !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v, want fs.ErrExist", err)
			}
			mustHold(t, dst, name)
			if content, err := os.ReadFile(other); err != nil || string(content) != "mine" {
				t.Errorf("%s: %q, %v", name, content, err)
			}
		}
	}
}

func TestChildThatFails(t *testing.T) {
	for role, want := range map[string]string{
		"crash":  "boom",
		"babble": "without a report",
		"deny":   "exit status 1",
	} {
		dst := newDst(t)
		err := Child(self(t), role)(t.Context(), "chat.db", dst)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", role, err, want)
		}
		mustHold(t, dst)
	}
	if err := Child(filepath.Join(t.TempDir(), "nothing"))(t.Context(), "chat.db", newDst(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	if err := child(t)("a\x00b", newDst(t)); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("got %v, want fs.ErrInvalid", err)
	}
}

// TestChildThatBeginsChildren: a program that forgets ChildMain must not fill the machine with itself.
func TestChildThatBeginsChildren(t *testing.T) {
	err := Child(self(t), "begin-another")(t.Context(), "chat.db", newDst(t))
	if err == nil || !strings.Contains(err.Error(), "must call sqlitecopy.ChildMain") {
		t.Errorf("got %v", err)
	}
}

func FuzzRequest(f *testing.F) {
	for _, request := range []string{"", "a", "a\x00b\x00", "a\x00b", "\x00\x00", "a\x00b\x00rest", "\xff\n\x00\x00"} {
		f.Add([]byte(request))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		src, dst, err := readRequest(bufio.NewReaderSize(bytes.NewReader(request), maxPath))
		if err == nil && !bytes.HasPrefix(request, []byte(src+"\x00"+dst+"\x00")) {
			t.Errorf("%q was read as %q, %q", request, src, dst)
		}
		if err != nil && bytes.Count(request, []byte{0}) >= 2 && len(request) < maxPath {
			t.Errorf("%q was refused: %v", request, err)
		}
	})
}

func TestRequestTooLong(t *testing.T) {
	var report bytes.Buffer
	if code := ChildMain(strings.NewReader(strings.Repeat("x", maxPath+1)), &report); code == 0 {
		t.Error("accepted")
	}
	if word, _, _ := strings.Cut(report.String(), "\x00"); word != "failed" {
		t.Errorf("report %q", report.String())
	}
}
