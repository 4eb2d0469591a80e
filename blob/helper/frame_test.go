// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

type sample struct {
	frame frame
	bytes string
}

// requests and answers have every kind of frame, with its encoding, which another implementation must make as well.
var requests = []sample{
	{hello{1, 258}, "\x01coffer-helper\x00\x01\x00\x00\x00\x00\x00\x00\x01\x02"},
	{put{7, 258, "d/x"}, "\x02\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x01\x02\x00\x03d/x"},
	{chunk{7, []byte("data")}, "\x03\x00\x00\x00\x00\x00\x00\x00\x07data"},
	{read{7, 258, 259, "x"}, "\x04\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x01\x03\x00\x01x"},
	{list{7, "d/"}, "\x05\x00\x00\x00\x00\x00\x00\x00\x07\x00\x02d/"},
	{list{7, ""}, "\x05\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00"},
	{remove{7, "x"}, "\x06\x00\x00\x00\x00\x00\x00\x00\x07\x00\x01x"},
	{more{258}, "\x07\x00\x00\x00\x00\x00\x00\x01\x02"},
	{cancel{258}, "\x08\x00\x00\x00\x00\x00\x00\x01\x02"},
	{ping{}, "\x09"},
}

var answers = []sample{
	{welcome{1, "sftp:x"}, "\x81coffer-helper\x00\x01\x00\x06sftp:x"},
	{refuse{codeDenied, "no"}, "\x82coffer-helper\x06\x00\x02no"},
	{piece{7, []byte("data")}, "\x83\x00\x00\x00\x00\x00\x00\x00\x07data"},
	{page{7, []info{{"d/x", 258, 259}, {"y", 0, 0}}}, "\x84\x00\x00\x00\x00\x00\x00\x00\x07\x00\x02" +
		"\x00\x03d/x\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x01\x03" +
		"\x00\x01y\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
	{done{7, codeOK, ""}, "\x85\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00"},
	{done{7, codeOther, "né"}, "\x85\x00\x00\x00\x00\x00\x00\x00\x07\x09\x00\x03n\xc3\xa9"},
	{pong{}, "\x86"},
}

var directions = map[string]struct {
	samples []sample
	decode  func([]byte) (frame, error)
	bad     map[string]frame
}{
	"requests": {requests, decodeRequest, map[string]frame{
		"limit":       hello{1, 1 << 63},
		"object":      put{1, MaxObjectBytes + 1, "x"},
		"name":        put{1, 1, strings.Repeat("x", maxName+1)},
		"empty chunk": chunk{1, nil},
		"chunk":       chunk{1, make([]byte, maxChunk+1)},
		"offset":      read{1, 1 << 63, 1, "x"},
		"range":       read{1, 0, MaxObjectBytes + 1, "x"},
		"prefix":      list{1, strings.Repeat("x", maxName+1)},
		"delete name": remove{1, strings.Repeat("x", maxName+1)},
	}},
	"answers": {answers, decodeAnswer, map[string]frame{
		"no name":       welcome{1, ""},
		"escape":        welcome{1, "\x1b[2J"},
		"refusal by ok": refuse{codeOK, "no"},
		"refusal by io": refuse{codeEnd, "no"},
		"code":          done{1, lastCode + 1, ""},
		"long text":     done{1, codeOther, strings.Repeat("x", maxText+1)},
		"line":          done{1, codeOther, "a\nb"},
		"direction":     done{1, codeOther, "a\u202eb"},
		"not UTF-8":     done{1, codeOther, "a\xff"},
		"empty piece":   piece{1, nil},
		"piece":         piece{1, make([]byte, maxChunk+1)},
		"empty page":    page{1, nil},
		"long page":     page{1, slicesOf(info{"x", 1, 1}, maxPage+1)},
		"listed name":   page{1, []info{{"../x", 1, 1}}},
		"size":          page{1, []info{{"x", 1 << 63, 1}}},
		"time":          page{1, []info{{"x", 1, maxTimeMs + 1}}},
	}},
}

func slicesOf(i info, n int) (infos []info) {
	for range n {
		infos = append(infos, i)
	}
	return infos
}

func TestFramesHaveTheirBytes(t *testing.T) {
	for name, d := range directions {
		for _, s := range d.samples {
			if got := s.frame.append(nil); string(got) != s.bytes {
				t.Errorf("%T: % x, not % x", s.frame, got, s.bytes)
			}
			if got, err := d.decode([]byte(s.bytes)); err != nil || !reflect.DeepEqual(got, s.frame) {
				t.Errorf("%s: %T: read as %+v, %v", name, s.frame, got, err)
			}
			if !s.frame.valid() {
				t.Errorf("%+v is not valid", s.frame)
			}
		}
	}
}

func TestFramesOfTheOtherDirectionAreRefused(t *testing.T) {
	for name, d := range directions {
		for other, o := range directions {
			for _, s := range o.samples {
				if _, err := d.decode([]byte(s.bytes)); (err == nil) != (name == other) {
					t.Errorf("%T as one of %s: %v", s.frame, name, err)
				}
			}
		}
	}
}

// Every truncation and every appended byte is refused, except where the rest of a frame is an object's bytes.
func TestFramesEndWhereTheyEnd(t *testing.T) {
	for _, d := range directions {
		for _, s := range d.samples {
			open := s.bytes[0] == kindChunk || s.bytes[0] == kindPiece
			for n := range len(s.bytes) {
				if f, err := d.decode([]byte(s.bytes[:n])); err == nil && !(open && n > 9) {
					t.Errorf("%T cut to %d bytes: %+v", s.frame, n, f)
				}
			}
			if f, err := d.decode([]byte(s.bytes + "\x00")); err == nil && !open {
				t.Errorf("%T with a byte more: %+v", s.frame, f)
			}
		}
	}
}

func TestOutOfBoundsIsRefused(t *testing.T) {
	for direction, d := range directions {
		for name, f := range d.bad {
			if got, err := d.decode(f.append(nil)); !errors.Is(err, errMalformed) || f.valid() {
				t.Errorf("%s, %s: %+v, %v", direction, name, got, err)
			}
		}
	}
}

func TestLargestFrames(t *testing.T) {
	long := strings.Repeat("x", 128)
	name := strings.Join([]string{long, long, long, long}, "/")
	for _, f := range []frame{chunk{1, make([]byte, maxChunk)}, piece{1, make([]byte, maxChunk)}, page{1, slicesOf(info{name, 1, 1}, maxPage)}} {
		if !f.valid() {
			t.Errorf("%T is not valid", f)
		}
		body, err := readBody(bufio.NewReader(bytes.NewReader(encode(f))))
		if err != nil || !bytes.Equal(body, f.append(nil)) {
			t.Errorf("%T: %v", f, err)
		}
	}
	for input, want := range map[string]error{
		"":                 io.EOF,
		"\x00\x00":         io.ErrUnexpectedEOF,
		"\x00\x00\x00\x01": io.ErrUnexpectedEOF,
		"\x00\x04\x00\x0a": errMalformed, // the claim alone is refused: no byte of it is there to read
	} {
		if _, err := readBody(bufio.NewReader(strings.NewReader(input))); !errors.Is(err, want) {
			t.Errorf("%q: %v; want %v", input, err, want)
		}
	}
}

func FuzzRequests(f *testing.F) { fuzz(f, "requests") }

func FuzzAnswers(f *testing.F) { fuzz(f, "answers") }

func fuzz(f *testing.F, direction string) {
	d := directions[direction]
	for _, s := range d.samples {
		f.Add([]byte(s.bytes))
	}
	for _, bad := range d.bad {
		f.Add(bad.append(nil))
	}
	f.Add([]byte("\x84\x00\x00\x00\x00\x00\x00\x00\x07\xff\xff")) // a count that nothing holds
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := d.decode(b)
		if err != nil {
			return
		}
		if again := frame.append(nil); !bytes.Equal(again, b) || len(b) > maxFrame {
			t.Errorf("%+v was read from\n% x and is written as\n% x", frame, b, again)
		}
	})
}
