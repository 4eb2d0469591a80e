// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// The most frequent words, in their order.
const commonWords = `you i to the a and it that in of is me for so what we not on do have
be just my but no are like at with this your can was ok if go know now get all up one good
there they out see how he come think time will when she don't it's i'm yes here about or
really want going am from too then did had more back why right today home well as an us
need day some tomorrow work let oh him her love still where say make got has been who
only sorry thanks them could please look way night very take again should something thing
much little maybe call nice sure would tell people sleep after said because over dinner
never before great that's even first later than always already before our down off same
week last long new next money phone house car train late early morning lunch kids school
mum dad brother sister friend birthday party holiday weekend friday saturday sunday monday
ticket meeting doctor weather rain shop kitchen photo video message answer question
minutes hour waiting coming leaving arrived forgot remember promise actually probably
definitely everything nothing someone anyone together yesterday tonight`

var stockPhrases = []string{"ok", "haha", "yes", "no", "thanks!", "👍", "❤️", "😂😂😂", "on my way",
	"good morning", "good night 😴", "where are you?", "call me", "see you later", "happy birthday! 🎉"}

const (
	vocabularySize = 8000
	drawBits       = 17
)

// vocabulary holds words by rank and a table from which a uniform draw gives
// the word frequencies of natural language (Zipf's law).
type vocabulary struct {
	words []string
	draw  [1 << drawBits]uint16
	notes []string // long texts that go round
}

// The vocabulary is one language and so the same for every seed.
var language = sync.OnceValue(func() *vocabulary {
	v := &vocabulary{words: strings.Fields(commonWords)}
	rng := rand.New(rand.NewPCG(0, 0))
	for len(v.words) < vocabularySize {
		v.words = append(v.words, inventWord(rng, 2+len(v.words)/2500))
	}
	harmonic := 0.0
	for rank := range v.words {
		harmonic += 1 / float64(rank+3)
	}
	slot, sum := 0, 0.0
	for rank := range v.words {
		sum += 1 / float64(rank+3) / harmonic
		for ; slot < len(v.draw) && float64(slot) < sum*float64(len(v.draw)); slot++ {
			v.draw[slot] = uint16(rank)
		}
	}
	for range 60 {
		v.notes = append(v.notes, string(v.appendSentence(nil, rng, 60+rng.IntN(120))))
	}
	return v
})

// inventWord makes a word of n syllables that can be spoken.
func inventWord(rng *rand.Rand, n int) string {
	const onsets, vowels, codas = "bcdfghjklmnprstvw", "aaeeiou", "nrstlm    "
	var w []byte
	for range n {
		w = append(w, onsets[rng.IntN(len(onsets))], vowels[rng.IntN(len(vowels))])
		if c := codas[rng.IntN(len(codas))]; c != ' ' {
			w = append(w, c)
		}
	}
	return string(w)
}

// appendText appends the text of one message: a set phrase, a note that
// everybody forwards, or something new. The proportions are those at which
// zstd makes a third of a database, as it does of real ones.
func appendText(dst []byte, rng *rand.Rand) []byte {
	v := language()
	switch x := rng.IntN(100); {
	case x < 36:
		return append(dst, stockPhrases[rng.IntN(len(stockPhrases))]...)
	case x < 51:
		return append(dst, v.notes[rng.IntN(len(v.notes))]...)
	}
	return v.appendSentence(dst, rng, 2+int(rng.ExpFloat64()*7))
}

// appendSentence appends n words. They follow each other by habit, as in
// speech; independent words would compress much less than what people write.
func (v *vocabulary) appendSentence(dst []byte, rng *rand.Rand, n int) []byte {
	word := v.draw[rng.Uint64()>>(64-drawBits)]
	for range n {
		dst = append(append(dst, v.words[word]...), ' ')
		r := rng.Uint64()
		if r%100 < 90 {
			follower := uint64(word)<<6 | uint64(bits.LeadingZeros64(r)/2)
			r = follower * 0x9e3779b97f4a7c15
		}
		word = v.draw[r>>(64-drawBits)]
	}
	dst[len(dst)-1] = ".?!)"[rng.IntN(4)]
	return dst
}

// searchWords are the words under which a message is found: its first two of
// six letters or more. A full-text index would hold all of them and behave alike.
func searchWords(text []byte) []string {
	var found []string
	for word := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r < 'a' || r > 'z' }) {
		if len(word) >= 6 && !slices.Contains(found, string(word)) {
			if found = append(found, string(word)); len(found) == 2 {
				break
			}
		}
	}
	return found
}
