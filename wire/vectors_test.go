// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/coffer-backup/coffer/internal/vectortest"
)

const vectorDir = "../testvectors/wire"

// A vector is one input with what a reader must make of it. Each has at most one fault.
type vector struct {
	name   string
	fields map[string]string // by the names below
	body   []byte
}

// fieldNames is the order of the lines.
var fieldNames = []string{
	"expect", "comment", "kind", "fleet", "account", "seed", "secret", "enc", "issuer", "partitions", "registration", "domain", "context", "value",
}

func (v *vector) format() []byte {
	var b bytes.Buffer
	for _, name := range fieldNames {
		if value := v.fields[name]; value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	b.WriteByte('\n')
	for rest := v.body; len(rest) > 0; {
		n := 0
		for n < min(len(rest), lineBytes) && runLength(rest[n:]) < lineBytes {
			n++
		}
		if n > 0 {
			fmt.Fprintf(&b, "%x\n", rest[:n])
		} else {
			n = runLength(rest)
			fmt.Fprintf(&b, "%x*%d\n", rest[:1], n)
		}
		rest = rest[n:]
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

func parseVector(t testing.TB, name, text string) *vector {
	t.Helper()
	v := &vector{name: name, fields: map[string]string{}}
	head, body, ok := strings.Cut(text, "\n\n")
	if !ok {
		t.Fatalf("%s: no empty line", name)
	}
	for line := range strings.SplitSeq(head, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		if v.fields[key] != "" || value == "" {
			t.Fatalf("%s: line %q", name, line)
		}
		v.fields[key] = value
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
func loadVectors(t testing.TB) (all []*vector) {
	t.Helper()
	files, err := os.ReadDir(vectorDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(vectorDir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parseVector(t, f.Name(), string(text)))
	}
	if len(all) == 0 {
		t.Fatal("there are no vectors")
	}
	return all
}

func TestVectors(t *testing.T) {
	seen := map[string]map[string]int{} // kind, class
	for _, v := range loadVectors(t) {
		kind, want := v.fields["kind"], v.fields["expect"]
		t.Run(v.name, func(t *testing.T) {
			if readers[kind] == nil {
				t.Fatalf("unknown kind %q", kind)
			}
			value, class := readers[kind](t, v)
			if class != want {
				t.Fatalf("%s: got %s, want %s", v.fields["comment"], class, want)
			}
			if class == "success" && describe(value) != v.fields["value"] {
				t.Errorf("%s:\n got %s\nwant %s", v.fields["comment"], describe(value), v.fields["value"])
			}
		})
		if seen[kind] == nil {
			seen[kind] = map[string]int{}
		}
		seen[kind][want]++
	}
	for kind := range readers {
		if seen[kind]["success"] == 0 || !derivations[kind] && len(seen[kind]) < 2 {
			t.Errorf("kind %s has no vector of success, or none of a fault", kind)
		}
	}
}

// The files are what the generator makes, all of it and nothing else. It follows the specification and not the code, so this
// is also where a change of the protocol shows.
func TestVectorsAreGenerated(t *testing.T) {
	made := vectortest.Set{}
	for _, v := range allVectors() {
		made.Add(t, v.name, v.format())
	}
	made.Check(t, vectorDir, "")
}
