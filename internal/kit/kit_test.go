// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"
)

const digits = "0123 4567 89ab cdef 0011 2233 4455 6677 8899 aabb ccdd eeff fedc ba98 7654 3210"

var sample = Kit{
	Digits:  digits,
	Archive: "000102030405060708090a0b0c0d0e0f",
	Places:  []Place{{Destination: `/media/<b>"disk"</b>`}},
	Source:  "/chats",
	Made:    time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
	Restore: `coffer restore --from '/media/<b>"disk"</b>' --to FOLDER`,
}

func write(t *testing.T) string { return writeKit(t, sample) }

func writeKit(t *testing.T, k Kit) string {
	t.Helper()
	var sb strings.Builder
	if err := Write(&sb, k); err != nil {
		t.Fatal(err)
	}
	return sb.String()
}

func TestPageHoldsEverything(t *testing.T) {
	html := write(t)
	for _, want := range []string{
		"0123 4567 89ab cdef\n0011 2233 4455 6677\n8899 aabb ccdd eeff\nfedc ba98 7654 3210",
		sample.Archive,
		"/media/&lt;b&gt;&#34;disk&#34;&lt;/b&gt;",
		"3 February 2026",
		"coffer restore --from &#39;/media/",
		`name="referrer" content="no-referrer"`,
		"default-src 'none'",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if strings.Contains(html, "<b>") {
		t.Error("a destination's name became markup")
	}
}

func TestPageOfACloud(t *testing.T) {
	cloud := sample
	cloud.Places = []Place{
		{"gdrive:", "coffer destination add gdrive: --client-id 'x<b>'", "x<b>"},
		{"s3://chats<b>", "coffer destination add s3://chats", ""},
	}
	html := writeKit(t, cloud)
	for _, want := range []string{"s3://chats&lt;b&gt;", "log in to it", "coffer destination add s3://chats", "OAuth client", "coffer destination add gdrive: --client-id &#39;x&lt;b&gt;&#39;"} {
		if !strings.Contains(html, want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if strings.Contains(html, "<b>") {
		t.Error("a text became markup")
	}
	if folder := write(t); strings.Contains(folder, "OAuth") || strings.Contains(folder, "log in") {
		t.Error("a folder has a login")
	}
}

// What a browser could fetch or run, it would tell somebody.
func TestPageIsSelfContained(t *testing.T) {
	html := write(t)
	if found := regexp.MustCompile(`(?i)<(script|link|img|iframe|object|embed|form|a)\b|\b(src|href)\s*=|url\(|@import|https?:`).FindString(html); found != "" {
		t.Errorf("page has %q", found)
	}
}

// The drawing is read back module by module and compared with the library's own.
func TestCodeIsTheKey(t *testing.T) {
	drawing, err := svg(digits)
	if err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(strings.NewReader(string(drawing))); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
	want, err := qr.Encode("0123456789ABCDEF00112233445566778899AABBCCDDEEFFFEDCBA9876543210", qr.M)
	if err != nil {
		t.Fatal(err)
	}
	black := parse(t, string(drawing))
	for y := range want.Size {
		for x := range want.Size {
			if black[[2]int{x + quiet, y + quiet}] != want.Black(x, y) {
				t.Fatalf("module %d, %d is wrong", x, y)
			}
		}
	}
}

func parse(t *testing.T, svg string) map[[2]int]bool {
	t.Helper()
	black := make(map[[2]int]bool)
	runs := regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`).FindAllStringSubmatch(svg, -1)
	if len(runs) == 0 {
		t.Fatal("no module is black")
	}
	for _, run := range runs {
		x, y, n := number(t, run[1]), number(t, run[2]), number(t, run[3])
		for i := range n {
			black[[2]int{x + i, y}] = true
		}
	}
	return black
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
