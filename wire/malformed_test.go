// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"runtime"
	"testing"
)

// decoders are the kinds of vectors that are plain encodings.
var decoders = []string{"request", "answer", "policy", "descriptor"}

func eachMessage(t *testing.T, test func(t *testing.T, kind string, body []byte)) {
	for _, kind := range decoders {
		for _, v := range seeds(t, kind) {
			if v.fields["expect"] == "success" {
				t.Run(v.name, func(t *testing.T) { test(t, kind, v.body) })
			}
		}
	}
}

// No message is the beginning of another.
func TestTruncatedAndExtended(t *testing.T) {
	eachMessage(t, func(t *testing.T, kind string, body []byte) {
		for n := range body {
			if _, class := readers[kind](t, &vector{body: body[:n]}); class != "malformed" {
				t.Fatalf("of %d bytes the first %d: %s", len(body), n, class)
			}
		}
		for _, more := range [][]byte{{0}, {1}, {0x80}, make([]byte, 4096), body} {
			if _, class := readers[kind](t, &vector{body: cat(body, more)}); class != "malformed" {
				t.Fatalf("%d bytes more: %s", len(more), class)
			}
		}
	})
}

// What decodes with an altered byte encodes to just that; the reader checks it.
func TestAlteredIsMalformedOrCanonical(t *testing.T) {
	eachMessage(t, func(t *testing.T, kind string, body []byte) {
		step := max(1, len(body)/500) // most of a long message is one field
		for at := 0; at < len(body); at += step {
			for _, change := range []byte{0x01, 0x80, 0xff} {
				readers[kind](t, &vector{body: with(body, at, body[at]^change)})
			}
		}
	})
}

// A length that promises more than is allowed takes no memory, however much there is.
func TestLengthsAreBoundedBeforeMemoryIsTaken(t *testing.T) {
	const most = 4096 // bytes; the messages as such, and what was good before the length
	p, tail := newSpecPolicy(), make([]byte, 1<<16)
	head := p.encode()[:36]
	huge := cat([]byte{0xff, 0xff}, tail)
	for name, hostile := range map[string]struct {
		kind string
		body []byte
	}{
		"token":             {"request", cat([]byte{1}, huge)},
		"ticket":            {"request", specRequest(3, huge)},
		"ticket of answer":  {"answer", cat([]byte{2}, id, make([]byte, 64), huge)},
		"registrations":     {"answer", specStatusAnswer(255, tail)},
		"archives":          {"answer", cat([]byte{6}, make([]byte, 64), []byte{10, 255}, tail)},
		"archives, status":  {"answer", specStatusAnswer(1, id, []byte{2, 10, 9}, make([]byte, 24), []byte{255}, tail)},
		"issuer":            {"policy", cat(head, huge)},
		"core audience":     {"policy", cat(head, vec("i"), huge)},
		"gateway audience":  {"policy", cat(head, vec("i"), vec("c"), huge)},
		"token keys":        {"policy", cat(head, vec("i"), vec("c"), vec("g"), []byte{255}, tail)},
		"token key's id":    {"policy", cat(head, vec("i"), vec("c"), vec("g"), []byte{1}, huge)},
		"token key's bytes": {"policy", cat(head, vec("i"), vec("c"), vec("g"), []byte{1}, vec("k"), []byte{1}, huge)},
		"tier":              {"descriptor", cat([]byte{1}, specFleet, be64(2), huge)[:MaxDescriptor]},
		"descriptor":        {"descriptor", make([]byte, MaxDescriptor+1)},
	} {
		t.Run(name, func(t *testing.T) {
			parse := map[string]func([]byte) error{
				"request": errorOf(ParseRequest), "answer": errorOf(ParseAnswer), "policy": errorOf(ParsePolicy), "descriptor": errorOf(ParseDescriptor),
			}[hostile.kind]
			if got := allocated(t, func() error { return parse(hostile.body) }); got > most {
				t.Errorf("%d bytes of memory", got)
			}
		})
	}
}

func errorOf[V any](parse func([]byte) (V, error)) func([]byte) error {
	return func(b []byte) error {
		_, err := parse(b)
		return err
	}
}

// allocated returns how much memory a refusal takes.
func allocated(t *testing.T, refused func() error) uint64 {
	t.Helper()
	const runs = 200 // others allocate meanwhile: the runtime, the testing package
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if err := refused(); err != ErrMalformed {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// Every padding but the one is refused.
func TestPadding(t *testing.T) {
	const class = 16
	for n := range 3 * class {
		plain := long(fmt.Sprint("plain", n), n)
		padded := pad(append([]byte(nil), plain...), class)
		same(t, padded, specPad(plain, class))
		got, err := unpad(padded, class)
		if err != nil || string(got) != string(plain) {
			t.Fatalf("%d bytes became %x, %v", n, got, err)
		}
		for _, wrong := range [][]byte{padded[:n], padded[:len(padded)-1], cat(padded, []byte{0}), cat(padded, make([]byte, class)), with(padded, n, 0), with(padded, n, 1)} {
			if got, err := unpad(wrong, class); err == nil && string(specPad(got, class)) != string(wrong) {
				t.Errorf("%x was taken for the padding of %x", wrong, got)
			}
		}
	}
}
