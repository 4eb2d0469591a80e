// SPDX-License-Identifier: Apache-2.0

package gdrive_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive"
	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
)

const kept = 256 << 10 // what Drive keeps of an upload that is cut

func noise(sizeBytes int) []byte {
	data := make([]byte, sizeBytes)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

// TestCutUpload: what has arrived is not sent again.
func TestCutUpload(t *testing.T) {
	t.Parallel()
	s := start(t)
	store := open(t, s)
	data := noise(6<<20 + 12345)
	s.Set(func(b *fakedrive.Behaviour) { b.CutUploads = []int64{2<<20 + 7, 3 << 20} })
	put(t, store, "packs/x", data)
	wantObject(t, store, "packs/x", data)
	if sent, most := s.UploadedBytes(), int64(len(data)+2*kept); sent > most {
		t.Errorf("%d bytes sent for %d, with two cuts; want %d at most", sent, len(data), most)
	}
	if calls := s.Calls(); calls["upload.start"] != 1 || calls["upload.put"] != 5 { // three parts and two questions
		t.Errorf("requests: %v", calls)
	}
}

// TestSessionGivenUp: Drive forgets a session in the middle, so the upload begins anew, in the same file.
func TestSessionGivenUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	store := open(t, s)
	var puts atomic.Int32
	s.Set(func(b *fakedrive.Behaviour) {
		b.CutUploads = []int64{1 << 20}
		b.Before = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && puts.Add(1) == 2 {
				s.ForgetSessions()
			}
			return false
		}
	})
	data := noise(3 << 20)
	put(t, store, "packs/x", data)
	wantObject(t, store, "packs/x", data)
	if n := len(s.Files()); n != 1 {
		t.Errorf("%d files", n)
	}
}

// TestTokenEndsDuringUpload ends the token when the session has begun, and again when it is cut.
func TestTokenEndsDuringUpload(t *testing.T) {
	t.Parallel()
	s := start(t)
	store := open(t, s)
	var puts atomic.Int32
	s.Set(func(b *fakedrive.Behaviour) {
		b.CutUploads = []int64{2 << 20}
		b.Before = func(_ http.ResponseWriter, r *http.Request) bool {
			if n := puts.Add(1); r.Method == http.MethodPut && n < 8 {
				s.ExpireAccess()
				puts.Store(8)
			}
			return false
		}
	})
	data := noise(5 << 20)
	put(t, store, "packs/x", data)
	wantObject(t, store, "packs/x", data)
	if calls := s.Calls(); calls["upload.start"] != 1 || calls["token"] != 2 {
		t.Errorf("requests: %v", calls)
	}
}

func TestRevoked(t *testing.T) {
	s := start(t)
	store := open(t, s)
	put(t, store, "a/x", []byte("x"))
	s.Revoke()
	_, err := store.ReadAt(t.Context(), "a/x", make([]byte, 1), 0)
	for what, err := range map[string]error{"Put": store.Put(t.Context(), "a/y", nil), "ReadAt": err, "Delete": store.Delete(t.Context(), "a/x")} {
		wantErr(t, what, err, blob.ErrDenied)
		if !strings.Contains(err.Error(), "coffer destination add gdrive:") {
			t.Errorf("%s does not say what to do: %v", what, err)
		}
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	s := start(t)
	store := open(t, s)
	small, large := noise(1000), noise(1<<20)
	put(t, store, "a/x", small)
	s.Set(func(b *fakedrive.Behaviour) { b.QuotaBytes = 1500 })
	for name, data := range map[string][]byte{"a/small": small, "a/large": large} {
		err := store.Put(t.Context(), name, data)
		wantErr(t, name, err, blob.ErrFull)
		if !strings.Contains(err.Error(), "GiB used") {
			t.Errorf("no figures: %v", err)
		}
	}
	wantObject(t, store, "a/x", small)
	s.Set(func(b *fakedrive.Behaviour) { b.QuotaBytes = 0 })
	put(t, store, "a/large", large)
	if names := list(t, store, ""); len(names) != 2 {
		t.Errorf("listed: %q", names)
	}
}

// TestLimits: a burst of refusals is waited out, in the shapes that Drive gives them.
func TestLimits(t *testing.T) {
	for _, reason := range []string{"userRateLimitExceeded", "rateLimitExceeded", "429"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			var mu sync.Mutex
			var waits []time.Duration
			c := config(s, "")
			c.Notify = func(_ error, wait time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, wait)
			}
			store, err := gdrive.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			s.Set(func(b *fakedrive.Behaviour) {
				if reason != "429" {
					b.Refuse, b.RefuseReason = 2, reason
					return
				}
				var once atomic.Bool
				b.Before = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodDelete || once.Swap(true) {
						return false
					}
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusTooManyRequests)
					return true
				}
			})
			put(t, store, "a/x", []byte("x"))
			if err := store.Delete(t.Context(), "a/x"); err != nil {
				t.Error(err)
			}
			if reason == "429" && (len(waits) != 1 || waits[0] < time.Second) || reason != "429" && len(waits) != 2 {
				t.Errorf("waits: %v", waits)
			}
		})
	}
}

