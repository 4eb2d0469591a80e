// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"github.com/coffer-backup/coffer/blob"
)

func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 0-9/10", "bytes 5-9/100", "bytes */10", "bytes 9-5/10", "bytes 0-18446744073709551615/1", ""} {
		f.Add(text, int64(5), 10)
	}
	f.Fuzz(func(t *testing.T, text string, off int64, length int) {
		if off < 0 || length < 1 {
			return
		}
		resp := &http.Response{StatusCode: http.StatusPartialContent, Header: http.Header{"Content-Range": {text}}}
		want, _, err := expect(resp, off, length)
		if err == nil && (want < 0 || want > length) {
			t.Errorf("%q from %d on: %d of %d bytes", text, off, want, length)
		}
		first, next, size, err := parseContentRange(text)
		if err != nil {
			return
		}
		if a, b, c, err := parseContentRange(fmt.Sprintf("bytes %d-%d/%d", first, next-1, size)); err != nil || a != first || b != next || c != size {
			t.Errorf("%q is read as %d-%d/%d, and that as %d-%d/%d", text, first, next, size, a, b, c)
		}
	})
}

func FuzzHeld(f *testing.F) {
	for _, text := range []string{"", "bytes=0-0", "bytes=0-262143", "0-42", "bytes=0--1", "bytes=0-99999999999999999999", "bytes=1-2"} {
		f.Add(text, 1<<20)
	}
	f.Fuzz(func(t *testing.T, text string, size int) {
		if n, err := parseHeld(text, max(size, 0)); err == nil && (n < 0 || n > max(size, 0)) {
			t.Errorf("%q: %d of %d bytes", text, n, size)
		}
	})
}

// FuzzAnswer reads whatever a server may send for a page, a file and an error.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"nextPageToken":"x","files":[{"id":"a_b-C","name":"a/x","size":"10","createdTime":"2026-01-01T00:00:00.000Z"}]}`)
	f.Add(403, `{"error":{"code":403,"message":"no","errors":[{"domain":"usageLimits","reason":"userRateLimitExceeded","message":"no"}]}}`)
	f.Add(429, `{"error":"x"}`)
	f.Add(500, `<html>`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
		if err := googleapi.CheckResponse(resp); err != nil {
			if err := classify(t.Context(), err); err == nil || len(err.Error()) > 4<<10 {
				t.Errorf("status %d: %v", status, err)
			}
			return
		}
		var page drive.FileList
		if json.Unmarshal([]byte(body), &page) != nil {
			return
		}
		for _, file := range page.Files {
			if file == nil {
				continue
			}
			e, err := parseEntry(file)
			if err == nil && (!validID(e.id) || e.sizeBytes < 0 || e.created.IsZero()) {
				t.Errorf("taken: %+v", e)
			}
			if _, err := check(file, e.id, "a/x", []byte("x")); err == nil && e.sizeBytes != 1 {
				t.Errorf("taken as stored: %+v", e)
			}
		}
	})
}

// TestProperties: a folder's files are found by the property that asks for them, and each fits Drive's 124 bytes.
func TestProperties(t *testing.T) {
	long := strings.Repeat("x", blob.MaxNameElementBytes)
	for name, n := range map[string]int{"a": 0, "a/b": 1, long + "/" + long + "/" + long + "/" + long: 3} {
		all := properties(name)
		if len(all) != n {
			t.Errorf("%.10s: %d properties", name, len(all))
		}
		for key, value := range all {
			if len(key)+len(value) > 124 {
				t.Errorf("%s=%s is too long", key, value)
			}
		}
		for i, c := range []byte(name) {
			if key, value := property(name[:i]); c == '/' && all[key] != value {
				t.Errorf("%.10s is not found below its folder", name)
			}
		}
	}
}

func TestKnownIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("as many as are remembered")
	}
	var k known
	for i := range maxKnown + 10 {
		e := entry{id: fmt.Sprint(i), name: fmt.Sprint(i)}
		k.put(e)
		if i%2 == 0 {
			k.lose(e)
		}
	}
	if len(k.byName) > maxKnown || len(k.gone) > maxKnown {
		t.Errorf("%d and %d are remembered", len(k.byName), len(k.gone))
	}
}

func TestFolderPaths(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 1, "/a/": 1, "Backups/Chats 2026": 2, "Ünïcode": 1} {
		if path, err := parseFolder(text); err != nil || len(path) != want {
			t.Errorf("%q: %q, %v", text, path, err)
		}
	}
	for _, text := range []string{"/", "a//b", "a\nb", strings.Repeat("a/", 9), strings.Repeat("a", 129)} {
		if path, err := parseFolder(text); err == nil {
			t.Errorf("%q: %q", text, path)
		}
	}
}
