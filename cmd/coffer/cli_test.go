// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/coffer-backup/coffer"
	"github.com/coffer-backup/coffer/archive"
	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/destination"
	"github.com/coffer-backup/coffer/internal/keystore"
	"github.com/coffer-backup/coffer/recovery"
)

func testApp(t *testing.T) *app {
	t.Helper()
	return newApp(t.Context(), os.Stdin, os.Stdout, os.Stderr)
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
	}{
		{errors.New("anything"), 1},
		{usagef("no"), 2},
		{coffer.ErrDestination, 2},
		{archive.ErrWrongKey, 3},
		{archive.ErrKeyReplaced, 3},
		{format.ErrKeyDigits, 3},
		{coffer.ErrNoKey, 3},
		{coffer.ErrKeysLocked, 3},
		{keystore.ErrKeyring, 3},
		{destination.ErrNoCredentials, 4},
		{destination.ErrNoHelper, 4},
		{blob.ErrUnreachable, 4},
		{blob.ErrDenied, 4},
		{archive.ErrDamaged, 5},
		{archive.ErrLocked, 6},
		{archive.ErrConcurrent, 6},
		{coffer.ErrBusy, 6},
		{blob.ErrFull, 8},
		{archive.ErrNoSpace, 8},
		{coffer.ErrNotEnabled, 9},
		{archive.ErrNoArchive, 9},
		{archive.ErrNoSnapshot, 9},
		{archive.ErrNoPath, 9},
		{archive.ErrOccupied, 10},
		{archive.ErrRolledBack, 11},
		{archive.ErrExists, 14},
		{coffer.ErrEnabled, 14},
		{&recovery.WrongPassword{GuessesLeft: 3}, 15},
		{coffer.ErrOtherPassword, 15},
		{&recovery.Locked{GuessesLeft: 3}, 16},
		{&recovery.WrongPassword{Last: true}, 17},
		{recovery.ErrExhausted, 17},
		{recovery.ErrDestroyed, 17},
		{recovery.ErrNoRegistration, 18},
		{recovery.ErrNotPrimary, 19},
		{coffer.ErrNotLoggedIn, 20},
		{recovery.ErrLogin, 20},
		{recovery.ErrUnavailable, 21},
		{&recovery.MaybeCounted{Err: recovery.ErrUnavailable}, 21},
		{coffer.ErrWeakPassword, 22},
		{recovery.ErrPassword, 22},
		{recovery.ErrFleetChanged, 23},
		{coffer.ErrHasPassword, 24},
	} {
		a := testApp(t)
		a.from = "DEST"
		code, cause, todo := a.judge(fmt.Errorf("outer: %w", test.err))
		if code != test.code {
			t.Errorf("%v: exit code %d, want %d", test.err, code, test.code)
		}
		if todo == "" && cause != coffer.CauseOther && cause != coffer.CauseExists {
			t.Errorf("%v (%s): no advice", test.err, cause)
		}
	}
	if len(exitCodes) != codePartial+1 {
		t.Errorf("%d codes are explained, the last is %d", len(exitCodes), codePartial)
	}
}

// The reference must name every code, command and flag that the program has.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/CLI.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for code, meaning := range exitCodes {
		if row := fmt.Sprintf("| %d | %s |", code, meaning); !strings.Contains(doc, row) {
			t.Errorf("docs/CLI.md lacks the row %q", row)
		}
	}
	var walk func(node *kong.Node)
	walk = func(node *kong.Node) {
		if node.Hidden {
			return
		}
		if node.Leaf() && node.DefaultCmd == nil && node.Path() != "demo story" && !strings.Contains(doc, "coffer "+node.Path()) {
			t.Errorf("docs/CLI.md lacks the command %q", node.Path())
		}
		for _, flag := range node.Flags {
			if !flag.Hidden && !strings.Contains(doc, "`--"+flag.Name) {
				t.Errorf("docs/CLI.md lacks the flag --%s of %q", flag.Name, node.Path())
			}
		}
		for _, child := range node.Children {
			walk(child)
		}
	}
	walk(testApp(t).parser.Model.Node)
	for _, flag := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(doc, -1) {
		if !hasFlag(testApp(t).parser.Model.Node, flag[1]) {
			t.Errorf("docs/CLI.md names --%s, which no command has", flag[1])
		}
	}
}

