// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/blob"
)

// between stands between the driver and the real server.
type between struct {
	mu       sync.Mutex
	requests []string
	lose     func(*http.Request) bool // whether the answer is lost
}

func (b *between) RoundTrip(req *http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.requests = append(b.requests, req.Method)
	b.mu.Unlock()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil && b.lose != nil && b.lose(req) {
		resp.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return resp, err
}

// took returns the methods of the requests since the last call.
func (b *between) took() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.requests
	b.requests = nil
	return r
}

func createThrough(t *testing.T, b *between) *Store {
	t.Helper()
	c := realConfig()
	c.HTTPClient = &http.Client{Transport: b}
	return create(t, c)
}

// TestRequests: what each call costs.
func TestRequests(t *testing.T) {
	b := &between{}
	s := createThrough(t, b)
	want := func(what string, methods ...string) {
		t.Helper()
		if got := b.took(); !slices.Equal(got, methods) {
			t.Errorf("%s took %v; want %v", what, got, methods)
		}
	}
	want("Create with a new bucket", "PUT", "PUT", "PUT", "PUT", "GET", "DELETE")
	if _, err := Create(t.Context(), s.config); err != nil {
		t.Fatal(err)
	}
	want("Create", "PUT", "PUT", "GET", "DELETE")
	other, err := Open(t.Context(), s.config)
	if err != nil {
		t.Fatal(err)
	}
	want("Open")
	for i := range 3 {
		if err := s.Put(t.Context(), fmt.Sprint("x", i), []byte("data")); err != nil {
			t.Fatal(err)
		}
	}
	want("Put", "PUT", "PUT", "PUT")
	if _, err := s.ReadAt(t.Context(), "x0", make([]byte, 3), 0); err != nil {
		t.Fatal(err)
	}
	want("ReadAt", "GET")
	if err := s.Delete(t.Context(), "x0"); err != nil {
		t.Fatal(err)
	}
	want("Delete of what was put", "DELETE")
	if err := other.Delete(t.Context(), "x1"); err != nil {
		t.Fatal(err)
	}
	want("Delete", "GET", "DELETE")
	if err := other.Delete(t.Context(), "x1"); !errors.Is(err, blob.ErrNotFound) {
		t.Fatal(err)
	}
	want("Delete of nothing", "GET")
	if names, err := listed(t, other, ""); len(names) != 1 || err != nil {
		t.Fatal(names, err)
	}
	want("List", "GET")
	if err := other.Delete(t.Context(), "x2"); err != nil {
		t.Fatal(err)
	}
	want("Delete of what was listed", "DELETE")
}

// TestLostAnswer: the object is stored, and only the answer is lost. The repeated PUT must not call it somebody else's.
func TestLostAnswer(t *testing.T) {
	var once sync.Once
	b := &between{}
	s := createThrough(t, b)
	b.lose = func(req *http.Request) (lost bool) {
		once.Do(func() { lost = true })
		return lost
	}
	if err := s.Put(t.Context(), "x", []byte("data")); err != nil {
		t.Errorf("Put whose answer was lost: %v", err)
	}
	once = sync.Once{}
	if err := s.Put(t.Context(), "x", []byte("data")); !errors.Is(err, blob.ErrExists) {
		t.Errorf("Put of what is there, whose answer was lost: %v", err)
	}
	once = sync.Once{}
	if err := s.Delete(t.Context(), "x"); err != nil {
		t.Errorf("Delete whose answer was lost: %v", err)
	}
	if err := s.Delete(t.Context(), "x"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Delete of nothing: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	ignores := realConfig()
	var methods []string
	ignores.HTTPClient = &http.Client{Transport: fake(func(req *http.Request) (*http.Response, error) {
		methods = append(methods, req.Method)
		return answer(req, map[string]int{http.MethodPut: 200, http.MethodDelete: 204}[req.Method], ""), nil
	})}
	denied := realConfig()
	denied.SecretKey = "wrong"
	unknown := realConfig()
	unknown.AccessKey = "unknown"
	for _, c := range []struct {
		what   string
		config Config
		class  error
		text   string
	}{
		{"a server that ignores If-None-Match", ignores, errRefused, "ignores If-None-Match"},
		{"a wrong secret", denied, blob.ErrDenied, "SignatureDoesNotMatch"},
		{"an unknown key", unknown, blob.ErrDenied, ""},
	} {
		_, err := Create(t.Context(), c.config)
		if !errors.Is(err, c.class) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v; want %v, %q", c.what, err, c.class, c.text)
		}
	}
	if want := []string{"PUT", "PUT", "DELETE"}; !slices.Equal(methods, want) {
		t.Errorf("Create took %v; want %v", methods, want)
	}
}

func TestMissingBucket(t *testing.T) {
	s, err := Open(t.Context(), realConfig())
	if err != nil {
		t.Fatal(err)
	}
	wantClass(t, "Put", s.Put(t.Context(), "x", nil), blob.ErrUnreachable)
	_, err = s.ReadAt(t.Context(), "x", nil, 0)
	wantClass(t, "ReadAt", err, blob.ErrUnreachable)
	_, err = listed(t, s, "")
	wantClass(t, "List", err, blob.ErrUnreachable)
	wantClass(t, "Delete", s.Delete(t.Context(), "x"), blob.ErrUnreachable)
}

// TestNeighbours: what else is in the bucket is neither seen nor touched.
func TestNeighbours(t *testing.T) {
	c := realConfig()
	inside := create(t, c)
	c.Prefix = "some"
	around := create(t, c)
	for _, s := range []*Store{inside, around} {
		if err := s.Put(t.Context(), "x", []byte(s.prefix)); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := listed(t, inside, ""); !slices.Equal(names, []string{"x"}) || err != nil {
		t.Errorf("inside: %q, %v", names, err)
	}
	if names, err := listed(t, around, ""); !slices.Equal(names, []string{"where/x", "x"}) || err != nil {
		t.Errorf("around: %q, %v", names, err)
	}
}
