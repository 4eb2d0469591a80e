// SPDX-License-Identifier: Apache-2.0

package password_test

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/coffer-backup/coffer/internal/password"
)

func TestWeak(t *testing.T) {
	inputs := []string{"Zsuzsanna Quittenbaum", "q.baum77@mail.example", "Жанна Ковальчук", "José", "李小龙"}
	for _, weak := range []struct{ password, warning string }{
		{"password1", "most people"},
		{"Password1", "most people"},
		{"p@ssw0rd", "most people"},
		{"drowssap", "most people"},
		{"12345678", "most people"},
		{"aaaaaaaaaaaa", "Repeating"},
		{"abcdefghijk", "Sequences"},
		{"19121987", "Dates"},
		{"fghjkl;'", "keyboard"},
		{"blueberry", "Common words"},
		{"Quittenbaum", "your name"},
		{"quittenbaum7", "your name"},
		{"Zsuzsanna", "your name"},
		{"muabnettiuq", "your name"},
		{"Ковальчук", "your name"},
		{"ковальчук1", "your name"},
		{"josejose", "Repeating"},
		{"joséjosé", "Repeating"},
		// What zxcvbn alone takes for good.
		{"éééééééé", "Repeating"},
		{"日日日日日日日日", "Repeating"},
		{"абвгдежзик", "Sequences"},
		{"pässwörd", "most people"},
		{"ｐａｓｓｗｏｒｄ", "most people"},
		// Too short, however random.
		{"x", "fewer"},
		{"8#kQz!v", "fewer"},
		{"日本語日本", "fewer"},
	} {
		e := password.Judge(prepare(t, weak.password), inputs...)
		if e.OK() || !strings.Contains(e.Warning, weak.warning) || len(e.Suggestions) == 0 {
			t.Errorf("%s: %+v", weak.password, e)
		}
		if text := e.Explain(); !strings.HasPrefix(text, e.Warning) || !strings.Contains(text, "four or more words") {
			t.Errorf("%s: %s", weak.password, text)
		}
	}
}

func TestStrong(t *testing.T) {
	for _, strong := range []string{
		"correct horse battery staple", "lantern ribbon octave mustard", "8#kQz!v0", "Kürbis Laterne Schnabel",
		"кастрюля фонарь облако", "紫色の電車が山を越える", "my cat 🐈 ate 3 lemons", strings.Repeat("tulip anvil comet ", 50),
	} {
		e := password.Judge(prepare(t, strong), "Anna Schmidt")
		if !e.OK() || e.Guesses < 6 || e.Warning != "" || e.Suggestions != nil || e.Explain() == "" {
			t.Errorf("%s: %+v", strong, e)
		}
	}
}

// TestCharactersAreCounted: bytes are not, nor what the same text takes when decomposed.
func TestCharactersAreCounted(t *testing.T) {
	for typed, short := range map[string]bool{
		"kälblöß": true, "ka\u0308lblo\u0308ß": true, "kälblößt": false, "ka\u0308lblo\u0308ßt": false, "🔑🐈🍋🎈🚲🌵🎻": true, "🔑🐈🍋🎈🚲🌵🎻🧊": false,
	} {
		if e := password.Judge(prepare(t, typed)); e.TooShort != short || e.TooShort && e.OK() {
			t.Errorf("%s: %+v", typed, e)
		}
	}
}

// TestInputsLower: to know something about the user never makes a password look better.
func TestInputsLower(t *testing.T) {
	for _, typed := range []string{"quittenbaum77", "lantern ribbon octave mustard", "quittenbaum1987"} {
		p := prepare(t, typed)
		without, with := password.Judge(p), password.Judge(p, "Quittenbaum", "josé", "octave mustard")
		if with.Guesses >= without.Guesses {
			t.Errorf("%s: %v with, %v without", typed, with.Guesses, without.Guesses)
		}
	}
}

func TestManyInputs(t *testing.T) {
	inputs := make([]string, 10_000)
	for i := range inputs {
		inputs[i] = strings.Repeat("quittenbaum é", 1000)
	}
	if e := password.Judge([]byte("quittenbaum"), inputs...); e.OK() {
		t.Errorf("%+v", e)
	}
	if e := password.Judge([]byte("lantern ribbon octave mustard"), "", "a", "on", "é", "\xff"); !e.OK() {
		t.Errorf("short words about the user: %+v", e)
	}
}

// TestLong: what Prepare would refuse is judged too, by its beginning.
func TestLong(t *testing.T) {
	for _, unit := range []string{"a", "é", "4@8({[<369!1|70$5+%2", "password", "\xff", "\u0301"} {
		p := []byte(strings.Repeat(unit, 10<<10/len(unit)))
		before := string(p)
		e := password.Judge(p)
		sane(t, e)
		if string(p) != before || e.TooShort {
			t.Errorf("%.20q: %+v", p, e)
		}
	}
	sane(t, password.Judge(nil))
}

func sane(t *testing.T, e password.Estimate) {
	t.Helper()
	if math.IsNaN(e.Guesses) || math.IsInf(e.Guesses, 0) || e.Guesses < 0 || e.Score < 0 || e.Score > 4 {
		t.Errorf("%+v", e)
	}
	if e.OK() != (e.Warning == "") || e.OK() != (len(e.Suggestions) == 0) {
		t.Errorf("judged and explained differently: %+v", e)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte("password1"), "anna")
	f.Add([]byte("éé日日 1987 qwertz aaaa"), "é")
	f.Add([]byte("\xff\x00"), "\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, p []byte, input string) {
		e := password.Judge(p, input)
		sane(t, e)
		if e.TooShort != (utf8.RuneCount(p) < password.MinRunes) {
			t.Errorf("%q: %+v", p, e)
		}
	})
}
