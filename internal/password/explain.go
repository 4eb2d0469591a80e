// SPDX-License-Identifier: Apache-2.0

package password

import (
	"fmt"
	"strings"

	"github.com/trustelem/zxcvbn/match"
)

// Explain says in one line what is wrong and what to do, or that the password will do.
func (e Estimate) Explain() string {
	if e.OK() {
		return "This password will do."
	}
	return strings.Join(append([]string{e.Warning}, e.Suggestions...), " ")
}

// warning names the part of a password that helps an attacker most. The text quotes none of it.
func warning(e Estimate, parts []*match.Match) string {
	if e.TooShort {
		return fmt.Sprintf("It has fewer than %d characters.", MinRunes)
	}
	if e.OK() {
		return ""
	}
	longest := &match.Match{}
	for _, part := range parts {
		if part.Pattern != bruteforce && len(part.Token) > len(longest.Token) {
			longest = part
		}
	}
	return habit(longest, len(parts) == 1)
}

// What the estimator calls a part that follows no pattern.
const bruteforce = "bruteforce"

// habit puts a pattern of the estimator into words. Whole says that it is all of the password.
func habit(part *match.Match, whole bool) string {
	switch part.Pattern {
	case "dictionary":
		return dictionary(part, whole)
	case "spatial":
		return "Keys that lie side by side on the keyboard are among the first guesses."
	case "repeat":
		return "Repeating the same characters or the same word adds almost nothing."
	case "sequence":
		return "Sequences such as abc or 6543 are among the first guesses."
	case "date", "regex":
		return "Dates and years are among the first guesses."
	}
	return "It is easy to guess."
}

func dictionary(part *match.Match, whole bool) string {
	switch {
	case part.DictionaryName == "user_inputs":
		return "It contains your name or something else that others know about you."
	case part.DictionaryName == "passwords" && whole:
		return "It is, but for small changes, among the passwords that most people use."
	case part.DictionaryName == "passwords":
		return "The larger part of it is among the passwords that most people use."
	case strings.HasSuffix(part.DictionaryName, "names"):
		return "Names are among the first guesses."
	}
	return "Common words are easy to guess, unless there are several of them."
}

// suggestions are for a password that will not do.
func suggestions(e Estimate, parts []*match.Match) []string {
	if e.OK() {
		return nil
	}
	all := []string{"Take four or more words that have nothing to do with each other or with you; spaces are allowed."}
	for _, part := range parts {
		switch {
		case part.L33t:
			return append(all, "Writing @ for a or 0 for o does not help.")
		case part.Reversed:
			return append(all, "Writing a word backwards does not help.")
		case part.Pattern == "dictionary" && len(part.Token) > 1 && part.UppercaseVariations > 1:
			return append(all, "Capital letters do not help much.")
		}
	}
	return all
}
