// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	r := make(results)
	for _, v := range []float64{9, 4, 5} { // the median does not depend on the order
		r.add("day2.wall", nameCoffer, v/10)
	}
	r.add("day2.wall", nameTar, 6.6)
	r.add("day2.wall", nameTar, 6.8)
	r.add("day2.bytes", nameCoffer, 10e6)
	r.add("day2.bytes", nameRestic, 100e6)
	r.add("same.objects", nameCoffer, 1)

	var out bytes.Buffer
	if err := r.write(&out, table(0, 0)); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(out.String(), "|---|---|---|---|---|---|---|---|---|---|\n")
	want := `
| – new objects | 1 | – | – | – | – | ≤ 0 | **no** | – | – |
| second day | 0.50 s (0.40 s to 0.90 s) | 6.70 s (6.60 s to 6.80 s) | – | 0.075 | – | ≤ 0.12 × tar \| zstd \| age | yes | 3.90 s | 2.40 s |
| – added | 10.0 MB | – | 100.0 MB | – | 0.10 | ≤ 0.12 × restic | yes | – | – |
`
	if got := "\n" + body; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestJobCost(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	j := job{args: [][]string{
		{"head", "-c", "50000000", "/dev/zero"}, // some work for the last one
		{"wc", "-c"},
	}, out: out}
	took, err := j.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(out); string(got) != "50000000\n" {
		t.Errorf("the pipeline wrote %q", got)
	}
	if took.wall <= 0 || took.cpu <= 0 || took.rssBytes <= 0 {
		t.Errorf("no cost: %+v", took)
	}
}

func TestJobTellsWhatFailed(t *testing.T) {
	_, err := job{args: [][]string{{"sh", "-c", "echo no such disk >&2; exit 3"}, {"cat"}}}.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such disk") {
		t.Errorf("got %v", err)
	}
}
