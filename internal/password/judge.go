// SPDX-License-Identifier: Apache-2.0

package password

import (
	"math"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"
)

// MinRunes is the fewest characters of a password, counted when prepared.
const MinRunes = 8

// MinScore is the lowest score that will do, the first beyond a million guesses.
//
// The vault answers ten guesses and then destroys the registration. So an attacker needs good ideas, not
// computers: he tries the ten likeliest passwords at as many accounts as he can, or at one person's what he knows about him. Ten
// guesses at a password that, by the estimate, lies beyond the first million succeed once in a hundred
// thousand times. Asking for more drives people to passwords that they write down or forget, and a forgotten
// one loses the backup. What a higher score adds would count only if the vault itself were broken.
const MinScore = 2

// Estimate is what an attacker who knows habits, lists and the user would need.
type Estimate struct {
	Guesses     float64  // how many until the right one, as a power of ten: 6 is a million
	Score       int      // 0 to 4: below 10^3, 10^6, 10^8, 10^10 guesses, and beyond
	TooShort    bool     // under MinRunes characters
	Warning     string   // what makes it easy to guess: a sentence, or nothing
	Suggestions []string // what would help: sentences; none if nothing needs to
}

// OK says whether the password will do.
func (e Estimate) OK() bool { return !e.TooShort && e.Score >= MinScore }

// Judge estimates a password that Prepare has returned. User inputs are what others can know about the user: names,
// addresses, the name of the app. The first hundred characters are judged.
//
// The estimator makes copies in memory that cannot be wiped.
func Judge(prepared []byte, userInputs ...string) Estimate {
	result := zxcvbn.PasswordStrength(fold(prepared), inputWords(userInputs))
	e := Estimate{
		Guesses:  max(0, math.Log10(result.Guesses)),
		Score:    result.Score,
		TooShort: utf8.RuneCount(prepared) < MinRunes,
	}
	e.Warning = warning(e, result.Sequence)
	e.Suggestions = suggestions(e, result.Sequence)
	return e
}