// TestRefusals: each reason leads to the sentinel that says what helps, at the first answer.
func TestRefusals(t *testing.T) {
	s := start(t)
	store := open(t, s)
	for reason, want := range map[string]error{
		"dailyLimitExceeded":                blob.ErrUnreachable,
		"storageQuotaExceeded":              blob.ErrFull,
		"numChildrenInNonRootLimitExceeded": blob.ErrFull,
		"accessNotConfigured":               blob.ErrDenied,
		"insufficientPermissions":           blob.ErrDenied,
		"somethingNew":                      blob.ErrDenied,
	} {
		before := s.Calls()["files.generateIds"] + s.Calls()["files.list"]
		s.Set(func(b *fakedrive.Behaviour) { b.Refuse, b.RefuseReason = 1, reason })
		_, err := store.ReadAt(t.Context(), "a/none", make([]byte, 1), 0)
		wantErr(t, reason, err, want)
		if after := s.Calls()["files.generateIds"] + s.Calls()["files.list"]; after != before+1 {
			t.Errorf("%s: %d requests", reason, after-before)
		}
	}
}

// lossy loses the answer of the first request that it is asked to, after the server has done it.
type lossy struct {
	next http.RoundTripper
	lose func(*http.Request) bool
	lost atomic.Bool
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err == nil && l.lose(r) && !l.lost.Swap(true) {
		resp.Body.Close()
		return nil, errors.New("connection reset by test")
	}
	return resp, err
}

// TestLostAnswers: what the server did is found out, and not done twice.
func TestLostAnswers(t *testing.T) {
	for what, lose := range map[string]func(*http.Request) bool{
		"small upload": func(r *http.Request) bool { return r.URL.Query().Get("uploadType") == "multipart" },
		"session":      func(r *http.Request) bool { return r.Header.Get("X-Upload-Content-Length") != "" },
		"last part":    func(r *http.Request) bool { return r.Method == http.MethodPut },
		"delete":       func(r *http.Request) bool { return r.Method == http.MethodDelete },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			c := config(s, "")
			l := &lossy{next: http.DefaultTransport, lose: lose}
			c.HTTPClient = &http.Client{Transport: l}
			store, err := gdrive.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string][]byte{"a/small": noise(100), "a/large": noise(1 << 20)} {
				put(t, store, name, data)
				wantObject(t, store, name, data)
			}
			if n := len(s.Files()); n != 2 {
				t.Errorf("%d files of 2 objects", n)
			}
			if err := store.Delete(t.Context(), "a/small"); err != nil {
				t.Error(err)
			}
			if !l.lost.Load() {
				t.Error("no answer was lost")
			}
		})
	}
}

// cutting ends the body of each answer that brings bytes of an object, save the last, after half of them.
type cutting struct {
	next   http.RoundTripper
	mu     sync.Mutex
	ranges []string
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil || r.URL.Query().Get("alt") != "media" {
		return resp, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ranges = append(c.ranges, r.Header.Get("Range")); len(c.ranges) < 3 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(resp.Body, resp.ContentLength/2), iotest.ErrReader(errors.New("connection reset by test"))), resp.Body}
	}
	return resp, nil
}

// TestCutDownload: what has come is not fetched again.
func TestCutDownload(t *testing.T) {
	t.Parallel()
	s := start(t)
	data := noise(1000)
	put(t, open(t, s), "a/x", data)
	c := config(s, "")
	cut := &cutting{next: http.DefaultTransport}
	c.HTTPClient = &http.Client{Transport: cut}
	store, err := gdrive.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 800)
	if n, err := store.ReadAt(t.Context(), "a/x", got, 100); err != nil || !bytes.Equal(got, data[100:900]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if want := []string{"bytes=100-899", "bytes=500-899", "bytes=700-899"}; !slices.Equal(cut.ranges, want) {
		t.Errorf("asked for %q; want %q", cut.ranges, want)
	}
}
