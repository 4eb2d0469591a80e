// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/coffer-backup/coffer/archive/format"
)

var (
	windowsRules = nameRules{folds: true, windows: true, text: true, wide: true}
	darwinRules  = nameRules{folds: true, text: true}
	linuxRules   = nameRules{}
)

func TestEscape(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, test := range []struct{ name, windows, darwin, linux string }{
		{"notes.txt", "", "", ""},
		{"\u65e5\u672c", "", "", ""},
		{"a b", "", "", ""},
		{".hidden", "", "", ""},
		{"a:b", "a%3Ab", "", ""},
		{`<>:"\|?*`, "%3C%3E%3A%22%5C%7C%3F%2A", "", ""},
		{"..x", "", "", ""},
		{"tab\tand\x1f", "tab%09and%1F", "", ""},
		{"dot.", "dot%2E", "", ""},
		{"dots..", "dots.%2E", "", ""},
		{"space ", "space%20", "", ""},
		{" space", "", "", ""},
		{"CON", "%43ON", "", ""},
		{"con", "%63on", "", ""},
		{"con.txt", "%63on.txt", "", ""},
		{"aux .txt", "%61ux .txt", "", ""},
		{"NUL.tar.gz", "%4EUL.tar.gz", "", ""},
		{"CONIN$", "%43ONIN$", "", ""},
		{"com0", "%63om0", "", ""},
		{"LPT9.x", "%4CPT9.x", "", ""},
		{"COM\u00b9", "%43OM\u00b9", "", ""},
		{"COM10", "", "", ""},
		{"COM", "", "", ""},
		{"console", "", "", ""},
		{"\xff", "%FF", "%FF", ""},
		{"a\xc3", "a%C3", "a%C3", ""},
		{"100%", "", "", ""},
		{"%3A", "%253A", "%253A", ""},
		{"%3a", "", "", ""},
		{"%%3A", "%%253A", "%%253A", ""},
		{"%\xff", "%%FF", "%%FF", ""},
		{long, "", "", ""},
		{strings.Repeat("\u3042", 255), "", "*", "*"},
		{long + "x", "*", "*", "*"},
		{strings.Repeat("?", 100), "*", "", ""},
		{"a~0123456789abcdef", "*", "*", "*"},
		{"a~0123456789abcdeF", "", "", ""},
		{"~0123456789abcdef", "*", "*", "*"},
	} {
		for system, rules := range map[string]nameRules{"windows": windowsRules, "darwin": darwinRules, "linux": linuxRules} {
			want := map[string]string{"windows": test.windows, "darwin": test.darwin, "linux": test.linux}[system]
			got, why := rules.escape(test.name)
			switch want {
			case "":
				if got != test.name || why != "" {
					t.Errorf("%s: %q becomes %q, because %q", system, test.name, got, why)
				}
			case "*":
				if !endsInHash(got) || !rules.fits(got) || why == "" {
					t.Errorf("%s: %q becomes %q, because %q", system, test.name, got, why)
				}
			default:
				if got != want || why == "" {
					t.Errorf("%s: %q becomes %q, because %q; want %q", system, test.name, got, why, want)
				}
			}
		}
	}
}

// oddNames are such as meet when they are escaped or folded.
var oddNames = []string{
	"a", "A", "a:", "a%3A", "a%253A", "%61", "a.", "a%2E", "\u00e9", "e\u0301", "E\u0301", "\u1e9e", "ss", "SS", "\u00df", "K", "\u212a", "k",
	"\xff", "%FF", "\xfe", "con", "%63on", "CON", "~", "a~2", "A~2", ".coffer-restore", ".COFFER-RESTORE", "..a",
	strings.Repeat("x", 300), strings.Repeat("x", 301), strings.Repeat("X", 300), strings.Repeat("\u3042", 200),
}

func drawName(rt *rapid.T, rules nameRules) string {
	name := rapid.OneOf(rapid.SampledFrom(oddNames), rapid.StringMatching(`[a-cA-C:%~?.\x80-\xff ]{1,4}`)).Draw(rt, "name")
	if rapid.IntRange(0, 4).Draw(rt, "escaped") == 0 {
		name, _ = rules.escape(name) // as if it had been restored before
	}
	if rapid.IntRange(0, 9).Draw(rt, "hashed") == 0 {
		name = rules.hashed(name)
	}
	if name == "." || name == ".." {
		return "x"
	}
	return strings.ReplaceAll(name, "/", "_")
}

