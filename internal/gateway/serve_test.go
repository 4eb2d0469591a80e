// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
)

func TestGarbage(t *testing.T) {
	e := serve(t, nil)
	for name, test := range map[string]struct {
		contentType, body string
		status            int
	}{
		"no JSON":           {"application/json", `{`, 400},
		"other JSON":        {"application/json", `{"value":"AQ=="}`, 400},
		"no base64":         {"application/json", `"?"`, 400},
		"nothing":           {"application/json", ``, 400},
		"no protobuf":       {"application/proto", "\xff\xff\xff", 400},
		"wrong length":      {"application/proto", "\x0a\x7f\x01", 400},
		"other type":        {"text/html", `<html>`, 415},
		"form":              {"application/x-www-form-urlencoded", `a=b`, 415},
		"streaming":         {"application/connect+proto", "\x00\x00\x00\x00\x00", 415},
		"truncated gRPC":    {"application/grpc-web+proto", "\x00\x00\x00", 200}, // gRPC has its errors inside
		"huge gRPC length":  {"application/grpc-web+proto", "\x00\xff\xff\xff\xff", 200},
		"compressed gRPC":   {"application/grpc-web+proto", "\x01\x00\x00\x00\x01x", 200},
		"gRPC flags":        {"application/grpc-web+proto", "\xff\x00\x00\x00\x00", 200},
		"two gRPC messages": {"application/grpc-web+proto", strings.Repeat("\x00\x00\x00\x00\x03\x0a\x01\x01", 2), 200},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+procedureCall, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.contentType)
			r.Header.Set("Authorization", "Bearer alice")
			status, body, header := do(t, client(t, false), r)
			if code := header.Get("Grpc-Status"); status != test.status || status == 200 && (code == "" || code == "0") {
				t.Errorf("%d, %q, %v", status, body, header)
			}
		})
	}
	for _, path := range []string{"/", procedureCall, "/coffer.v1.Vault/Other", "/metrics"} {
		if status, body := e.get(t, path); status == http.StatusOK {
			t.Errorf("GET %s: %q", path, body)
		}
	}
	if n := e.vault.calls(); n != 0 {
		t.Errorf("%d requests reached the vault", n)
	}
}

func TestGarbageInsteadOfHTTP(t *testing.T) {
	e := serve(t, nil)
	for _, garbage := range []string{"\x16\x03\x01\x02\x00\x01", "POST / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, garbage)
		_ = conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", garbage, err)
		}
		conn.Close()
	}
	if _, err := e.call(t, client(t, false), "alice", []byte{1}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestPanic(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{Concurrent: 1} })
	e.vault.handle = func(_ context.Context, request []byte) ([]byte, error) {
		if request[0] == 1 {
			panic("what the client sent")
		}
		return request, nil
	}
	for name, p := range protocols {
		c := client(t, p.http2)
		if _, err := e.call(t, c, "alice", []byte{1}, p.options...); connect.CodeOf(err) != connect.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := e.call(t, c, "alice", []byte{2}, p.options...); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
	}
	if text := e.logs.String(); strings.Contains(text, "what the client sent") || !strings.Contains(text, "serve_test.go") {
		t.Error("the log has the panic's value, or not its place")
	}
	if text := e.scrape(t); !strings.Contains(text, "coffer_gateway_panics_total 7") || !strings.Contains(text, "coffer_gateway_in_flight_requests 0") {
		t.Error(text)
	}
}

func (e *edge) scrape(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	e.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestHealth(t *testing.T) {
	e := serve(t, nil)
	check := func(when string, ready int) {
		t.Helper()
		for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": ready} {
			if status, body := e.get(t, path); status != want {
				t.Errorf("%s, %s: %d, %s", when, path, status, body)
			}
			w := httptest.NewRecorder()
			e.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want {
				t.Errorf("%s, admin %s: %d, %s", when, path, w.Code, w.Body)
			}
		}
	}
	set := func(descriptor []byte) {
		e.vault.mu.Lock()
		defer e.vault.mu.Unlock()
		e.vault.descriptor = descriptor
	}
	set(nil)
	check("before the vault", http.StatusServiceUnavailable)
	if _, err := e.askDescriptor(t, client(t, false)); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("the descriptor before the vault: %v", err)
	}
	set([]byte("descriptor"))
	check("with the vault", http.StatusOK)
	set(nil)
	check("after the vault", http.StatusServiceUnavailable)
}

