// SPDX-License-Identifier: Apache-2.0

package gdrive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
)

// fixed gives one token for ever.
type fixed string

func (f fixed) Token(context.Context) (string, error)         { return string(f), nil }
func (f fixed) Renew(context.Context, string) (string, error) { return string(f), nil }

// hostile opens a Drive that a test plays.
func hostile(t *testing.T, answer http.HandlerFunc) *gdrive.Store {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	store, err := gdrive.Open(t.Context(), gdrive.Config{Endpoint: s.URL + "/drive/v3/", Tokens: fixed("the token")})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func isList(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Path == "/drive/v3/files"
}

// files is a page of n files from number first on.
func files(first, n int, next string) string {
	page := map[string]any{"nextPageToken": next}
	var all []any
	for i := range n {
		all = append(all, map[string]any{
			"id": fmt.Sprintf("id%d", first+i), "name": fmt.Sprintf("a/x%d", first+i), "size": "1", "createdTime": "2026-01-01T00:00:00.000Z",
		})
	}
	page["files"] = all
	data, err := json.Marshal(page)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// TestEndlessLists: a listing ends with an error, whatever the server does to make it longer.
func TestEndlessLists(t *testing.T) {
	for what, page := range map[string]func(n int) string{
		"one page again and again":       func(int) string { return files(0, 10, "same") },
		"two pages in turn":              func(n int) string { return files(0, 1, fmt.Sprint(n%2)) },
		"empty pages, each with another": func(n int) string { return files(0, 0, fmt.Sprint(n)) },
		"new files for ever":             func(n int) string { return files(n, 1, fmt.Sprint(n)) },
		"a page that is too long":        func(int) string { return files(0, 1001, "") },
		"a page without an end":          func(int) string { return `{"files":[` + strings.Repeat(" ", 9<<20) },
		"a negative size":                func(int) string { return strings.ReplaceAll(files(0, 1, ""), `"1"`, `"-1"`) },
		"an id that is a path":           func(int) string { return strings.ReplaceAll(files(0, 1, ""), "id0", "../about") },
		"a time that is none":            func(int) string { return strings.ReplaceAll(files(0, 1, ""), "2026", "x") },
		"something else":                 func(int) string { return "<html>" },
		"a string for a list":            func(int) string { return `{"files":"x"}` },
	} {
		t.Run(what, func(t *testing.T) {
			var n atomic.Int64
			store := hostile(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, page(int(n.Add(1)))) })
			var last error
			for _, err := range store.List(t.Context(), "a/") {
				last = err
			}
			if last == nil || n.Load() > 2100 {
				t.Errorf("%d pages, then %v", n.Load(), last)
			}
		})
	}
}

// TestElsewhere: neither a redirect nor the address of an upload session makes us send anything to another host.
func TestElsewhere(t *testing.T) {
	var reached atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer other.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		store := hostile(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		if _, err := store.ReadAt(t.Context(), "a/x", make([]byte, 1), 0); err == nil {
			t.Errorf("%d: no error", status)
		}
		if err := store.Put(t.Context(), "a/x", nil); err == nil {
			t.Errorf("%d: no error", status)
		}
	}
	store := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isList(r):
			io.WriteString(w, files(0, 0, ""))
		case strings.HasSuffix(r.URL.Path, "generateIds"):
			io.WriteString(w, `{"ids":["new"]}`)
		default:
			w.Header().Set("Location", other.URL+"/upload")
		}
	})
	if err := store.Put(t.Context(), "a/x", noise(1<<20)); err == nil {
		t.Error("an upload to another host: no error")
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("%d requests reached another host", n)
	}
}

