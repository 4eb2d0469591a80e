// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// wantClass also fails the test if the error holds a key.
func wantClass(t *testing.T, what string, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: %v; want %v", what, err, class)
	}
	for _, secret := range []string{testAccess, testSecret, testToken} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds a key: %v", what, err)
		}
	}
}

func listed(t *testing.T, s *Store, prefix string) (names []string, err error) {
	t.Helper()
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			return names, err
		}
		names = append(names, info.Name)
	}
	return names, nil
}

func TestClasses(t *testing.T) { synctest.Test(t, testClasses) } // the library sleeps after some

func testClasses(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		class  error
		text   string
	}{
		{403, "AccessDenied", blob.ErrDenied, ""},
		{403, "InvalidAccessKeyId", blob.ErrDenied, ""},
		{403, "SignatureDoesNotMatch", blob.ErrDenied, ""},
		{403, "Odd", blob.ErrDenied, ""},
		{401, "", blob.ErrDenied, ""},
		{400, "ExpiredToken", blob.ErrDenied, "get new keys"},
		{403, "RequestTimeTooSkewed", blob.ErrDenied, "set the clock"},
		{400, "AuthorizationHeaderMalformed", blob.ErrDenied, `region "eu-test-1"`},
		{301, "PermanentRedirect", blob.ErrDenied, "region"},
		{302, "", blob.ErrDenied, "region"},
		{404, "NoSuchBucket", blob.ErrUnreachable, "no bucket bucket"},
		{507, "XMinioStorageFull", blob.ErrFull, ""},
		{507, "", blob.ErrFull, ""},
		{403, "QuotaExceeded", blob.ErrFull, ""},
		{503, "QuotaExceeded", blob.ErrFull, ""},
		{409, "ObjectParentIsFile", blob.ErrName, ""},
		{400, "KeyTooLongError", blob.ErrName, ""},
		{400, "Odd", errRefused, ""},
		{501, "NotImplemented", errRefused, "If-None-Match"},
	} {
		s := openFake(t, func(req *http.Request) (*http.Response, error) {
			return failure(req, c.status, c.code, "x-amz-bucket-region", "eu-test-1"), nil
		})
		what := fmt.Sprint(c.status, " ", c.code)
		err := s.Put(t.Context(), "x", []byte("data"))
		wantClass(t, what, err, c.class)
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v does not say %q", what, err, c.text)
		}
		_, err = s.ReadAt(t.Context(), "x", make([]byte, 1), 0)
		wantClass(t, what, err, c.class)
		wantClass(t, what, s.Delete(t.Context(), "x"), c.class)
		_, err = listed(t, s, "")
		wantClass(t, what, err, c.class)
	}
}

// TestNotS3: a portal or a web server that says 404 to everything must not look like an empty bucket.
func TestNotS3(t *testing.T) {
	for _, status := range []int{200, 404} {
		s := openFake(t, func(req *http.Request) (*http.Response, error) {
			return answer(req, status, "<html>Welcome<p></html>", "Content-Type", "text/html"), nil
		})
		_, err := listed(t, s, "")
		wantClass(t, "List", err, errNotS3)
		_, err = s.ReadAt(t.Context(), "x", make([]byte, 1), 5)
		wantClass(t, "ReadAt", err, errNotS3)
		if status != 200 {
			wantClass(t, "Delete", s.Delete(t.Context(), "x"), blob.ErrUnreachable)
			wantClass(t, "Put", s.Put(t.Context(), "x", nil), blob.ErrUnreachable)
		}
	}
}

func TestPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range []fake{
			func(req *http.Request) (*http.Response, error) { return failure(req, 503, "SlowDown"), nil },
			func(req *http.Request) (*http.Response, error) { return failure(req, 500, "InternalError"), nil },
			func(req *http.Request) (*http.Response, error) { return answer(req, 502, "<html>"), nil },
			func(req *http.Request) (*http.Response, error) { return failure(req, 400, "RequestTimeout"), nil },
			func(req *http.Request) (*http.Response, error) { return failure(req, 400, "BadDigest"), nil },
			func(req *http.Request) (*http.Response, error) {
				return failure(req, 409, "ConditionalRequestConflict"), nil
			},
			func(req *http.Request) (*http.Response, error) {
				return failure(req, 429, "", "Retry-After", "20"), nil
			},
			func(req *http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
			func(req *http.Request) (*http.Response, error) {
				switch {
				case req.URL.Query().Has("list-type"):
					return cut(answer(req, 200, ""), pageOf("", "p/x")[:200]), nil
				case req.Header.Get("Range") == "bytes=0-3":
					return cut(answer(req, 206, "", "Content-Range", "bytes 0-3/4"), ""), nil
				}
				return nil, io.EOF
			},
		} {
			asked, bad := 0, 3
			s := openFake(t, func(req *http.Request) (*http.Response, error) {
				if asked++; asked <= bad {
					return fault(req)
				}
				switch {
				case req.Method == http.MethodDelete:
					return answer(req, 204, ""), nil
				case req.URL.Query().Has("list-type"):
					return answer(req, 200, pageOf("", "p/x")), nil
				case req.Method == http.MethodGet:
					return answer(req, 206, "data", "Content-Range", "bytes 0-3/4"), nil
				}
				return answer(req, 200, ""), nil
			})
			s.retry.FirstPatience = 10 * time.Minute
			p := make([]byte, 4)
			if n, err := s.ReadAt(t.Context(), "x", p, 0); n != 4 || err != nil || asked != bad+1 {
				t.Errorf("ReadAt = %d, %v after %d requests", n, err, asked)
			}
			asked = 0
			if names, err := listed(t, s, ""); len(names) != 1 || err != nil || asked != bad+1 {
				t.Errorf("List = %q, %v after %d requests", names, err, asked)
			}
			asked = 0
			if err := s.Delete(t.Context(), "x"); err != nil || asked < bad {
				t.Errorf("Delete: %v after %d requests", err, asked)
			}
		}
	})
}

// TestGivesUp: a server that never recovers, and one that asks to wait for an hour.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []string{"", "3600"} {
			s := openFake(t, func(req *http.Request) (*http.Response, error) {
				return failure(req, 503, "SlowDown", "Retry-After", after), nil
			})
			began := time.Now()
			err := s.Put(t.Context(), "x", nil)
			wantClass(t, "Put", err, blob.ErrUnreachable)
			if took := time.Since(began); took > 10*time.Minute {
				t.Errorf("gave up after %v", took)
			}
			_, err = listed(t, s, "")
			wantClass(t, "List", err, blob.ErrUnreachable)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err = s.ReadAt(ctx, "x", make([]byte, 1), 0)
			if after == "" {
				wantClass(t, "ReadAt", err, context.DeadlineExceeded)
			}
			cancel()
		}
	})
}

// TestLongError: what an error says is not read beyond its beginning.
func TestLongError(t *testing.T) {
	var read atomic.Int64
	s := openFake(t, func(req *http.Request) (*http.Response, error) {
		resp := failure(req, 403, "AccessDenied")
		resp.Body, resp.ContentLength = io.NopCloser(&endless{text: "<Error><Code>AccessDenied</Code><Message>", read: &read}), -1
		return resp, nil
	})
	wantClass(t, "Put", s.Put(t.Context(), "x", nil), blob.ErrDenied)
	if n := read.Load(); n > 4*maxErrorBytes {
		t.Errorf("%d bytes of an error were read", n)
	}
}

// endless is a text that never ends.
type endless struct {
	text string
	read *atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text)
	for i := range p[n:] {
		p[n+i] = '<'
	}
	e.text = ""
	e.read.Add(int64(len(p)))
	return len(p), nil
}

