// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/coffer-backup/coffer/internal/token"
)

// A real verifier fits.
var _ = Config{Verify: new(token.Verifier).Verify}

// vault is a backend that does as it is told.
type vault struct {
	mu         sync.Mutex
	handle     func(ctx context.Context, request []byte) ([]byte, error) // nil: echoes in reverse
	descriptor []byte                                                    // nil: unavailable
	handled    int
}

func (v *vault) Handle(ctx context.Context, request []byte) ([]byte, error) {
	v.mu.Lock()
	v.handled++
	handle := v.handle
	v.mu.Unlock()
	if handle != nil {
		return handle(ctx, request)
	}
	return reversed(request), nil
}

func reversed(b []byte) []byte {
	r := bytes.Clone(b)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return r
}

func (v *vault) Descriptor(context.Context) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.descriptor == nil {
		return nil, ErrUnavailable
	}
	return v.descriptor, nil
}

func (v *vault) calls() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.handled
}

// verifyName takes a token for its account's name.
func verifyName(text string, _ int64) (token.Claims, error) {
	switch text {
	case "forged":
		return token.Claims{}, token.ErrInvalid
	case "old":
		return token.Claims{}, token.ErrExpired
	case "no keys yet":
		return token.Claims{}, ErrUnavailable
	}
	return token.Claims{Issuer: "https://issuer.test", Subject: text, Role: token.Companion}, nil
}

// edge is a gateway that serves on loopback.
type edge struct {
	*Gateway
	vault  *vault
	server *http.Server
	url    string
	logs   *logs
}

// logs may be written by several requests at once.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func serve(t testing.TB, change func(*Config)) *edge {
	t.Helper()
	e := &edge{vault: &vault{descriptor: []byte("descriptor")}, logs: &logs{}}
	config := Config{Backend: e.vault, Verify: verifyName, Logger: slog.New(slog.NewTextHandler(e.logs, nil))}
	if change != nil {
		change(&config)
	}
	var err error
	if e.Gateway, err = New(config); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.url, e.server = "http://"+listener.Addr().String(), e.Server()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.server.Serve(listener) // ErrServerClosed
	}()
	t.Cleanup(func() {
		e.server.Close()
		<-ended
	})
	return e
}

// client speaks HTTP/1.1, or HTTP/2 in the clear.
func client(t testing.TB, http2 bool) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetUnencryptedHTTP2(http2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (e *edge) call(t testing.TB, c *http.Client, account string, envelope []byte, options ...connect.ClientOption) ([]byte, error) {
	rpc := connect.NewClient[wrapperspb.BytesValue, wrapperspb.BytesValue](c, e.url+procedureCall, options...)
	request := connect.NewRequest(wrapperspb.Bytes(envelope))
	if account != "" {
		request.Header().Set("Authorization", "Bearer "+account)
	}
	answer, err := rpc.CallUnary(t.Context(), request)
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetValue(), nil
}

func (e *edge) askDescriptor(t testing.TB, c *http.Client, options ...connect.ClientOption) ([]byte, error) {
	rpc := connect.NewClient[emptypb.Empty, wrapperspb.BytesValue](c, e.url+procedureDescriptor, options...)
	answer, err := rpc.CallUnary(t.Context(), connect.NewRequest(new(emptypb.Empty)))
	if err != nil {
		return nil, err
	}
	return answer.Msg.GetValue(), nil
}

// post is what curl does.
func (e *edge) post(t testing.TB, path, body string, header ...string) (status int, answer string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return do(t, client(t, false), r)
}

func (e *edge) get(t testing.TB, path string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, answer, _ = do(t, client(t, false), r)
	return status, answer
}

func do(t testing.TB, c *http.Client, r *http.Request) (int, string, http.Header) {
	t.Helper()
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body), response.Header
}

func retryAfter(err error) string {
	if refused, ok := errors.AsType[*connect.Error](err); ok {
		return refused.Meta().Get("Retry-After")
	}
	return ""
}

var protocols = map[string]struct {
	http2   bool
	options []connect.ClientOption
}{
	"Connect":           {false, nil},
	"Connect, HTTP/2":   {true, nil},
	"Connect, JSON":     {false, []connect.ClientOption{connect.WithProtoJSON()}},
	"gRPC":              {true, []connect.ClientOption{connect.WithGRPC()}},
	"gRPC-Web":          {false, []connect.ClientOption{connect.WithGRPCWeb()}},
	"gRPC-Web, HTTP/2":  {true, []connect.ClientOption{connect.WithGRPCWeb()}},
	"gRPC, JSON inside": {true, []connect.ClientOption{connect.WithGRPC(), connect.WithProtoJSON()}},
}

