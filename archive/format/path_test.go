// SPDX-License-Identifier: Apache-2.0

package format

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// names are such that their order differs by how the slash sorts.
var names = rapid.OneOf(
	rapid.SampledFrom([]string{"a", "b", "aa", "a.", "a!", "a0", "\x01", "\xff", " ", "...", ".a", "a-b", "é", "\\", "c:"}),
	rapid.StringOfN(rapid.SampledFrom([]rune{'a', '.', '!', '\x01', '\xff'}), 1, 4, -1).Filter(func(s string) bool { return s != "." && s != ".." }),
)

var paths = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(names, 0, 4).Draw(t, "names"), "/")
})

func sign(n int) int { return cmp.Compare(n, 0) }

// byNames is the order's definition: name by name.
func byNames(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(a, b)
	}
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

func TestComparePathsIsTheOrderByNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := paths.Draw(t, "a"), paths.Draw(t, "b"), paths.Draw(t, "c")
		if got, want := sign(ComparePaths(a, b)), byNames(a, b); got != want {
			t.Fatalf("ComparePaths(%q, %q) = %d, want %d", a, b, got, want)
		}
		if sign(ComparePaths(a, b)) != -sign(ComparePaths(b, a)) {
			t.Fatalf("%q and %q have no order", a, b)
		}
		if (ComparePaths(a, b) == 0) != (a == b) {
			t.Fatalf("%q and %q count as one", a, b)
		}
		if ComparePaths(a, b) <= 0 && ComparePaths(b, c) <= 0 && ComparePaths(a, c) > 0 {
			t.Fatalf("%q, %q, %q: not transitive", a, b, c)
		}
	})
}

// drawTree draws a folder tree and lists it as a walk does: a folder, then what is in it, by the bytes of the names.
func drawTree(t *rapid.T) (entries []Entry) {
	var walk func(folder string, depth int)
	walk = func(folder string, depth int) {
		inside := rapid.SliceOfNDistinct(names, 0, 4, rapid.ID[string]).Draw(t, "names")
		slices.Sort(inside)
		for _, name := range inside {
			e := drawEntry(t, strings.TrimPrefix(folder+"/"+name, "/"))
			entries = append(entries, e)
			if e.Type == TypeDir && depth < 3 {
				walk(e.Path, depth+1)
			}
		}
	}
	entries = append(entries, Entry{Type: TypeDir, ModTime: moments.Draw(t, "time")})
	walk("", 0)
	return entries
}

func TestTheWalkIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := drawTree(t)
		for i := range entries {
			for j := range entries {
				if want := cmp.Compare(i, j); sign(ComparePaths(entries[i].Path, entries[j].Path)) != want {
					t.Fatalf("%q and %q are not in the order of the walk", entries[i].Path, entries[j].Path)
				}
			}
			if i > 0 && !Follows(&entries[i-1], &entries[i]) {
				t.Fatalf("%q does not follow %q", entries[i].Path, entries[i-1].Path)
			}
		}
		for i := range len(entries) - 1 {
			if entries[i].Path == "" || strings.HasPrefix(entries[i+1].Path, entries[i].Path+"/") {
				entries[i].Type = TypeSymlink
				if Follows(&entries[i], &entries[i+1]) {
					t.Fatalf("%q below the link %q", entries[i+1].Path, entries[i].Path)
				}
			}
		}
	})
}

func TestFollows(t *testing.T) {
	dir, file := TypeDir, TypeFile
	for _, c := range []struct {
		prev string
		typ  EntryType
		next string
		want bool
	}{
		{"", dir, "a", true}, {"", file, "a", false}, {"", dir, "", false}, {"", dir, "a/b", true},
		{"a", dir, "a/b", true}, {"a", file, "a/b", false}, {"a", TypeSymlink, "a/b", false}, {"a", TypeDatabase, "a/b", false},
		{"a", file, "a.b", true}, {"a", dir, "b", true}, {"a", dir, "a/b/c", true}, {"a", file, "b/c", true}, {"a", file, "a/b/c", false},
		{"a/b/c", file, "a/d", true}, {"a/b/c", file, "d", true}, {"a/b/c", file, "a/b/d", true}, {"a/b/c", file, "a/c/d", true},
		{"a/b", file, "a", false}, {"b", file, "a", false}, {"a", dir, "a", false}, {"ab", dir, "a/b", false}, {"a", file, "ab/c", true},
	} {
		if got := Follows(&Entry{Path: c.prev, Type: c.typ}, &Entry{Path: c.next}); got != c.want {
			t.Errorf("Follows(%q %c, %q) = %v", c.prev, c.typ, c.next, got)
		}
	}
}

func TestValidPath(t *testing.T) {
	for _, good := range []string{"", "a", "a/b", "...", ".a", "a.", "..a", " ", "\xff\xfe", "\x01", "\\", "a\\..\\b", "c:", "-", "~", strings.Repeat("a", MaxPath)} {
		if !ValidPath(good) {
			t.Errorf("%.20q is refused", good)
		}
	}
	for _, bad := range []string{"/", "/a", "a/", "a//b", "//", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b", "\x00", "a\x00", "a/\x00", strings.Repeat("a", MaxPath+1)} {
		if ValidPath(bad) {
			t.Errorf("%.20q is accepted", bad)
		}
	}
}

// What ValidPath accepts stays in the folder that it is joined to, and is the only way to write it.
func TestValidPathsStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOf(rapid.SampledFrom([]rune("/..a\x00"))).Draw(t, "path")
		joined := path.Join("/folder", p)
		if ValidPath(p) && p != "" && joined != "/folder/"+p {
			t.Fatalf("%q leads to %q", p, joined)
		}
		if !ValidPath(p) && joined == "/folder/"+p && !strings.Contains(p, "\x00") {
			t.Fatalf("%q is refused", p)
		}
	})
}