// A shutdown lets the request that is worked on finish, and lets in no other.
func TestShutdown(t *testing.T) {
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			e := serve(t, nil)
			inside, leave := make(chan struct{}), make(chan struct{})
			e.vault.handle = func(context.Context, []byte) ([]byte, error) {
				close(inside)
				<-leave
				return []byte{9}, nil
			}
			type result struct {
				answer []byte
				err    error
			}
			ended := make(chan result)
			go func() {
				answer, err := e.call(t, client(t, p.http2), "alice", []byte{1}, p.options...)
				ended <- result{answer, err}
			}()
			<-inside
			shut := make(chan error)
			go func() { shut <- e.server.Shutdown(t.Context()) }()
			<-e.closing
			w := httptest.NewRecorder()
			e.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("ready while shutting down: %d", w.Code)
			}
			if _, err := e.askDescriptor(t, client(t, false)); err == nil {
				t.Error("a new connection was served")
			}
			close(leave)
			if r := <-ended; r.err != nil || !bytes.Equal(r.answer, []byte{9}) {
				t.Errorf("%v, %v", r.answer, r.err)
			}
			if err := <-shut; err != nil {
				t.Error(err)
			}
		})
	}
}

// Whoever reads logs and metrics must not learn who asked, from where, or what.
func TestLogsAndMetricsNameNobody(t *testing.T) {
	e := serve(t, func(c *Config) { c.Limits = Limits{PerAccountPerMinute: 2} })
	e.still()
	envelope := []byte("sealed envelope")
	for range 3 {
		_, _ = e.call(t, client(t, false), "alice", envelope)
	}
	_, _ = e.call(t, client(t, false), "forged", envelope)
	_, _ = e.askDescriptor(t, client(t, true))
	_, _, _ = e.post(t, procedureCall, "alice", "Authorization", "Bearer bobby")
	_, _, _ = e.post(t, "/coffer.v1.Vault/alice", "{}")
	logs, metrics := e.logs.String(), e.scrape(t)
	for _, secret := range []string{"alice", "bobby", "forged", "issuer.test", "127.0.0.1", "sealed envelope", base64.StdEncoding.EncodeToString(envelope)} {
		if strings.Contains(logs, secret) || strings.Contains(metrics, secret) {
			t.Errorf("%q in\n%s\n%s", secret, logs, metrics)
		}
	}
	for _, want := range []string{
		`coffer_gateway_requests_total{code="ok",method="Call"} 2`,
		`coffer_gateway_requests_total{code="ok",method="Descriptor"} 1`,
		`coffer_gateway_requests_total{code="resource_exhausted",method="Call"} 1`,
		`coffer_gateway_requests_total{code="unauthenticated",method="Call"} 1`,
		`coffer_gateway_requests_total{code="unread",method="Call"} 1`,
		`coffer_gateway_request_seconds_count{method="Call"} 5`,
		`coffer_gateway_limited_total{limit="account"} 1`,
		`coffer_gateway_in_flight_requests 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if strings.Count(logs, "msg=request") != 6 || !strings.Contains(logs, "method=Call code=ok duration=") || !strings.Contains(logs, "size=1KiB") {
		t.Error(logs)
	}
}

func TestDebugLogHashesAddresses(t *testing.T) {
	logs := &logs{}
	e := serve(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if _, err := e.call(t, client(t, false), "alice", []byte{1}); err != nil {
		t.Fatal(err)
	}
	if want := "address=" + e.names.address("127.0.0.1:1").String(); !strings.Contains(logs.String(), want) || strings.Contains(logs.String(), "127.0.0.1") {
		t.Errorf("no %s in\n%s", want, logs)
	}
}

func FuzzCall(f *testing.F) {
	v, failures := &vault{}, &logs{}
	g, err := New(Config{Backend: v, Verify: verifyName,
		Logger: slog.New(slog.NewTextHandler(failures, &slog.HandlerOptions{Level: slog.LevelError})),
		Limits: Limits{MaxRequestBytes: 100, PerAccountPerMinute: -1, PerAddressPerMinute: -1}})
	if err != nil {
		f.Fatal(err)
	}
	handled := 0
	v.handle = func(_ context.Context, request []byte) ([]byte, error) {
		handled++
		if len(request) < 1 || len(request) > 100 {
			panic("out of bounds")
		}
		return request, nil
	}
	handler := g.Handler()
	call := func(contentType, timeout string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, procedureCall, bytes.NewReader(body))
		r.Header = http.Header{"Content-Type": {contentType}, "Grpc-Timeout": {timeout}, "Authorization": {"Bearer alice"}}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	for i, seed := range []struct{ contentType, timeout, body string }{
		{"application/json", "", `"AQID"`},
		{"application/proto", "", "\x0a\x03abc"},
		{"application/grpc-web+proto", "1S", "\x00\x00\x00\x00\x05\x0a\x03abc"},
		{"application/grpc", "1M", "\x00\x00\x00\x00\x05\x0a\x03abc"},
	} {
		if call(seed.contentType, seed.timeout, []byte(seed.body)); handled != i+1 {
			f.Fatalf("seed %d does not reach the vault", i)
		}
		f.Add(seed.contentType, seed.timeout, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, contentType, timeout string, body []byte) {
		call(contentType, timeout, body)
		if text := failures.String(); text != "" || len(g.slots) != 0 {
			t.Fatalf("%d slots are taken; %s", len(g.slots), text)
		}
	})
}
