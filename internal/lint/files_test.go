// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const licence = "SPDX-License-Identifier: Apache-2.0"

func TestLicenceLine(t *testing.T) {
	checked := 0
	for name, text := range files(t) {
		want, line := "# "+licence, 0
		switch {
		case path.Ext(name) == ".go":
			want = "// " + licence
		case strings.HasPrefix(text, "#!"):
			line = 1
		case path.Ext(name) == ".sh", path.Base(name) == "Makefile":
		default:
			continue
		}
		checked++
		if lines := strings.SplitN(text, "\n", 3); len(lines) <= line || lines[line] != want {
			t.Errorf("%s:%d: must be %q", name, line+1, want)
		}
	}
	if checked == 0 {
		t.Error("found no file to check")
	}
}

// The patterns are written so that they do not match themselves.
var forbidden = []struct {
	pattern *regexp.Regexp
	only    *regexp.Regexp // names of the files that it is about; nil for all
	why     string
}{{
	pattern: regexp.MustCompile("(^|[\\s\"'`(=:])/(home|root|work|Users)/"),
	why:     "a path of one machine only",
}, {
	pattern: regexp.MustCompile(`(proxy|sum)\.golang\.org|registry\.npmjs|(deb|security)\.debian\.org|pypi\.org`),
	why:     "the host of a registry; the go command and the system's settings know where to fetch from",
}, {
	pattern: regexp.MustCompile(`\b(FIX[M]E|TO[D]O\b([^(]|\(\)|$))`),
	only:    regexp.MustCompile(`\.(go|sh)$|(^|/)Makefile$|^\.ci/`),
	why:     "must say in parentheses why it can wait",
}, {
	pattern: regexp.MustCompile(`\btime\.(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTi[a-z]+)\(`),
	only:    regexp.MustCompile(`^archive/format/`),
	why:     "the format reads no clock, so that the same input gives the same bytes",
}}

func TestForbiddenText(t *testing.T) {
	for name, text := range files(t) {
		for _, f := range forbidden {
			if f.only != nil && !f.only.MatchString(name) {
				continue
			}
			for i, line := range strings.Split(text, "\n") {
				if found := f.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: %s", name, i+1, found, f.why)
				}
			}
		}
	}
}

func TestForbiddenTextIsFound(t *testing.T) {
	for _, line := range []string{
		`open("` + `/home` + `/someone/chats")`,
		"GOPROXY=https://" + "proxy." + "golang.org",
		"// TO" + "DO: later",
		"context.TO" + "DO()",
		"now := time.Now()",
	} {
		matches := 0
		for _, f := range forbidden {
			if f.pattern.MatchString(line) {
				matches++
			}
		}
		if matches != 1 {
			t.Errorf("%q matches %d patterns, not one", line, matches)
		}
	}
}

// files returns the text of every file that people wrote, by its name relative to
// the module's root. Left out are what git and the build made, and binary files.
func files(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "bin" || strings.HasSuffix(name, "testdata/fuzz")):
			return fs.SkipDir
		case !entry.Type().IsRegular(), name == ".git": // a file in a linked worktree
			return nil
		}
		data, err := fs.ReadFile(tree, name)
		if utf8.Valid(data) && !bytes.ContainsRune(data, 0) {
			texts[name] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
