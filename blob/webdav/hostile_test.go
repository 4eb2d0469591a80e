// SPDX-License-Identifier: Apache-2.0

package webdav_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/webdav"
)

const secret = "a-secret-password"

// hostile returns a store whose server is the handler. It gives up at once.
func hostile(t *testing.T, h http.HandlerFunc) *webdav.Store {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s, err := webdav.Impatient(webdav.Config{URL: server.URL + "/dav", User: "someone", Password: secret})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const head = `<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">` + self

const self = `<D:response><D:href>/dav/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop>` +
	`<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`

const tail = `</D:multistatus>`

// file is the response element of an object, size a text.
func file(href, size string) string {
	return fmt.Sprintf(`<D:response><D:href>%s</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>%s</D:getcontentlength>`+
		`</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`, href, size)
}

func folder(href string) string {
	return fmt.Sprintf(`<D:response><D:href>%s</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>`+
		`</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`, href)
}

// forever repeats a text until the client goes away.
func forever(w io.Writer, text string) {
	text = strings.Repeat(text, 1+4096/len(text))
	for {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

func listed(t *testing.T, s *webdav.Store, prefix string) (infos []blob.Info, err error) {
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			return infos, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// TestHostileLists: none of these is an empty or a shorter list, and none takes memory.
func TestHostileLists(t *testing.T) {
	defer webdav.Lower(1000, 50, 8<<20)()
	answer := func(text string) func(io.Writer) {
		return func(w io.Writer) { io.WriteString(w, text) }
	}
	begin := func(text, repeated string) func(io.Writer) {
		return func(w io.Writer) { io.WriteString(w, text); forever(w, repeated) }
	}
	nested := strings.Repeat("<D:prop>", 1000)
	for name, write := range map[string]func(io.Writer){
		"endless":               begin(head, file("/dav/x", "1")),
		"endless foreign names": begin(head, file("/dav/X", "1")),
		"endless folders":       begin(head, folder("/dav/f/")),
		"endless text":          begin(head, "text"),
		"endless text in href":  begin(head+"<D:response><D:href>/dav/", "x"),
		"endless attribute":     begin(head+`<D:response a="`, "x"),
		"endless attributes":    begin(head+`<D:response `, `a="x" `),
		"endless comment":       begin(head+"<!--", "x"),
		"endless comments":      begin(head, "<!---->"),
		"endless properties":    begin(head+"<D:response>", "<D:propstat></D:propstat>"),
		"endless tag":           begin(head+"<", "x"),
		"endless declaration":   begin("<?xml ", "x"),
		"endless instruction":   begin(head+"<?x ", "x"),
		"text in pieces":        begin(head, "text<!---->"),
		"nested":                answer(head + nested),
		"document type":         answer(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>` + head + tail),
		"entity":                answer(head + file("/dav/&b;", "1") + tail),
		"cut":                   answer(head + file("/dav/x", "1")),
		"cut in a tag":          answer(head + "<D:resp"),
		"nothing":               answer(""),
		"no XML":                answer("sorry"),
		"a web page":            answer("<html><body>Welcome</body></html>"),
		"wrongly closed":        answer(head + "</D:other>"),
		"negative size":         answer(head + file("/dav/x", "-1") + tail),
		"huge size":             answer(head + file("/dav/x", "9223372036854775808") + tail),
		"size of words":         answer(head + file("/dav/x", "many") + tail),
		"no size":               answer(head + file("/dav/x", "") + tail),
		"outside":               answer(head + file("/other/x", "1") + tail),
		"outside by dots":       answer(head + file("/dav/../other", "1") + tail),
		"above":                 answer(head + file("/", "1") + tail),
		"beside":                answer(head + file("/dav2", "1") + tail),
		"no address":            answer(head + file("::", "1") + tail),
		"no name":               answer(head + "<D:response></D:response>" + tail),
		"two names":             answer(head + "<D:response><D:href>/dav/x</D:href><D:href>/dav/y</D:href></D:response>" + tail),
		"a part forbidden":      answer(head + "<D:response><D:href>/dav/x</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>" + tail),
		"status of words":       answer(head + "<D:response><D:href>/dav/x</D:href><D:status>fine</D:status></D:response>" + tail),
	} {
		t.Run(name, func(t *testing.T) {
			s := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusMultiStatus)
				write(w)
			})
			var infos []blob.Info
			var err error
			took := allocated(func() { infos, err = listed(t, s, "") })
			if err == nil || len(infos) > 0 {
				t.Errorf("%d objects, %v", len(infos), err)
			}
			if took > 128<<20 { // of the server too
				t.Errorf("it took %d bytes", took)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestFolderWithoutEnd has folders in folders, and more of them than anybody would look into, without one object.
func TestFolderWithoutEnd(t *testing.T) {
	defer webdav.Lower(1000, 50, 8<<20)()
	asked := 0
	s := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.WriteHeader(http.StatusMultiStatus)
		io.WriteString(w, head)
		for i := range 20 {
			io.WriteString(w, folder(fmt.Sprintf("%sf%d/", r.URL.Path, i)))
		}
		io.WriteString(w, tail)
	})
	if infos, err := listed(t, s, ""); err == nil || len(infos) > 0 || asked > 51 {
		t.Errorf("%d objects, %v, after %d requests", len(infos), err, asked)
	}
}

// TestStrangeLists are of honest servers and say the same thing: an object x of 5 bytes.
func TestStrangeLists(t *testing.T) {
	for name, text := range map[string]string{
		"whole addresses":  head + file("http://internal:8080/dav/x", "5") + tail,
		"escaped":          head + file("/d%61v/%78", "5") + tail,
		"twice":            head + file("/dav/x", "5") + file("/dav/x", "5") + tail,
		"other names":      head + file("/dav/X", "1") + file("/dav/.x", "1") + file("/dav/a%2Fb", "1") + file("/dav/x", "5") + file("/dav/x%00", "1") + tail,
		"deeper ones too":  head + file("/dav/d/y", "1") + file("/dav/x", "5") + tail,
		"one just removed": head + "<D:response><D:href>/dav/y</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>" + file("/dav/x", "5") + tail,
		"another prefix":   strings.NewReplacer("<D:", "<lp1:", "</D:", "</lp1:", "xmlns:D", "xmlns:lp1").Replace(head + file("/dav/x", "5") + tail),
		"what we did not ask for": head + "<D:response><D:href>/dav/x</D:href><D:propstat><D:prop><x:getcontentlength xmlns:x='X'>7</x:getcontentlength></D:prop>" +
			"<D:status>HTTP/1.1 404 Not Found</D:status></D:propstat><D:propstat><D:prop><D:getcontentlength>5</D:getcontentlength><D:getlastmodified>never</D:getlastmodified></D:prop>" +
			"<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>" + tail,
	} {
		t.Run(name, func(t *testing.T) {
			s := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusMultiStatus)
				io.WriteString(w, text)
			})
			if infos, err := listed(t, s, ""); err != nil || len(infos) != 1 || infos[0].Name != "x" || infos[0].SizeBytes != 5 {
				t.Errorf("%+v, %v", infos, err)
			}
		})
	}
}

// TestHostileReads: a wrong range is an error, never wrong bytes, and nothing is read without end.
func TestHostileReads(t *testing.T) {
	object := []byte(strings.Repeat("0123456789", 10))
	partial := func(span string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", span)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body)
		}
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		n      int // of the 10 bytes from 20 on; -1: an error that is not io.EOF
	}{
		{"the range", partial("bytes 20-29/100", object[20:30]), 10},
		{"the range of an unknown whole", partial("bytes 20-29/*", object[20:30]), 10},
		{"the object ends", partial("bytes 20-24/25", object[20:25]), 5},
		{"less", partial("bytes 20-24/100", object[20:25]), -1},
		{"less of an unknown whole", partial("bytes 20-24/*", object[20:25]), -1},
		{"more", partial("bytes 20-39/100", object[20:40]), -1},
		{"more than it says", partial("bytes 20-29/100", object[20:]), 10},
		{"less than it says", partial("bytes 20-29/100", object[20:25]), -1},
		{"another", partial("bytes 0-9/100", object[:10]), -1},
		{"backwards", partial("bytes 29-20/100", object[20:30]), -1},
		{"beyond its end", partial("bytes 20-29/10", object[20:30]), -1},
		{"negative", partial("bytes -20--11/100", object[20:30]), -1},
		{"huge", partial("bytes 20-9223372036854775807/9223372036854775808", object[20:30]), -1},
		{"not said", partial("", object[20:30]), -1},
		{"other units", partial("items 20-29/100", object[20:30]), -1},
		{"several", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "multipart/byteranges; boundary=x")
			w.WriteHeader(http.StatusPartialContent)
		}, -1},
		{"the whole", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "100"); w.Write(object) }, 10},
		{"the whole, which is shorter", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "25")
			w.Write(object[:25])
		}, 5},
		{"the whole, which ends before", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Write(object[:5])
		}, 0},
		{"a whole without end", func(w http.ResponseWriter, _ *http.Request) { forever(w, "0123456789") }, -1},
		{"a cut whole", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write(object[:25])
		}, -1},
		{"another encoding", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			partial("bytes 20-29/100", object[20:30])(w, nil)
		}, -1},
		{"nothing there", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) }, 0},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, -1},
		{"informed for ever", func(w http.ResponseWriter, _ *http.Request) {
			for range 10_000 {
				w.WriteHeader(http.StatusEarlyHints)
			}
		}, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := hostile(t, test.answer)
			p := make([]byte, 10)
			n, err := s.ReadAt(t.Context(), "x", p, 20)
			switch {
			case test.n < 0:
				if err == nil || err == io.EOF || n != 0 {
					t.Errorf("%d bytes, %v", n, err)
				}
			case n != test.n || (err == io.EOF) != (n < 10) || err != nil && err != io.EOF || !bytes.Equal(p[:n], object[20:20+n]):
				t.Errorf("%d bytes %q, %v", n, p[:n], err)
			}
		})
	}
	t.Run("far into a whole", func(t *testing.T) {
		s := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000000000")
			forever(w, "0")
		})
		if n, err := s.ReadAt(t.Context(), "x", make([]byte, 10), 1<<30); n != 0 || err == nil || err == io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// TestRefusals: what the server says becomes a class of error, and its text, which may be endless, none of it.
func TestRefusals(t *testing.T) {
	for status, want := range map[int]error{
		401: blob.ErrDenied, 403: blob.ErrDenied, 404: blob.ErrNotFound, 410: blob.ErrNotFound, 413: blob.ErrFull, 507: blob.ErrFull,
		408: blob.ErrUnreachable, 423: blob.ErrUnreachable, 429: blob.ErrUnreachable, 500: blob.ErrUnreachable, 502: blob.ErrUnreachable,
		503: blob.ErrUnreachable, 301: blob.ErrUnreachable, 307: blob.ErrUnreachable, 400: nil, 418: nil, 501: nil,
	} {
		s := hostile(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://user:elsewhere@127.0.0.1:1/"+r.Header.Get("Authorization"))
			w.Header().Set("Retry-After", "100000")
			w.WriteHeader(status)
			forever(w, secret)
		})
		_, readErr := s.ReadAt(t.Context(), "x", make([]byte, 1), 0)
		_, listErr := listed(t, s, "")
		if status == 404 || status == 410 { // the folder itself is gone
			if !errors.Is(listErr, blob.ErrUnreachable) {
				t.Errorf("%d: list: %v", status, listErr)
			}
			listErr = readErr
		}
		for op, err := range map[string]error{"read": readErr, "list": listErr, "delete": s.Delete(t.Context(), "x"), "put": s.Put(t.Context(), "x", nil)} {
			want := want
			if want == blob.ErrNotFound && op == "put" {
				want = blob.ErrUnreachable
			}
			if err == nil || err == io.EOF || want != nil && !errors.Is(err, want) {
				t.Errorf("%d: %s: %v; want %v", status, op, err, want)
			} else if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, "elsewhere") || len(text) > 500 {
				t.Errorf("%d: %s says %q", status, op, text)
			}
		}
	}
}

// TestRedirect: nobody else is asked, and nobody else learns the password.
func TestRedirect(t *testing.T) {
	asked := make(chan string, 100)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Header.Get("Authorization")
	}))
	defer other.Close()
	s := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/dav/x", http.StatusTemporaryRedirect)
	})
	s.Put(t.Context(), "x", nil)
	s.ReadAt(t.Context(), "x", make([]byte, 1), 0)
	s.Delete(t.Context(), "x")
	_, err := listed(t, s, "")
	if len(asked) > 0 {
		t.Errorf("asked elsewhere: %s", <-asked)
	}
	if err == nil || !strings.Contains(err.Error(), other.URL) {
		t.Errorf("the error does not name the other address: %v", err)
	}
}

// TestBurst has a server that is busy for two requests, asks to wait, and then works.
func TestBurst(t *testing.T) {
	busy := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busy--; busy >= 0 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader([]int{http.StatusServiceUnavailable, http.StatusTooManyRequests}[busy])
			return
		}
		w.WriteHeader(http.StatusMultiStatus)
		io.WriteString(w, head+tail)
	}))
	defer server.Close()
	if _, err := webdav.Open(t.Context(), webdav.Config{URL: server.URL + "/dav"}); err != nil || busy != -1 {
		t.Errorf("%v, after %d", err, busy)
	}
}

// TestSlowDrip: a server that answers a byte now and then, which only the client's own end ends.
func TestSlowDrip(t *testing.T) {
	s := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusMultiStatus)
		for r.Context().Err() == nil {
			io.WriteString(w, " ")
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Millisecond):
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, err := range s.List(ctx, "") {
		if !errors.Is(err, ctx.Err()) {
			t.Errorf("list: %v", err)
		}
	}
}