func TestProtocols(t *testing.T) {
	e := serve(t, nil)
	largest := make([]byte, e.limits.MaxRequestBytes)
	for i := range largest {
		largest[i] = byte(i * 7)
	}
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			c := client(t, p.http2)
			for _, envelope := range [][]byte{{1, 2, 3}, largest} {
				if answer, err := e.call(t, c, "alice", envelope, p.options...); err != nil || !bytes.Equal(answer, reversed(envelope)) {
					t.Errorf("%d bytes: %d bytes, %v", len(envelope), len(answer), err)
				}
			}
			if d, err := e.askDescriptor(t, c, p.options...); err != nil || string(d) != "descriptor" {
				t.Errorf("descriptor %q, %v", d, err)
			}
			if _, err := e.call(t, c, "", []byte{1}, p.options...); connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("no token: %v", err)
			}
			if _, err := e.call(t, c, "alice", append(largest, 0), p.options...); err == nil {
				t.Error("one byte too much was accepted")
			}
		})
	}
}

func TestPlainJSON(t *testing.T) {
	e := serve(t, nil)
	for path, test := range map[string]struct{ body, want string }{
		procedureCall:       {`"AQID"`, `"AwIB"`},
		procedureDescriptor: {`{}`, `"` + base64.StdEncoding.EncodeToString([]byte("descriptor")) + `"`},
	} {
		if status, body, _ := e.post(t, path, test.body, "Authorization", "bearer alice"); status != http.StatusOK || body != test.want {
			t.Errorf("%s: %d, %s", path, status, body)
		}
	}
}

func TestAuthentication(t *testing.T) {
	e := serve(t, nil)
	for name, test := range map[string]struct {
		header []string
		status int
		code   string
	}{
		"none":        {nil, 401, "unauthenticated"},
		"forged":      {[]string{"Authorization", "Bearer forged"}, 401, "unauthenticated"},
		"old":         {[]string{"Authorization", "Bearer old"}, 401, "unauthenticated"},
		"empty":       {[]string{"Authorization", "Bearer "}, 401, "unauthenticated"},
		"basic":       {[]string{"Authorization", "Basic alice"}, 401, "unauthenticated"},
		"no scheme":   {[]string{"Authorization", "alice"}, 401, "unauthenticated"},
		"twice":       {[]string{"Authorization", "Bearer alice", "Authorization", "Bearer bob"}, 401, "unauthenticated"},
		"no keys yet": {[]string{"Authorization", "Bearer no keys yet"}, 503, "unavailable"},
	} {
		status, body, header := e.post(t, procedureCall, `"AQID"`, test.header...)
		var answer struct{ Code, Message string }
		if json.Unmarshal([]byte(body), &answer) != nil || status != test.status || answer.Code != test.code {
			t.Errorf("%s: %d, %s", name, status, body)
		}
		if challenge := header.Get("WWW-Authenticate"); (challenge == "Bearer") != (status == 401) {
			t.Errorf("%s: challenge %q", name, challenge)
		}
		if name == "old" && !strings.Contains(answer.Message, "expired") {
			t.Errorf("an expired token: %q", answer.Message)
		}
	}
	if n := e.vault.calls(); n != 0 {
		t.Errorf("%d requests reached the vault", n)
	}
}

func TestBackendErrors(t *testing.T) {
	e := serve(t, nil)
	for name, test := range map[string]struct {
		err   error
		code  connect.Code
		after string
	}{
		"unavailable": {errors.Join(errors.New("secret"), ErrUnavailable), connect.CodeUnavailable, "1"},
		"busy":        {errors.Join(errors.New("secret"), ErrBusy), connect.CodeResourceExhausted, "1"},
		"late":        {errors.Join(errors.New("secret"), context.DeadlineExceeded), connect.CodeDeadlineExceeded, ""},
		"cancelled":   {errors.Join(errors.New("secret"), context.Canceled), connect.CodeCanceled, ""},
		"unknown":     {errors.New("secret"), connect.CodeInternal, ""},
	} {
		e.vault.handle = func(context.Context, []byte) ([]byte, error) { return nil, test.err }
		_, err := e.call(t, client(t, false), "alice", []byte{1})
		if connect.CodeOf(err) != test.code || retryAfter(err) != test.after || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, after %q", name, err, retryAfter(err))
		}
	}
	if !strings.Contains(e.logs.String(), "secret") {
		t.Error("the operator is not told of an unknown error")
	}
}

// What an answer would take must not be waited for longer than its client waits.
func TestBackendHasDeadline(t *testing.T) {
	e := serve(t, nil)
	e.vault.handle = func(ctx context.Context, _ []byte) ([]byte, error) {
		if left, ok := ctx.Deadline(); !ok || time.Until(left) > callTimeout {
			return nil, errors.New("no deadline")
		}
		return []byte{1}, nil
	}
	if _, err := e.call(t, client(t, false), "alice", []byte{1}); err != nil {
		t.Error(err)
	}
}

func TestConfig(t *testing.T) {
	good := Config{Backend: &vault{}, Verify: verifyName}
	for name, change := range map[string]func(*Config){
		"no backend":       func(c *Config) { c.Backend = nil },
		"no verifier":      func(c *Config) { c.Verify = nil },
		"negative size":    func(c *Config) { c.Limits.MaxRequestBytes = -1 },
		"negative slots":   func(c *Config) { c.Limits.Concurrent = -1 },
		"registered twice": func(c *Config) { g, _ := New(*c); c.Registry = g.registry },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
