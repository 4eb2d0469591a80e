// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/coffer-backup/coffer/internal/token"
)

// still makes a gateway's time stand still; the returned function moves it.
func (e *edge) still() (advance func(time.Duration)) {
	now := time.Unix(1_800_000_000, 0)
	e.now = func() time.Time { return now }
	return func(d time.Duration) { now = now.Add(d) }
}

func TestAccountLimit(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{PerAccountPerMinute: 3} })
	advance := e.still()
	c := client(t, false)
	for range 3 {
		if _, err := e.call(t, c, "alice", []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what is refused is not counted
		if _, err := e.call(t, c, "alice", []byte{1}); connect.CodeOf(err) != connect.CodeResourceExhausted || retryAfter(err) != "20" {
			t.Errorf("the fourth: %v, after %q", err, retryAfter(err))
		}
	}
	if status, _, h := e.post(t, procedureCall, `"AQ=="`, "Authorization", "Bearer alice"); status != http.StatusTooManyRequests || h.Get("Retry-After") != "20" {
		t.Errorf("by JSON: %d, after %q", status, h.Get("Retry-After"))
	}
	if _, err := e.call(t, c, "bob", []byte{1}); err != nil {
		t.Errorf("another account: %v", err)
	}
	if n := e.vault.calls(); n != 4 {
		t.Errorf("%d requests reached the vault", n)
	}
	advance(20 * time.Second)
	if _, err := e.call(t, c, "alice", []byte{1}); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestAddressLimit(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{PerAddressPerMinute: 4} })
	advance := e.still()
	verified := 0
	e.verify = func(string, int64) (c token.Claims, err error) { verified++; return c, ErrUnavailable }
	for _, account := range []string{"alice", "bob"} { // each on a connection of its own
		_, _ = e.call(t, client(t, false), account, []byte{1})
		if _, err := e.askDescriptor(t, client(t, false)); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{second(e.call(t, client(t, false), "carol", []byte{1})), second(e.askDescriptor(t, client(t, false)))} {
		if connect.CodeOf(err) != connect.CodeResourceExhausted || retryAfter(err) != "15" {
			t.Errorf("the fifth: %v, after %q", err, retryAfter(err))
		}
	}
	if verified != 2 {
		t.Errorf("%d tokens were verified", verified)
	}
	advance(15 * time.Second)
	if _, err := e.askDescriptor(t, client(t, false)); err != nil {
		t.Errorf("later: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestNoRateLimits(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{PerAccountPerMinute: -1, PerAddressPerMinute: -1} })
	e.still()
	c := client(t, true)
	for i := range 700 {
		if _, err := e.call(t, c, "alice", []byte{1}); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
}

func TestConcurrentLimit(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{Concurrent: 2} })
	inside, leave := make(chan struct{}), make(chan struct{})
	e.vault.handle = func(context.Context, []byte) ([]byte, error) {
		inside <- struct{}{}
		<-leave
		return []byte{1}, nil
	}
	ended := make(chan error)
	for range 2 {
		go func() { ended <- second(e.call(t, client(t, false), "alice", []byte{1})) }()
		<-inside
	}
	for name, p := range protocols {
		_, err := e.call(t, client(t, p.http2), "bob", []byte{1}, p.options...)
		if connect.CodeOf(err) != connect.CodeResourceExhausted || retryAfter(err) != "1" {
			t.Errorf("%s: the third: %v, after %q", name, err, retryAfter(err))
		}
	}
	if status, _ := e.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("too much to do is no reason to be taken out of service: %d", status)
	}
	close(leave)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if _, err := e.askDescriptor(t, client(t, false)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestSizeLimit(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{MaxRequestBytes: 1000} })
	encode := base64.StdEncoding.EncodeToString
	if status, body, _ := e.post(t, procedureCall, `"`+encode(make([]byte, 1000))+`"`, "Authorization", "Bearer alice"); status != http.StatusOK {
		t.Fatalf("the largest: %d, %s", status, body)
	}
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = w.Write(make([]byte, 10<<20))
	_ = w.Close()
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
	}{
		"one byte more": {`"` + encode(make([]byte, 1001)) + `"`, nil, http.StatusBadRequest},
		"empty":         {`""`, nil, http.StatusBadRequest},
		"a megabyte":    {`"` + encode(make([]byte, 1<<20)) + `"`, nil, http.StatusTooManyRequests},
		"gzip bomb":     {bomb.String(), []string{"Content-Encoding", "gzip"}, http.StatusNotImplemented},
	} {
		header := append(test.header, "Authorization", "Bearer alice")
		if status, body, h := e.post(t, procedureCall, test.body, header...); status != test.status || h.Get("Retry-After") != "" {
			t.Errorf("%s: %d, %s", name, status, body)
		}
	}
	if status, body, _ := e.post(t, procedureDescriptor, `{"x":"`+strings.Repeat("x", 100)+`"}`); status != http.StatusTooManyRequests {
		t.Errorf("a large empty message: %d, %s", status, body)
	}
	if n := e.vault.calls(); n != 1 {
		t.Errorf("%d requests reached the vault", n)
	}
}