func hasFlag(node *kong.Node, name string) bool {
	return slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == name }) ||
		slices.ContainsFunc(node.Children, func(n *kong.Node) bool { return hasFlag(n, name) })
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Media/photo.jpg":       "Media/photo.jpg",
		"Über uns 日本.txt":       "Über uns 日本.txt",
		"a\x1b[2Jb":             `"a\x1b[2Jb"`,
		"a\nb":                  `"a\nb"`,
		"a\xffb":                `"a\xffb"`,
		"a\u202eb":              `"a\u202eb"`,
		`"quoted"`:              `"\"quoted\""`,
		"zero\u200bwidth":       `"zero\u200bwidth"`,
		"c1\u009b31m":           `"c1\u009b31m"`,
		"no\u00a0break":         `"no\u00a0break"`,
		"replacement \ufffd":    "replacement \ufffd",
		"back\\slash, 'single'": "back\\slash, 'single'",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %s, want %s", in, got, want)
		}
	}
	if got, want := escaped("open \x1b]0;x\a\n\xff: 日本"), `open \x1b]0;x\a\n\xff: 日本`; got != want {
		t.Errorf("escaped: %s, want %s", got, want)
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/media/disk":  "/media/disk",
		"my disk":      "'my disk'",
		"it's":         `'it'\''s'`,
		"":             "''",
		"$(rm -rf)":    "'$(rm -rf)'",
		"~user":        "'~user'",
		"/media/größe": "'/media/größe'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{byteSize(0), "0 B"},
		{byteSize(999), "999 B"},
		{byteSize(1000), "1.00 kB"},
		{byteSize(12_345), "12.3 kB"},
		{byteSize(999_499), "999 kB"},
		{byteSize(999_500), "1.00 MB"},
		{byteSize(3_100_000_000), "3.10 GB"},
		{byteSize(1<<63 - 1), "9.22 EB"},
		{count(1, "entry"), "1 entry"},
		{count(1_234_567, "entry"), "1,234,567 entries"},
		{count(2, "day"), "2 days"},
		{ago(90 * time.Minute), "90 minutes"},
		{ago(50 * time.Hour), "2 days"},
		{seconds(37 * time.Millisecond), "37 ms"},
		{seconds(1500 * time.Millisecond), "1.5 s"},
		{timeLeft(0.1), "1 s left"},
		{timeLeft(600), "10 min left"},
		{timeLeft(1e9), "days left"},
		{seconds(3*time.Hour + 5*time.Minute), "3 h 5 min"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "/": "", ".": "", "./a/": "a", "/a/b": "a/b", "a//b": "a/b", "..a": "..a", " a": " a",
	} {
		if got, err := cleanPath(in); err != nil || got != want {
			t.Errorf("cleanPath(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"..", "../a", "a/..", "a/../b"} {
		if got, err := cleanPath(in); err == nil {
			t.Errorf("cleanPath(%q) = %q", in, got)
		}
	}
}

func TestSuggestNamesRealWords(t *testing.T) {
	model := testApp(t).parser.Model
	for _, words := range [][]string{{""}, {"key", ""}, {"archive", ""}, {"demo", ""}, {"password", ""}, {"login", "--role", ""}} {
		for _, s := range suggest(model, words) {
			if _, err := testApp(t).parser.Parse(append(slices.Clone(words[:len(words)-1]), s.word, "--no-such-flag")); err == nil || strings.Contains(err.Error(), "unexpected argument") {
				t.Errorf("%v: %q is suggested, but: %v", words, s.word, err)
			}
		}
	}
}

func TestMatcher(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"IMG", "Media/img-1.jpg", true},
		{"media", "Media/img-1.jpg", false}, // the name, not the folder's
		{"*.jpg", "a/b.jpg", true},
		{"*.JPG", "a/b.jpg", false},
		{"a/*.jpg", "a/b.jpg", true},
		{"/a/*.jpg", "a/b.jpg", true},
		{"a/*.jpg", "x/a/b.jpg", false},
		{"b", "a/b.jpg", true},
	} {
		matches, err := matcher(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if matches(test.path) != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.path, !test.want)
		}
	}
}

// Advice for a place in a cloud is not that for a disk.
func TestAdviceForClouds(t *testing.T) {
	t.Setenv("COFFER_HOME", t.TempDir())
	for _, test := range []struct {
		place, says string
		err         error
	}{
		{"/media/disk", "mount it", blob.ErrUnreachable},
		{"s3://chats", "network", blob.ErrUnreachable},
		{"rclone:box:x", "Install coffer-rclone", destination.ErrNoHelper},
		{"/media/disk", "who may read and write", blob.ErrDenied},
		{"gdrive:", "coffer destination add gdrive:", blob.ErrDenied},
		{"s3://chats?region=x", "coffer destination add 's3://chats?region=x'", destination.ErrNoCredentials},
		{"gdrive:", "Make room there", blob.ErrFull},
		{"gdrive:", "coffer destination add gdrive:, then", coffer.ErrKeysLocked},
	} {
		a := testApp(t)
		a.place = test.place
		if _, _, todo := a.judge(test.err); !strings.Contains(todo, test.says) {
			t.Errorf("%s, %v: %q, want %q", test.place, test.err, todo, test.says)
		}
	}
}

func TestLoginWarning(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		ends time.Time
		says string
	}{
		{time.Time{}, ""},
		{now.Add(30 * 24 * time.Hour), ""},
		{now.Add(24 * time.Hour), "ends on"},
		{now.Add(-time.Hour), "ended on"},
	} {
		got := loginWarning(destination.Known{Destination: "gdrive:", LoginEnds: test.ends}, now)
		if (got == "") != (test.says == "") || !strings.Contains(got, test.says) {
			t.Errorf("%v: %q, want %q", test.ends.Sub(now), got, test.says)
		}
	}
}
