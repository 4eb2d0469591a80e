// SPDX-License-Identifier: Apache-2.0

package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// judgedRunes bounds what the estimator reads: its work grows faster than the square of the length, to a
// fifth of a second at this one. A password is at least as hard to guess as its beginning.
const judgedRunes = 100

// fold writes text with one byte of ASCII for each rune, because zxcvbn confuses bytes and
// characters: it sees no repetition, sequence or name that ends in a letter of several bytes, and takes "éééééééé" for good.
//
// A letter with accents loses them, as whoever guesses would try. Other letters get a stand-in, next to that of
// their neighbour in the alphabet, so that what repeats, ascends or equals a name still does.
// Different letters may share one, which makes the estimate at most lower.
func fold(text []byte) string {
	var b strings.Builder
	for n := 0; len(text) > 0 && n < judgedRunes; n++ {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		b.WriteByte(foldRune(r))
	}
	return b.String()
}

func foldRune(r rune) byte {
	if r < utf8.RuneSelf {
		return byte(r)
	}
	if base, _ := utf8.DecodeRuneInString(norm.NFKD.String(string(r))); base < utf8.RuneSelf {
		return byte(base)
	}
	return 'a' + byte(unicode.ToLower(r)%26)
}

// Bounds of what a caller says about the user.
const (
	maxInputs  = 32
	shortInput = 3 // a shorter word is in too many good passwords to say anything
)

// inputWords folds what is known about the user, such as a name or an address, and adds the words it consists of.
func inputWords(inputs []string) []string {
	var words []string
	for _, input := range inputs[:min(len(inputs), maxInputs)] {
		whole := fold(norm.NFC.AppendString(nil, input[:min(len(input), MaxBytes)]))
		words = append(words, whole)
		words = append(words, strings.FieldsFunc(whole, notInWord)...)
	}
	long := words[:0]
	for _, word := range words {
		if len(word) >= shortInput {
			long = append(long, word)
		}
	}
	return long
}

func notInWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
