// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
)

// samples has every type of frame, with its encoding, which another implementation
// must make as well.
var samples = []struct {
	frame Frame
	bytes string
}{
	{Create{[]byte("p"), []byte("h")}, "\x01\x00\x00\x00\x01p\x00\x00\x00\x01h"},
	{Load{[]byte("k"), []byte("v")}, "\x02\x00\x00\x00\x01k\x00\x00\x00\x01v"},
	{LoadEnd{[]byte("h")}, "\x03\x00\x00\x00\x01h"},
	{Request{7, []byte("e")}, "\x04\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01e"},
	{Durable{258}, "\x05\x00\x00\x00\x00\x00\x00\x01\x02"},
	{Stop{}, "\x06"},
	{Join{[]byte("t"), []byte("h")}, "\x07\x00\x00\x00\x01t\x00\x00\x00\x01h"},
	{Peer{258, []byte("d")}, "\x08\x01\x02\x00\x00\x00\x01d"},
	{Admin{1, 2, 3, 4, true}, "\x09\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x03\x00\x04\x01"},
	{Hello{1, []byte("d")}, "\x81\x00\x01\x00\x00\x00\x01d"},
	{Persist{
		Seq:     9,
		Puts:    []Record{{[]byte("k"), []byte{}}},
		Deletes: []Range{{[]byte("a"), []byte("b")}},
	}, "\x82\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00\x01k\x00\x00\x00\x00" +
		"\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x01b"},
	{Persist{Seq: 1}, "\x82\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
	{Answer{8, []byte{}}, "\x83\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00"},
	{Stats{Slot: 1, Incarnation: [8]byte{7: 2}, Accounts: 3, Epoch: 4, Serving: true, Partitions: []Partition{{
		Role: 4, Leader: 5, Term: 6, Applied: 7, Committed: 8, LogEntries: 9, Lag: 10, Voters: []uint16{11},
	}}, Sealer: Sealer{12, "e"}, Unerased: 13, ErasedWithin: 14, Others: []Unerased{{15, 16}}}, "\x84\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02" +
		"\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00\x01\x04\x00\x05" +
		"\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x08" +
		"\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x0b\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x0c\x00\x00\x00\x01e\x00\x00\x00\x00\x00\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x0e" +
		"\x00\x00\x00\x01\x00\x0f\x00\x00\x00\x00\x00\x00\x00\x10"},
	{Fatal{"no"}, "\x85\x00\x00\x00\x02no"},
	{Bye{}, "\x86"},
	{Send{258, []byte("d")}, "\x87\x01\x02\x00\x00\x00\x01d"},
	{Peers{[]Member{{1, []byte("h")}}}, "\x88\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01h"},
	{Leads{1, 2}, "\x89\x00\x01\x00\x02"},
	{Told{1, []byte("t"), "no"}, "\x8a\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01t\x00\x00\x00\x02no"},
}

func TestFramesHaveTheirBytes(t *testing.T) {
	for _, s := range samples {
		if got := appendFrame(nil, s.frame); string(got) != s.bytes {
			t.Errorf("%T: % x, not % x", s.frame, got, s.bytes)
		}
		got, err := decode([]byte(s.bytes))
		if err != nil || !reflect.DeepEqual(got, s.frame) {
			t.Errorf("%T: read as %+v, %v", s.frame, got, err)
		}
	}
}

// Every truncation and every appended byte is refused, whatever the type.
func TestFramesEndWhereTheyEnd(t *testing.T) {
	for _, s := range samples {
		for n := range len(s.bytes) {
			if f, err := decode([]byte(s.bytes[:n])); !errors.Is(err, ErrMalformed) {
				t.Errorf("%T cut to %d bytes: %+v, %v", s.frame, n, f, err)
			}
		}
		if f, err := decode([]byte(s.bytes + "\x00")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%T with a byte more: %+v, %v", s.frame, f, err)
		}
	}
}

var outOfBounds = map[string]Frame{
	"policy":         Create{make([]byte, MaxPolicy+1), nil},
	"host":           LoadEnd{make([]byte, MaxHost+1)},
	"ticket":         Join{make([]byte, MaxTicket+1), nil},
	"peer's bytes":   Peer{1, make([]byte, MaxPeer+1)},
	"bytes for one":  Send{1, make([]byte, MaxPeer+1)},
	"members":        Peers{make([]Member, MaxMembers+1)},
	"partitions":     Stats{Partitions: make([]Partition, MaxPartitions+1)},
	"unerased":       Stats{Others: make([]Unerased, MaxMembers+1)},
	"sealer's error": Stats{Sealer: Sealer{Error: string(make([]byte, MaxText+1))}},
	"refusal":        Told{1, nil, string(make([]byte, MaxText+1))},
	"envelope":       Request{1, make([]byte, MaxEnvelope+1)},
	"answer":         Answer{1, make([]byte, MaxEnvelope+1)},
	"descriptor":     Hello{1, make([]byte, MaxDescriptor+1)},
	"text":           Fatal{string(make([]byte, MaxText+1))},
	"empty key":      Load{nil, []byte("v")},
	"long key":       Load{make([]byte, MaxKey+1), nil},
	"empty put key":  Persist{Puts: []Record{{nil, []byte("v")}}},
	"empty range":    Persist{Deletes: []Range{{[]byte("a"), []byte("a")}}},
	"inverted range": Persist{Deletes: []Range{{[]byte("b"), []byte("a")}}},
	"open range":     Persist{Deletes: []Range{{[]byte("a"), nil}}},
}

func TestOutOfBoundsIsRefusedBothWays(t *testing.T) {
	for name, f := range outOfBounds {
		if _, err := decode(appendFrame(nil, f)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: read: %v", name, err)
		}
		var sent bytes.Buffer
		conn := NewConn(closing{&sent})
		err := conn.Write(f)
		if flushErr := conn.Flush(); !errors.Is(err, ErrMalformed) || flushErr != nil || sent.Len() > 0 {
			t.Errorf("%s: written: %v, %v, %d bytes sent", name, err, flushErr, sent.Len())
		}
	}
}

func TestALargeFrameIsRefusedBothWays(t *testing.T) {
	const overhead = 1 + 8 + 4 + 4 + 4 + 4 + 1 // a Persist with one Put, key "k"
	largest := Persist{Puts: []Record{{[]byte("k"), make([]byte, MaxFrame-overhead)}}}
	var sent bytes.Buffer
	conn := NewConn(closing{&sent})
	if err := errors.Join(conn.Write(largest), conn.Flush()); err != nil {
		t.Fatal(err)
	}
	if got, err := NewConn(closing{&sent}).Read(); err != nil || !reflect.DeepEqual(got, largest) {
		t.Errorf("the largest frame does not arrive: %v", err)
	}
	larger := Persist{Puts: []Record{{[]byte("k"), make([]byte, MaxFrame-overhead+1)}}}
	if err := conn.Write(larger); !errors.Is(err, ErrTooLarge) {
		t.Errorf("written: %v", err)
	}
	// The claim alone is refused: no byte of the body is there to read.
	claim := bytes.NewBufferString("\x00\x80\x00\x01")
	if _, err := NewConn(closing{claim}).Read(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("read: %v", err)
	}
}

func TestReadNamesHowTheStreamEnded(t *testing.T) {
	for input, want := range map[string]error{
		"":                     io.EOF,
		"\x00\x00":             io.ErrUnexpectedEOF,
		"\x00\x00\x00\x01":     io.ErrUnexpectedEOF,
		"\x00\x00\x00\x00":     ErrMalformed, // the empty frame has no type
		"\x00\x00\x00\x01\x7f": ErrMalformed, // a type that nobody knows
	} {
		if f, err := NewConn(closing{bytes.NewBufferString(input)}).Read(); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v; want %v", input, f, err, want)
		}
	}
}

// closing is a buffer as one end of a stream.
type closing struct{ *bytes.Buffer }

func (closing) Close() error { return nil }

func FuzzDecode(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.bytes))
	}
	for _, frame := range outOfBounds {
		f.Add(appendFrame(nil, frame))
	}
	f.Add([]byte("\x82\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff")) // a count that nothing holds
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := decode(b)
		if err != nil {
			return
		}
		if again := appendFrame(nil, frame); !bytes.Equal(again, b) {
			t.Errorf("%+v was read from\n% x and is written as\n% x", frame, b, again)
		}
		if p, ok := frame.(Persist); ok && p.Size()+1 != len(b) {
			t.Errorf("Size of %d payload bytes is %d", len(b)-1, p.Size())
		}
	})
}