// TestPlacer: different paths get different targets, which the file system can hold; folders stay folders; the same listing gives
// the same targets.
func TestPlacer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rules := nameRules{
			folds: rapid.Bool().Draw(rt, "folds"), windows: rapid.Bool().Draw(rt, "windows"),
			text: rapid.Bool().Draw(rt, "text"), wide: rapid.Bool().Draw(rt, "wide"),
		}
		types := map[string]format.EntryType{"": TypeDir}
		for range rapid.IntRange(1, 30).Draw(rt, "entries") {
			folders := slices.DeleteFunc(slices.Sorted(maps.Keys(types)), func(p string) bool { return types[p] != TypeDir })
			p := path.Join(rapid.SampledFrom(folders).Draw(rt, "folder"), drawName(rt, rules))
			if _, there := types[p]; !there && format.ValidPath(p) {
				types[p] = rapid.SampledFrom([]format.EntryType{TypeDir, TypeFile, TypeSymlink}).Draw(rt, "type")
			}
		}
		for _, p := range slices.Sorted(maps.Keys(types)) { // of some folders the entries are lost
			if types[p] == TypeDir && p != "" && rapid.IntRange(0, 9).Draw(rt, "lost") == 0 {
				delete(types, p)
			}
		}
		paths := slices.SortedFunc(maps.Keys(types), format.ComparePaths)
		p, again := newPlacer(rules), newPlacer(rules)
		targets := map[string]string{} // folded target → path
		placed := map[string]string{}  // path → target
		for _, from := range paths {
			e := &format.Entry{Path: from, Type: types[from]}
			target, why := p.place(e)
			if second, _ := again.place(e); second != target {
				rt.Fatalf("%q goes to %q, and then to %q", from, target, second)
			}
			if (target != from) != (why != "") && path.Base(target) != path.Base(from) {
				rt.Fatalf("%q goes to %q, because %q", from, target, why)
			}
			if other, taken := targets[p.key(target)]; taken {
				rt.Fatalf("%q and %q both go to %q", other, from, target)
			}
			targets[p.key(target)] = from
			placed[from] = target
			if folder, there := placed[path.Dir("/" + from)[1:]]; there && from != "" && folder != strings.TrimPrefix(path.Dir("/"+target), "/") {
				rt.Fatalf("%q goes to %q, its folder to %q", from, target, folder)
			}
			if e.Type == TypeDir && p.path(p.inner().number) != target {
				rt.Fatalf("folder %q goes to %q, and is remembered as %q", from, target, p.path(p.inner().number))
			}
			for name := range strings.SplitSeq(target, "/") {
				if !holds(rules, name) && target != "" {
					rt.Fatalf("%q goes to %q, which the file system cannot hold", from, target)
				}
			}
			if top, _, _ := strings.Cut(target, "/"); p.key(top) == workName {
				rt.Fatalf("%q goes to %q", from, target)
			}
		}
	})
}

// holds tells in another way than the placer whether a file system of these rules holds a name.
func holds(rules nameRules, name string) bool {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return false
	case rules.wide && utf8.RuneCountInString(name) > 255, !rules.wide && len(name) > 255:
		return false
	case (rules.text || rules.windows) && !utf8.ValidString(name):
		return false
	case rules.windows && (strings.ContainsAny(name, `<>:"\|?*`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")):
		return false
	case rules.windows && slices.Contains([]string{"con", "nul", "aux", "prn"}, strings.ToLower(name)):
		return false
	}
	return true
}

// TestTryRules finds this system's usual rules where the tests run, and leaves nothing.
func TestTryRules(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	rules, err := tryRules(root)
	must(t, err)
	usual := usualRules()
	if rules.windows != usual.windows || rules.text != usual.text {
		t.Errorf("rules: %+v, usual: %+v", rules, usual)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestPlacerFolds: the first of several names that meet keeps its own, and what is in a folder goes with it.
func TestPlacerFolds(t *testing.T) {
	p := newPlacer(darwinRules)
	var targets []string
	for _, from := range []string{"", "A", "A/x", "B", "a", "a/X", "a/x", "b"} {
		e := &format.Entry{Path: from, Type: TypeFile}
		if from == "" || strings.ToLower(from) == "a" {
			e.Type = TypeDir
		}
		target, _ := p.place(e)
		targets = append(targets, target)
	}
	if targets[1] != "A" || targets[2] != "A/x" || targets[3] != "B" || !strings.HasPrefix(targets[4], "a~") ||
		targets[5] != targets[4]+"/X" || !strings.HasPrefix(targets[6], targets[4]+"/x~") || !strings.HasPrefix(targets[7], "b~") {
		t.Errorf("targets: %q", targets)
	}
}