func TestHostileListings(t *testing.T) {
	var read atomic.Int64
	many := make([]string, 1000)
	for _, c := range []struct {
		what  string
		page  func(n int, req *http.Request) string // n counts requests from 0
		names int
	}{
		{"empty pages for ever", func(n int, _ *http.Request) string { return pageOf(fmt.Sprint("t", n)) }, 0},
		{"foreign names for ever", func(n int, _ *http.Request) string { return pageOf(fmt.Sprint("t", n), "p/UPPER", "elsewhere") }, 0},
		{"names for ever", func(n int, _ *http.Request) string {
			for i := range many {
				many[i] = fmt.Sprintf("p/%08d", n*1000+i)
			}
			return pageOf(fmt.Sprint("t", n), many...)
		}, 5000},
		{"one token for ever", func(n int, _ *http.Request) string { return pageOf("t", fmt.Sprintf("p/%08d", n)) }, 2},
		{"more, and no token", func(n int, _ *http.Request) string {
			return "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
		}, 0},
		{"a name twice", func(n int, _ *http.Request) string { return pageOf("", "p/a", "p/a") }, 1},
		{"a name again on the next page", func(n int, _ *http.Request) string { return pageOf(fmt.Sprint("t", n), "p/a", "p/b") }, 2},
		{"out of order", func(n int, _ *http.Request) string { return pageOf("", "p/b", "p/a") }, 1},
		{"a size below zero", func(n int, _ *http.Request) string {
			return strings.ReplaceAll(pageOf("", "p/a"), "<Size>7", "<Size>-7")
		}, 0},
		{"a page of nothing but beginnings", func(n int, _ *http.Request) string { return "" }, 0},
		{"a page that holds too much", func(n int, _ *http.Request) string {
			return "<ListBucketResult>" + strings.Repeat("<Contents/>", 200_000)
		}, 0},
	} {
		n := 0
		s := openFake(t, func(req *http.Request) (*http.Response, error) {
			text := c.page(n, req)
			n++
			resp := answer(req, 200, text)
			if text == "" {
				resp.Body = io.NopCloser(&endless{text: "<ListBucketResult>", read: &read})
			}
			return resp, nil
		})
		s.maxListed = 5000
		names, err := listed(t, s, "")
		wantClass(t, c.what, err, errNotS3)
		if len(names) != c.names || n > 5100 {
			t.Errorf("%s: %d names after %d requests", c.what, len(names), n)
		}
	}
	if read.Load() > 4*maxPageBytes {
		t.Errorf("%d bytes of a page were read", read.Load())
	}
}

func TestListPassesOver(t *testing.T) {
	s := openFake(t, func(req *http.Request) (*http.Response, error) {
		return answer(req, 200, pageOf("", "elsewhere", "p/", "p/%zz", "p/A", "p/a", "p/a b", "p/a/../b", "p//c", "p/d/e", "p/"+strings.Repeat("x", 300), "q")), nil
	})
	if names, err := listed(t, s, ""); err != nil || !slices.Equal(names, []string{"a", "d/e"}) {
		t.Errorf("List = %q, %v", names, err)
	}
	if names, err := listed(t, s, "d/"); err != nil || !slices.Equal(names, []string{"d/e"}) {
		t.Errorf("List of a prefix = %q, %v", names, err)
	}
}

// TestListGoesOn: a page that fails is asked for again from the last name, and nothing is listed twice.
func TestListGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		s := openFake(t, func(req *http.Request) (*http.Response, error) {
			q := req.URL.Query()
			asked = append(asked, q.Get("start-after")+"|"+q.Get("continuation-token"))
			switch len(asked) {
			case 1:
				return answer(req, 200, pageOf("t1", "p/a", "p/b")), nil
			case 2, 3:
				return failure(req, 503, "SlowDown"), nil
			case 4:
				return answer(req, 200, pageOf("t2", "p/c")), nil
			}
			return answer(req, 200, pageOf("", "p/d")), nil
		})
		names, err := listed(t, s, "")
		if err != nil || !slices.Equal(names, []string{"a", "b", "c", "d"}) {
			t.Errorf("List = %q, %v", names, err)
		}
		if want := []string{"|", "|t1", "p/b|", "p/b|", "p/b|t2"}; !slices.Equal(asked, want) {
			t.Errorf("asked for %q; want %q", asked, want)
		}
	})
}

func TestReadGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		s := openFake(t, func(req *http.Request) (*http.Response, error) {
			asked = append(asked, req.Header.Get("Range"))
			if len(asked) == 1 {
				return cut(answer(req, 206, "", "Content-Range", "bytes 2-9/10"), "234"), nil
			}
			return answer(req, 206, "56789", "Content-Range", "bytes 5-9/10"), nil
		})
		p := make([]byte, 8)
		if n, err := s.ReadAt(t.Context(), "x", p, 2); n != 8 || err != nil || string(p) != "23456789" {
			t.Errorf("ReadAt = %d, %v: %q", n, err, p)
		}
		if want := []string{"bytes=2-9", "bytes=5-9"}; !slices.Equal(asked, want) {
			t.Errorf("asked for %q; want %q", asked, want)
		}
	})
}

func TestHostileRanges(t *testing.T) {
	for _, c := range []struct {
		status int
		span   string
		body   string
	}{
		{200, "", "0123456789"},           // all of it, where a part was asked for
		{206, "", "2345"},                 // no range
		{206, "bytes 0-3/10", "0123"},     // another range
		{206, "bytes 2-3/10", "23"},       // less
		{206, "bytes 2-9/10", "23456789"}, // more
		{206, "bytes 2-5/*", "2345"},      // of unknown size
		{206, "bytes 2-5/4", "2345"},      // beyond the end
		{206, "bytes 5-2/10", ""},         // backwards
		{206, "bytes 2-99999999999999999999/99999999999999999999", ""},
	} {
		s := openFake(t, func(req *http.Request) (*http.Response, error) {
			return answer(req, c.status, c.body, "Content-Range", c.span), nil
		})
		if n, err := s.ReadAt(t.Context(), "x", make([]byte, 4), 2); n != 0 || !errors.Is(err, errNotS3) {
			t.Errorf("%d %q: ReadAt = %d, %v", c.status, c.span, n, err)
		}
	}
	s := openFake(t, func(req *http.Request) (*http.Response, error) { return answer(req, 200, "0123456789"), nil })
	p := make([]byte, 4)
	if n, err := s.ReadAt(t.Context(), "x", p, 0); n != 4 || err != nil || string(p) != "0123" {
		t.Errorf("all of it from its beginning: ReadAt = %d, %v: %q", n, err, p)
	}
}

// TestNoRedirect: neither the keys nor an object go to another host.
func TestNoRedirect(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer first.Close()
	s, err := Open(t.Context(), Config{Bucket: "bucket", Endpoint: strings.TrimPrefix(first.URL, "http://"), Insecure: true, AccessKey: "a", SecretKey: "s"})
	if err != nil {
		t.Fatal(err)
	}
	wantClass(t, "Put", s.Put(t.Context(), "x", []byte("data")), blob.ErrDenied)
	_, err = s.ReadAt(t.Context(), "x", make([]byte, 1), 0)
	wantClass(t, "ReadAt", err, blob.ErrDenied)
	if reached {
		t.Error("a request went to another host")
	}
}

// TestStall: a server that falls silent in the middle of an answer, once.
func TestStall(t *testing.T) {
	var asked atomic.Int64
	ended := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-3/4")
		w.Header().Set("Content-Length", "4")
		w.Header().Set("Last-Modified", "Fri, 27 Nov 2026 03:00:00 GMT")
		w.WriteHeader(http.StatusPartialContent)
		if asked.Add(1) == 1 {
			w.Write([]byte("da"))
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-ended:
			}
			return
		}
		w.Write([]byte("data"))
	}))
	defer silent.Close()
	defer close(ended)
	s, err := Open(t.Context(), Config{
		Bucket: "bucket", Endpoint: strings.TrimPrefix(silent.URL, "http://"), Insecure: true, AccessKey: "a", SecretKey: "s",
		HTTPClient: transport.New(transport.Options{StallTimeout: 50 * time.Millisecond}),
	})
	if err != nil {
		t.Fatal(err)
	}
	// The second answer is for another range than the rest that is asked for then.
	if n, err := s.ReadAt(t.Context(), "x", make([]byte, 4), 0); n != 2 || !errors.Is(err, errNotS3) || asked.Load() != 2 {
		t.Errorf("ReadAt = %d, %v after %d requests", n, err, asked.Load())
	}
}
