// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/coffer-backup/coffer/internal/password"
)

// TestRFC8265 has the examples of section 4.3, by their numbers there (tables 3 and 4).
func TestRFC8265(t *testing.T) {
	for _, example := range []struct {
		number   int
		in, want string
	}{
		{12, "correct horse battery staple", "correct horse battery staple"},
		{13, "Correct Horse Battery Staple", "Correct Horse Battery Staple"},
		{14, "\u03C0\u00DF\u00E5", "\u03C0\u00DF\u00E5"},
		{15, "Jack of \u2666s", "Jack of \u2666s"},
		{16, "foo\u1680bar", "foo bar"},
	} {
		if got, err := password.Prepare(example.in); err != nil || string(got) != example.want {
			t.Errorf("%d: %q gives %q, %v", example.number, example.in, got, err)
		}
	}
	for _, example := range []struct {
		number int
		in     string
		want   error
	}{
		{17, "", password.ErrEmpty},
		{18, "my cat is a \u0009by", password.ErrForbidden},
	} {
		refuses(t, example.in, example.want)
	}
}

func refuses(t *testing.T, in string, want error) {
	t.Helper()
	if got, err := password.Prepare(in); !errors.Is(err, want) || got != nil {
		t.Errorf("%.40q: %q, %v, want %v", in, got, err, want)
	}
}

func TestRefused(t *testing.T) {
	for _, in := range []string{
		"\x00", "new\nline", "carriage\r", "escape\x1b[A", "delete\x7f", "next line\u0085",
		"zero width space\u200b", "byte order mark\ufeff", "right to left\u202e", "soft hyphen\u00ad",
		"joined emoji \U0001F468\u200D\U0001F469", "variation \u2764\uFE0F", "lone jamo \u1100",
		"private \uE000", "not a character \uFFFF", "unassigned \U000E1234", "replacement? \U0010FFFF",
	} {
		refuses(t, in, password.ErrForbidden)
	}
	for _, in := range []string{"\xff", "caf\xe9", "cut \xc3", "overlong \xc0\xaf", "surrogate \xed\xa0\x80", "beyond \xf4\x90\x80\x80"} {
		refuses(t, in, password.ErrNotUTF8)
	}
}

func TestLengths(t *testing.T) {
	if got, err := password.Prepare(strings.Repeat("x", password.MaxBytes)); err != nil || len(got) != password.MaxBytes {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	refuses(t, strings.Repeat("x", password.MaxBytes+1), password.ErrTooLong)
	refuses(t, strings.Repeat("x", 10<<10), password.ErrTooLong)
	refuses(t, strings.Repeat("\xff", 10<<10), password.ErrTooLong)
	// U+0958 is three bytes as typed and, excluded from composition, six in NFC.
	grows := strings.Repeat("\u0958", password.MaxBytes/6)
	if _, err := password.Prepare(grows); err != nil {
		t.Error(err)
	}
	refuses(t, grows+"\u0958\u0958", password.ErrTooLong)
}

func TestSameOnEverySystem(t *testing.T) {
	for _, same := range [][]string{
		{"Zo\u00EB's caf\u00E9", "Zoe\u0308's cafe\u0301"},
		{"\u00C5ngstr\u00F6m", "A\u030Angstro\u0308m", "\u212Bngstr\u00F6m"},
		{"\uD55C\uAE00", "\u1112\u1161\u11AB\u1100\u1173\u11AF"}, // Hangul as macOS decomposes it
		{"a b", "a\u00A0b", "a\u2003b", "a\u3000b", "a\u202Fb"},
		{"\u1EC7", "e\u0323\u0302", "e\u0302\u0323"}, // marks in another order
	} {
		want := prepare(t, same[0])
		for _, typed := range same {
			if got := prepare(t, typed); !bytes.Equal(got, want) {
				t.Errorf("%q gives %q, %q gives %q", same[0], want, typed, got)
			}
		}
	}
}

func prepare(t *testing.T, typed string) []byte {
	t.Helper()
	got, err := password.Prepare(typed)
	if err != nil {
		t.Fatalf("%q: %v", typed, err)
	}
	return got
}

// TestDifferentStaysDifferent: OpaqueString folds neither case nor width, nor spaces together or away.
func TestDifferentStaysDifferent(t *testing.T) {
	seen := map[string]string{}
	for _, typed := range []string{"pass", "Pass", "PASS", "\uFF50\uFF41\uFF53\uFF53", " pass", "pass ", "pa ss", "pa  ss", "ﬁ", "fi"} {
		got := string(prepare(t, typed))
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q give the same bytes", typed, other)
		}
		seen[got] = typed
	}
}

func TestNormalisationForms(t *testing.T) {
	tables := []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hangul, unicode.Arabic, unicode.Devanagari, unicode.Mn}
	rapid.Check(t, func(t *rapid.T) {
		typed := rapid.StringOfN(rapid.RuneFrom(nil, tables...), 1, 40, 300).Draw(t, "typed")
		want, err := password.Prepare(typed)
		for _, form := range []norm.Form{norm.NFC, norm.NFD} {
			got, formErr := password.Prepare(form.String(typed))
			if !bytes.Equal(got, want) || !errors.Is(formErr, err) {
				t.Fatalf("%q, %v as typed; %q, %v in form %d", want, err, got, formErr, form)
			}
		}
	})
}

func TestErrorsCarryNoPassword(t *testing.T) {
	for _, in := range []string{"hunter2\x00", "hunter2\xff", strings.Repeat("hunter2", 200)} {
		if _, err := password.Prepare(in); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}

// FuzzPrepare: what is accepted is prepared already, and within bounds.
func FuzzPrepare(f *testing.F) {
	for _, seed := range []string{
		"", "correct horse battery staple", "foo\u1680bar", "Zoe\u0308", "\u1112\u1161\u11AB", "\u0958", "\u1FEF", "\u2126",
		"my cat is a \tby", "\xff", "l\u00B7l", "\u30FB\u30AB", "\u0915\u094D\u200D\u0937", "\U0001F511", strings.Repeat("\u0958", 300),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got, err := password.Prepare(typed)
		if err != nil {
			if got != nil {
				t.Fatalf("bytes with %v", err)
			}
			return
		}
		if len(got) == 0 || len(got) > password.MaxBytes || !utf8.Valid(got) || !norm.NFC.IsNormal(got) {
			t.Fatalf("%q gives %q", typed, got)
		}
		again, err := password.Prepare(string(got))
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q gives %q, and that %q, %v", typed, got, again, err)
		}
	})
}