// Whoever is refused must not make us read what he goes on to send.
func TestRefusedBodyIsNotRead(t *testing.T) {
	e := serve(t, nil)
	for _, contentType := range []string{"application/proto", "application/json", "application/grpc", "application/grpc-web+proto"} {
		for _, account := range []string{"", "alice"} {
			body := &endless{}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, procedureCall, body)
			r.Header = http.Header{"Content-Type": {contentType}, "Authorization": {"Bearer " + account}}
			e.Handler().ServeHTTP(httptest.NewRecorder(), r)
			if limit := maxMessage(e.limits.MaxRequestBytes); body.read > limit+1 {
				t.Errorf("%s of %q: %d bytes were read, the limit is %d", contentType, account, body.read, limit)
			}
		}
	}
}

// endless counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 1<<30 {
		return 0, io.EOF
	}
	return len(p), nil
}

func TestLimiterForgetsTheOldest(t *testing.T) {
	l, now := newLimiter(1), time.Unix(1_800_000_000, 0)
	nameOf := func(i int) (n name) {
		binary.BigEndian.PutUint64(n[:], uint64(i))
		return n
	}
	for i := range maxNames {
		if l.wait(nameOf(i), now) != 0 {
			t.Fatalf("name %d was limited at once", i)
		}
	}
	if l.wait(nameOf(0), now) != time.Minute { // also makes it the latest
		t.Error("the first is not limited")
	}
	l.wait(nameOf(maxNames), now)
	if len(l.byName) != maxNames || l.recent.Len() != maxNames {
		t.Errorf("%d and %d names are kept", len(l.byName), l.recent.Len())
	}
	if l.wait(nameOf(0), now) == 0 {
		t.Error("a name that was just seen was forgotten")
	}
	if l.wait(nameOf(1), now) != 0 {
		t.Error("the oldest name was not forgotten")
	}
}

func TestNamesOfAddresses(t *testing.T) {
	n := newNames()
	same := [][2]string{
		{"192.0.2.1:1", "192.0.2.1:2"},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1"},
		{"[2001:db8::1]:1", "[2001:db8::ffff:0:0:2]:1"},
		{"[fe80::1%eth0]:1", "[fe80::1%eth1]:1"},
	}
	for _, pair := range same {
		if n.address(pair[0]) != n.address(pair[1]) {
			t.Errorf("%v are told apart", pair)
		}
	}
	seen := map[name]string{}
	for _, address := range []string{"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", "", "[::]:1", "0.0.0.0:1"} {
		if other, twice := seen[n.address(address)]; twice {
			t.Errorf("%q and %q are the same", address, other)
		}
		seen[n.address(address)] = address
	}
	other := newNames()
	if n.address("192.0.2.1:1") == other.address("192.0.2.1:1") {
		t.Error("another process gives the same name")
	}
	if n.account([32]byte{1}) == n.account([32]byte{2}) {
		t.Error("two accounts have one name")
	}
}