// TestAlwaysUnauthorized: a token is renewed once, and then the user must act.
func TestAlwaysUnauthorized(t *testing.T) {
	var requests atomic.Int64
	store := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("Authorization") != "Bearer the token" {
			t.Errorf("the token comes as %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":{"code":401,"message":"Invalid Credentials","errors":[{"reason":"authError"}]}}`)
	})
	err := store.Delete(t.Context(), "a/x")
	wantErr(t, "Delete", err, blob.ErrDenied)
	if requests.Load() != 2 || !strings.Contains(err.Error(), oauth.SignInAgain("gdrive:")) {
		t.Errorf("%d requests, %v", requests.Load(), err)
	}
}

// TestLyingReads: what a server says of a range is not believed when it does not fit what was asked, and never more is taken.
func TestLyingReads(t *testing.T) {
	for what, answer := range map[string]func(w http.ResponseWriter){
		"another range": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 0-9/100")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "0123456789")
		},
		"no range": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "0123456789")
		},
		"a range behind its end": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 5-14/10")
			w.WriteHeader(http.StatusPartialContent)
		},
		"a range that overflows": func(w http.ResponseWriter) {
			w.Header().Set("Content-Range", "bytes 5-99999999999999999999/999999999999999999999")
			w.WriteHeader(http.StatusPartialContent)
		},
		"the whole file": func(w http.ResponseWriter) { w.Write(make([]byte, 1000)) },
	} {
		t.Run(what, func(t *testing.T) {
			store := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				if isList(r) {
					io.WriteString(w, strings.ReplaceAll(files(0, 1, ""), "a/x0", "a/x"))
					return
				}
				answer(w)
			})
			if n, err := store.ReadAt(t.Context(), "a/x", make([]byte, 10), 5); err == nil || err == io.EOF {
				t.Errorf("ReadAt = %d, %v; want an error", n, err)
			}
		})
	}
}

// TestStoredOtherwise: a server that stores something else than was sent is found out, for small and large objects.
func TestStoredOtherwise(t *testing.T) {
	made := func(size int, sum string) string {
		return fmt.Sprintf(`{"id":"new","name":"a/x","size":"%d","createdTime":"2026-01-01T00:00:00Z","sha256Checksum":%q}`, size, sum)
	}
	for what, answer := range map[string]string{
		"other size":        made(3, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
		"other bytes":       made(4, strings.Repeat("00", 32)),
		"no checksum":       made(4, ""),
		"a short checksum":  made(4, "9f"),
		"not a checksum":    made(4, "test"),
		"no size at all":    `{"id":"new","name":"a/x","createdTime":"2026-01-01T00:00:00Z"}`,
		"another file's id": `{"id":"other"}`,
		"nothing":           `{}`,
	} {
		var deleted atomic.Int64
		store := hostile(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "generateIds"):
				io.WriteString(w, `{"ids":["new"]}`)
			case r.Method == http.MethodDelete:
				deleted.Add(1)
			default:
				io.WriteString(w, answer)
			}
		})
		if err := store.Put(t.Context(), "a/x", []byte("test")); err == nil || deleted.Load() != 1 {
			t.Errorf("%s: %v, and %d deletes", what, err, deleted.Load())
		}
	}
}

// TestLyingSessions: a server cannot make an upload last for ever, or go backwards without end.
func TestLyingSessions(t *testing.T) {
	for what, held := range map[string]func(n int) string{
		"a byte at a time": func(n int) string { return fmt.Sprintf("bytes=0-%d", n) },
		"more than all":    func(int) string { return "bytes=0-99999999" },
		"another unit":     func(int) string { return "lines=0-1" },
		"a hole":           func(int) string { return "bytes=5-9" },
	} {
		t.Run(what, func(t *testing.T) {
			var puts atomic.Int64
			store := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case isList(r):
					io.WriteString(w, files(0, 0, ""))
				case strings.HasSuffix(r.URL.Path, "generateIds"):
					io.WriteString(w, `{"ids":["new"]}`)
				case r.Method == http.MethodPost:
					w.Header().Set("Location", "http://"+r.Host+"/session")
				default:
					io.Copy(io.Discard, r.Body)
					w.Header().Set("Range", held(int(puts.Add(1))))
					w.WriteHeader(http.StatusPermanentRedirect)
				}
			})
			if err := store.Put(t.Context(), "a/x", noise(1<<20)); err == nil || puts.Load() > 50 {
				t.Errorf("%d requests, then %v", puts.Load(), err)
			}
		})
	}
}
