// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/internal/vectortest"
)

const vectorDir = "../../testvectors/archive"

// A vector is one input with what a reader must make of it. Each has at most one fault.
type vector struct {
	name    string
	Expect  string // a class below
	Comment string
	Kind    string // a reader below
	Archive string
	Key     string
	Masters []string // oldest first
	Type    string   // of an object
	Page    string   // number of a database's page
	Value   string   // what a success gives
	body    []byte
}

// classes are the ways in which reading may end.
var classes = map[string]error{
	"success": nil, "damaged": ErrDamaged, "wrong-key": ErrWrongKey, "version": ErrVersion, "not-a-key": ErrKeyDigits,
}

func (v *vector) format() []byte {
	var b bytes.Buffer
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	line("expect", v.Expect)
	line("comment", v.Comment)
	line("kind", v.Kind)
	line("archive", v.Archive)
	line("key", v.Key)
	for _, m := range v.Masters {
		line("master", m)
	}
	line("type", v.Type)
	line("page", v.Page)
	line("value", v.Value)
	b.WriteByte('\n')
	for rest := v.body; len(rest) > 0; {
		n, run := 0, 1
		for n < len(rest) && n < lineBytes {
			if run = runLength(rest[n:]); run >= lineBytes {
				break
			}
			n++
		}
		switch {
		case n > 0:
			fmt.Fprintf(&b, "%x\n", rest[:n])
			rest = rest[n:]
		default:
			fmt.Fprintf(&b, "%x*%d\n", rest[:1], run)
			rest = rest[run:]
		}
	}
	return b.Bytes()
}

// A line of the body has so many bytes; from so many on, equal bytes are one byte with a count.
const lineBytes = 48

func runLength(b []byte) int {
	n := 1
	for n < len(b) && b[n] == b[0] {
		n++
	}
	return n
}

func parseVector(t testing.TB, name string, text []byte) *vector {
	t.Helper()
	v := &vector{name: name}
	head, body, ok := strings.Cut(string(text), "\n\n")
	if !ok {
		t.Fatalf("%s: no blank line", name)
	}
	fields := map[string]*string{
		"expect": &v.Expect, "comment": &v.Comment, "kind": &v.Kind, "archive": &v.Archive, "key": &v.Key,
		"type": &v.Type, "page": &v.Page, "value": &v.Value,
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(head, "\n"), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		if key == "master" {
			v.Masters = append(v.Masters, value)
		} else if fields[key] == nil || *fields[key] != "" || value == "" {
			t.Fatalf("%s: line %q", name, line)
		} else {
			*fields[key] = value
		}
	}
	for line := range strings.Lines(body) {
		digits, count, repeated := strings.Cut(strings.TrimSuffix(line, "\n"), "*")
		n := 1
		if repeated {
			if n, _ = strconv.Atoi(count); n < 1 || n > 1<<20 {
				t.Fatalf("%s: line %q", name, line)
			}
		}
		v.body = append(v.body, bytes.Repeat(unhex(t, digits), n)...)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// loadVectors reads every file of the folder.
func loadVectors(t testing.TB) []*vector {
	t.Helper()
	files, err := os.ReadDir(vectorDir)
	if err != nil {
		t.Fatal(err)
	}
	var all []*vector
	for _, f := range files {
		text, err := fs.ReadFile(os.DirFS(vectorDir), f.Name())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parseVector(t, f.Name(), text))
	}
	if len(all) == 0 {
		t.Fatal("there are no vectors")
	}
	return all
}

func TestVectors(t *testing.T) {
	kinds := map[string]map[string]int{} // kind, class
	for _, v := range loadVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			want, known := classes[v.Expect]
			read := readers[v.Kind]
			if !known || read == nil {
				t.Fatalf("unknown class %q or kind %q", v.Expect, v.Kind)
			}
			value, err := read(t, v)
			if !errors.Is(err, want) {
				t.Fatalf("%s: got %v, want %s", v.Comment, err, v.Expect)
			}
			if err == nil && describe(value) != v.Value {
				t.Errorf("%s:\n got %s\nwant %s", v.Comment, describe(value), v.Value)
			}
		})
		if kinds[v.Kind] == nil {
			kinds[v.Kind] = map[string]int{}
		}
		kinds[v.Kind][v.Expect]++
	}
	hashes := map[string]bool{"content-id": true, "page-id": true, "cut": true} // of anything
	for kind := range readers {
		if kinds[kind]["success"] == 0 || !hashes[kind] && len(kinds[kind]) < 2 {
			t.Errorf("kind %s has no vector of success, or none of a fault", kind)
		}
	}
}

// The files are what the generator makes, all of it and nothing else. It follows the specification and not the code, so this
// is also where a change of the format shows.
func TestVectorsAreGenerated(t *testing.T) {
	made := vectortest.Set{}
	for _, v := range allVectors() {
		made.Add(t, v.name, v.format())
	}
	made.Check(t, vectorDir, "")
}
