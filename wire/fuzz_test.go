// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/hex"
	"testing"
)

// Every decoder is fuzzed: it returns, and what it accepts encodes to the same bytes. The seeds are the vectors.

// seeds gives the vectors of a kind, some of which succeed and some of which do not.
func seeds(t testing.TB, kind string) []*vector {
	t.Helper()
	var good, bad []*vector
	for _, v := range loadVectors(t) {
		switch {
		case v.fields["kind"] != kind:
		case v.fields["expect"] == "success":
			good = append(good, v)
		default:
			bad = append(bad, v)
		}
	}
	if len(good) == 0 || len(bad) == 0 {
		t.Fatalf("the vectors of kind %s are no corpus: %d succeed, %d fail", kind, len(good), len(bad))
	}
	return append(good, bad...)
}

func fuzzDecoder(f *testing.F, kind string) {
	for _, v := range seeds(f, kind) {
		f.Add(v.body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if value, class := readers[kind](t, &vector{body: body}); class == "success" {
			describe(value)
		}
	})
}

func FuzzParseRequest(f *testing.F)    { fuzzDecoder(f, "request") }
func FuzzParseAnswer(f *testing.F)     { fuzzDecoder(f, "answer") }
func FuzzParsePolicy(f *testing.F)     { fuzzDecoder(f, "policy") }
func FuzzParseDescriptor(f *testing.F) { fuzzDecoder(f, "descriptor") }

// No fuzzer forges a seal. So the sealed readers get two inputs: whole envelopes, and what is inside the seal, which is sealed
// here under the right key.

func FuzzEnvelope(f *testing.F) {
	for _, v := range seeds(f, "sealed-request") {
		f.Add(v.body, []byte{})
	}
	for _, v := range seeds(f, "request") {
		f.Add([]byte{}, specPad(v.body, requestClass))
	}
	key := must1(NewFleetKey(FleetID(specFleet), [32]byte(specSeed)))
	f.Fuzz(func(t *testing.T, envelope, inside []byte) {
		for i, body := range [][]byte{envelope, specEnvelope(sealedContext, sealedHead, inside)} {
			request, partition, sealer, err := key.Open(body)
			if err != nil {
				classOf(t, err)
				continue
			}
			routed, err := EnvelopePartition(body)
			if err != nil || routed != partition || sealer == nil || len(body) > MaxEnvelope {
				t.Errorf("opened for partition %d, routed to %d: %v", partition, routed, err)
			}
			if i == 1 {
				same(t, specPad(request.Append(nil), requestClass), inside)
			}
		}
	})
}

func FuzzAnswerOpen(f *testing.F) {
	for _, v := range seeds(f, "sealed-answer") {
		f.Add(v.body, []byte{})
	}
	for _, v := range seeds(f, "answer") {
		f.Add([]byte{}, specPad(v.body, answerClass))
	}
	fields := map[string]string{"secret": hex.EncodeToString(sealedContext.answerSecret()), "enc": hex.EncodeToString(sealedContext.enc)}
	f.Fuzz(func(t *testing.T, envelope, inside []byte) {
		readers["sealed-answer"](t, &vector{fields: fields, body: envelope})
		opener := &Opener{[32]byte(sealedContext.answerSecret()), [encSize]byte(sealedContext.enc)}
		answer, sealed, err := opener.Open(specAnswer(sealedContext, named("nonce"), inside, 1, 0))
		if sealed {
			if err != nil {
				answer = err.(*Error)
			}
			same(t, specPad(AppendAnswer(nil, answer), answerClass), inside)
		} else if classOf(t, err) != "malformed" {
			t.Error("a sealed answer became one that is not")
		}
	})
}

func TestSeeds(t *testing.T) {
	for _, kind := range append(decoders, "sealed-request", "sealed-answer") {
		seeds(t, kind)
	}
}
