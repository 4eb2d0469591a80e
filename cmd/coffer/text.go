// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coffer-backup/coffer/archive"
)

// printable makes text from outside harmless on a terminal. A name may hold control
// characters, which move the cursor or fake lines, and bidirectional ones, which
// show another name than the one it is. Such text is shown quoted, as Go and C write it.
func printable(s string) string {
	if escaped(s) == s && !strings.HasPrefix(s, `"`) {
		return s
	}
	return strconv.Quote(s)
}

// escaped is printable for sentences, which may have names in them: nothing is quoted as a whole.
func escaped(s string) string {
	var sb strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&sb, `\x%02x`, s[0])
		case !unicode.IsPrint(r):
			sb.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		default:
			sb.WriteRune(r)
		}
		s = s[n:]
	}
	return sb.String()
}

// shellQuote makes a word that a POSIX shell reads as it is.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+=:,@", r))
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// byteSize gives three digits and a unit of powers of ten, as disks are sold.
func byteSize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for ; f >= 999.5; unit++ {
		f /= 1000
	}
	decimals := 0
	switch {
	case f < 9.995:
		decimals = 2
	case f < 99.95:
		decimals = 1
	}
	return fmt.Sprintf("%.*f %cB", decimals, f, "kMGTPE"[unit])
}

// count gives a number with its noun, and commas between thousands.
func count(n int64, noun string) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if n != 1 {
		if stem, ok := strings.CutSuffix(noun, "ry"); ok {
			noun = stem + "rie"
		}
		noun += "s"
	}
	return s + " " + noun
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// ago gives the age of something to about one part in ten.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < 2*time.Hour:
		return count(int64(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int64(d/time.Hour), "hour")
	}
	return count(int64(d/(24*time.Hour)), "day")
}

// shortID is how snapshots are shown; any unambiguous beginning names one.
func shortID(id archive.ID) string { return id.String()[:10] }

// jsonPath is a path in JSON, which has no bytes: one that is not UTF-8 comes a second
// time in hexadecimal, so that nothing is lost.
type jsonPath struct {
	Path string `json:"path"`
	Hex  string `json:"path_hex,omitempty"`
}

func pathJSON(p string) jsonPath {
	if utf8.ValidString(p) {
		return jsonPath{Path: p}
	}
	return jsonPath{strings.ToValidUTF8(p, "\uFFFD"), hex.EncodeToString([]byte(p))}
}

type jsonProblem struct {
	jsonPath
	Kind   archive.ProblemKind `json:"kind"`
	Detail string              `json:"detail"`
}

func problemsJSON(problems []archive.Problem) []jsonProblem {
	list := make([]jsonProblem, len(problems))
	for i, p := range problems {
		list[i] = jsonProblem{pathJSON(p.Path), p.Kind, p.Detail}
	}
	return list
}

// list is for JSON: an empty array, never null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
