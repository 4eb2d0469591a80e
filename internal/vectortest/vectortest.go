// SPDX-License-Identifier: Apache-2.0

// Package vectortest keeps test vectors and what generates them the same. It guarantees that a folder has exactly the files
// that its generator makes, and trusts the generator, which follows a specification and not the code under test. With -update it
// writes them.
package vectortest

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the vectors instead of comparing them")

// Set is the vectors that a generator makes: names of files, and their text.
type Set map[string][]byte

// Add adds a vector. No two have one name.
func (s Set) Add(t *testing.T, name string, text []byte) {
	t.Helper()
	if s[name] != nil {
		t.Fatalf("two vectors are called %s", name)
	}
	s[name] = text
}

// Check reports each file of the folder that the set does not have so, and each that is missing. It looks only at names that
// begin with the prefix: a folder may have several generators.
func (s Set) Check(t *testing.T, dir, prefix string) {
	t.Helper()
	if *update {
		s.write(t, dir, prefix)
	}
	found := map[string]bool{}
	for _, path := range files(t, dir, prefix) {
		name := filepath.Base(path)
		found[name] = true
		made, known := s[name]
		if text, err := os.ReadFile(path); err != nil || !known || !bytes.Equal(text, made) {
			t.Errorf("%s is not what the generator makes; go test -run %s -update writes it", name, t.Name())
		}
	}
	for name := range s {
		if !found[name] || !strings.HasPrefix(name, prefix) {
			t.Errorf("%s is missing, or does not begin with %q", name, prefix)
		}
	}
}

func (s Set) write(t *testing.T, dir, prefix string) {
	t.Helper()
	err := os.MkdirAll(dir, 0o755)
	for _, path := range files(t, dir, prefix) {
		err = errors.Join(err, os.Remove(path))
	}
	for name, text := range s {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, dir, prefix string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
