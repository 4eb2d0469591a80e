// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"testing"
)

func mustNotOpen(t testing.TB, o *Opener, what string, at int, envelope []byte) {
	t.Helper()
	if answer, sealed, err := o.Open(envelope); err != ErrMalformed || answer != nil || sealed {
		t.Fatalf("%s at %d: got %v, %v", what, at, sealed, err)
	}
}

func TestEveryByteOfAnAnswerCounts(t *testing.T) {
	_, opener, sealer := exchange(t, &Request{specToken, &Status{}})
	answer := sealer.Seal([32]byte(named("nonce")), &StatusAnswer{Now: 5})
	for at := range answer {
		mustNotOpen(t, opener, "altered", at, with(answer, at, answer[at]^(1<<(at%8))))
		mustNotOpen(t, opener, "cut", at, answer[:at])
	}
	for _, more := range []int{1, answerClass, MaxEnvelope} {
		mustNotOpen(t, opener, "longer", more, cat(answer, make([]byte, more)))
	}
	if _, sealed, err := opener.Open(answer); err != nil || !sealed {
		t.Fatal("the answer itself no longer opens:", err)
	}
}

// No core answers at such length, so somebody on the way did; it is not even decrypted.
func TestTooLongAnswersTakeNoMemory(t *testing.T) {
	_, opener, _ := exchange(t, &Request{specToken, &Status{}})
	answer := cat([]byte{Version, formSealed}, make([]byte, 1<<20))
	open := func() error {
		_, _, err := opener.Open(answer)
		return err
	}
	if got := allocated(t, open); got > 4096 {
		t.Errorf("%d bytes of memory", got)
	}
}

// An answer belongs to one sealing of one request: neither a repetition of the request nor another one takes it.
func TestAnswersOfAnotherRequest(t *testing.T) {
	request := &Request{specToken, &Status{}}
	_, first, toFirst := exchange(t, request)
	_, second, toSecond := exchange(t, request)
	nonce := [32]byte(named("nonce"))
	mustNotOpen(t, second, "first answer", 0, toFirst.Seal(nonce, &Deleted{}))
	mustNotOpen(t, first, "second answer", 0, toSecond.Seal(nonce, &Deleted{}))
	mixed := &Sealer{toFirst.secret, toSecond.enc}
	mustNotOpen(t, first, "mixed answer", 0, mixed.Seal(nonce, &Deleted{}))
	mustNotOpen(t, second, "mixed answer", 0, mixed.Seal(nonce, &Deleted{}))
}

func TestTwoAnswersToOneRequest(t *testing.T) {
	_, opener, sealer := exchange(t, &Request{specToken, &Status{}})
	a, b := sealer.Seal([32]byte(named("nonce a")), &Deleted{}), sealer.Seal([32]byte(named("nonce b")), &Deleted{})
	if bytes.Equal(a[2+answerNonce:], b[2+answerNonce:]) {
		t.Error("two answers are sealed under one key and nonce")
	}
	for _, answer := range [][]byte{a, b} {
		if _, sealed, err := opener.Open(answer); err != nil || !sealed {
			t.Error(err)
		}
	}
	mustNotOpen(t, opener, "nonce of the other", 0, cat(a[:2+answerNonce], b[2+answerNonce:]))
}

// What was not sealed is a hint, and can be a refusal only.
func TestPlainRefusals(t *testing.T) {
	_, opener, _ := exchange(t, &Request{specToken, &Status{}})
	want := &Error{CodeOverloaded, 1500, 0, 0}
	answer, sealed, err := opener.Open(PlainRefusal(want))
	if got, ok := err.(*Error); answer != nil || sealed || !ok || *got != *want {
		t.Errorf("got %v, %v, %v", answer, sealed, err)
	}
	for k := KindStatus; k <= lastKind; k++ {
		mustNotOpen(t, opener, "plain answer", int(k), AppendAnswer([]byte{Version, formPlain}, newAnswerBody(k)))
	}
}
