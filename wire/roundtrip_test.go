// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// rapid prints the seed of a failure; -rapid.seed takes it back.

// fill draws bytes for each array.
func fill(t *rapid.T, arrays ...[]byte) {
	for _, a := range arrays {
		copy(a, rapid.SliceOfN(rapid.Byte(), len(a), len(a)).Draw(t, "bytes"))
	}
}

func drawBytes(t *rapid.T, most int) []byte {
	return append([]byte(nil), rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, "vector")...)
}

func number[N ~uint8 | ~uint16 | ~uint32 | ~uint64](t *rapid.T) N {
	return N(rapid.Uint64().Draw(t, "number"))
}

func between[N ~uint8 | ~uint16 | ~uint64](t *rapid.T, least, most uint64) N {
	return N(rapid.Uint64Range(least, most).Draw(t, "number"))
}

func drawKSF(t *rapid.T) KSF { return KSF{number[uint32](t), number[uint32](t), number[uint8](t)} }

func drawFreshness(t *rapid.T) []Freshness {
	list := make([]Freshness, rapid.IntRange(0, MaxFreshness).Draw(t, "archives"))
	for i := range list {
		fill(t, list[i].Archive[:], list[i].Digest[:])
		list[i].Generation = number[uint64](t)
	}
	return list
}

func drawSecret(t *rapid.T) *ManageSecret {
	if !rapid.Bool().Draw(t, "secret") {
		return nil
	}
	m := new(ManageSecret)
	fill(t, m[:])
	return m
}

func drawRequest(t *rapid.T, k Kind) *Request {
	r := &Request{Token: string(drawBytes(t, MaxTokenSize)), Body: newRequestBody(k)}
	switch b := r.Body.(type) {
	case *RegisterStart:
		fill(t, b.Blinded[:])
	case *RegisterFinish:
		b.Ticket, b.KSF = drawBytes(t, MaxTicketSize), drawKSF(t)
		fill(t, b.Record[:], b.SealedKey[:], b.Manage[:])
	case *RegisterConfirm:
		fill(t, b.Registration[:], b.Manage[:])
		b.Replaces = drawSecret(t)
	case *RecoverStart:
		fill(t, b.Registration[:], b.KE1[:])
		b.Serial = number[Serial](t)
	case *RecoverFinish:
		fill(t, b.Registration[:], b.KE3[:])
		b.Serial = number[Serial](t)
	case *Delete:
		fill(t, b.Registration[:])
		b.Proof = drawSecret(t)
	case *PutFreshness:
		fill(t, b.Registration[:], b.Manage[:], b.Freshness.Archive[:], b.Freshness.Digest[:])
		b.Freshness.Generation = number[uint64](t)
	}
	return r
}

func drawAnswer(t *rapid.T, k Kind) Body {
	answer := newAnswerBody(k)
	switch b := answer.(type) {
	case *Error:
		*b = Error{between[Code](t, 1, uint64(codeEnd)-1), number[uint64](t), number[uint8](t), number[Serial](t)}
	case *StatusAnswer:
		*b = StatusAnswer{number[UnixMs](t), number[Serial](t), number[UnixMs](t), make([]RegistrationStatus, between[uint8](t, 0, MaxRegistrations))}
		for i := range b.Registrations {
			b.Registrations[i] = RegistrationStatus{
				RegistrationID{}, between[State](t, 1, 5), number[uint8](t), number[uint8](t),
				number[UnixMs](t), number[UnixMs](t), number[UnixMs](t), drawFreshness(t),
			}
			fill(t, b.Registrations[i].ID[:])
		}
	case *RegisterStarted:
		fill(t, b.Registration[:], b.Response[:])
		b.Ticket = drawBytes(t, MaxTicketSize)
	case *RegisterFinished:
		b.ConfirmWithinMs = number[uint64](t)
	case *RegisterConfirmed:
		*b = RegisterConfirmed{number[uint8](t), number[uint64](t)}
	case *RecoverStarted:
		fill(t, b.KE2[:])
		b.KSF, b.GuessesLeft, b.LockedForMs, b.Repeated = drawKSF(t), number[uint8](t), number[uint64](t), rapid.Bool().Draw(t, "repeated")
	case *RecoverFinished:
		fill(t, b.Key[:])
		b.GuessesLeft, b.Freshness = number[uint8](t), drawFreshness(t)
	case *Deleted:
		b.RetainedMs = number[uint64](t)
	}
	return answer
}

const lastKind = KindPutFreshness

func TestRequestsRoundTrip(t *testing.T) {
	for k := KindStatus; k <= lastKind; k++ {
		rapid.Check(t, func(t *rapid.T) {
			want := drawRequest(t, k)
			encoded := want.Append(nil)
			got, err := ParseRequest(encoded)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s became %s, %v", describe(want), describe(got), err)
			}
			if string(got.Append([]byte("before"))) != "before"+string(encoded) {
				t.Fatal("it encodes to other bytes")
			}
		})
	}
}

func TestAnswersRoundTrip(t *testing.T) {
	for k := kindError; k <= lastKind; k++ {
		rapid.Check(t, func(t *rapid.T) {
			want := drawAnswer(t, k)
			encoded := AppendAnswer(nil, want)
			got, err := ParseAnswer(encoded)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s became %s, %v", describe(want), describe(got), err)
			}
			if string(AppendAnswer([]byte("before"), got)) != "before"+string(encoded) {
				t.Fatal("it encodes to other bytes")
			}
		})
	}
}

// A kind names one request and one answer; no other number names any.
func TestKinds(t *testing.T) {
	for n := range 256 {
		k := Kind(n)
		request, answer := newRequestBody(k), newAnswerBody(k)
		if (request != nil) != (k >= KindStatus && k <= lastKind) || (answer != nil) != (k <= lastKind) {
			t.Fatalf("kind %d: request %T, answer %T", k, request, answer)
		}
		if request != nil && request.Kind() != k || answer != nil && answer.Kind() != k {
			t.Errorf("kind %d makes a %T and a %T", k, request, answer)
		}
	}
}
