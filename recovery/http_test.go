// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/coffer-backup/coffer/wire"
)

// gateway serves what HTTP speaks, with the handlers of the library that a real gateway uses, too.
func gateway(t *testing.T, call func(token string, envelope []byte) ([]byte, error), descriptor []byte) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle(procedureCall, connect.NewUnaryHandler(procedureCall,
		func(_ context.Context, r *connect.Request[wrapperspb.BytesValue]) (*connect.Response[wrapperspb.BytesValue], error) {
			answer, err := call(r.Header().Get("Authorization"), r.Msg.GetValue())
			if err != nil {
				return nil, err
			}
			return connect.NewResponse(wrapperspb.Bytes(answer)), nil
		}))
	mux.Handle(procedureDescriptor, connect.NewUnaryHandler(procedureDescriptor,
		func(context.Context, *connect.Request[emptypb.Empty]) (*connect.Response[wrapperspb.BytesValue], error) {
			return connect.NewResponse(wrapperspb.Bytes(descriptor)), nil
		}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

type fixedToken string

func (f fixedToken) Token(_ context.Context, audience string) (string, error) {
	return string(f) + "@" + audience, nil
}

func newHTTP(t *testing.T, url string) *HTTP {
	h, err := NewHTTP(HTTPConfig{URL: url, Tokens: fixedToken("token"), Audience: "gateway"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHTTPCarriesEnvelopes(t *testing.T) {
	largest := bytes.Repeat([]byte{7}, wire.MaxEnvelope)
	server := gateway(t, func(token string, envelope []byte) ([]byte, error) {
		if token != "Bearer token@gateway" || !bytes.Equal(envelope, largest) {
			return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("another request"))
		}
		return largest, nil
	}, bytes.Repeat([]byte{8}, wire.MaxDescriptor))
	h := newHTTP(t, server.URL)
	if answer, err := h.Call(t.Context(), largest); err != nil || !bytes.Equal(answer, largest) {
		t.Errorf("call: %d bytes, %v", len(answer), err)
	}
	if d, err := h.Descriptor(t.Context()); err != nil || len(d) != wire.MaxDescriptor {
		t.Errorf("descriptor: %d bytes, %v", len(d), err)
	}
}

func TestStatusOverHTTP(t *testing.T) {
	v := newVault(t)
	server := gateway(t, func(_ string, envelope []byte) ([]byte, error) { return v.Call(t.Context(), envelope) }, v.descriptor.Append(nil))
	h := newHTTP(t, server.URL)
	raw, err := h.Descriptor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Pin(raw, v.descriptor.Fingerprint()); err != nil {
		t.Error(err)
	}
	if status, err := v.device("alice", h).Status(t.Context()); err != nil || status.Now != v.now {
		t.Errorf("status: %v, %v", status, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.device("alice", h).Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestHTTPRefusesLongAnswers(t *testing.T) {
	long := make([]byte, wire.MaxDescriptor+bytesValueSlack) // the larger of the two
	server := gateway(t, func(string, []byte) ([]byte, error) { return long, nil }, long)
	h := newHTTP(t, server.URL)
	if _, err := h.Call(t.Context(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("call: %v", err)
	}
	if _, err := h.Descriptor(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Error("the descriptor had no bound")
	}
}

func TestHTTPErrors(t *testing.T) {
	with := func(code connect.Code, after string) error {
		err := connect.NewError(code, errors.New("refused"))
		if after != "" {
			err.Meta().Set("Retry-After", after)
		}
		return err
	}
	for _, test := range []struct {
		name  string
		err   error
		want  error
		after time.Duration // of a *Busy
	}{
		{"unauthenticated", with(connect.CodeUnauthenticated, ""), ErrLogin, 0},
		{"limit", with(connect.CodeResourceExhausted, "7"), ErrUnavailable, 7 * time.Second},
		{"limit without a time", with(connect.CodeResourceExhausted, ""), ErrUnavailable, 0},
		{"limit, no number", with(connect.CodeResourceExhausted, "-1"), ErrUnavailable, 0},
		{"limit, for ever", with(connect.CodeResourceExhausted, "2147483647"), ErrUnavailable, 366 * 24 * time.Hour},
		{"limit, overflow", with(connect.CodeResourceExhausted, "99999999999999999999"), ErrUnavailable, 0},
		{"no backend", with(connect.CodeUnavailable, ""), ErrUnavailable, 0},
		{"internal", with(connect.CodeInternal, ""), ErrUnavailable, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := gateway(t, func(string, []byte) ([]byte, error) { return nil, test.err }, nil)
			_, err := newHTTP(t, server.URL).Call(t.Context(), []byte("x"))
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			busy, _ := errors.AsType[*Busy](err)
			if (busy != nil) != (test.after != 0) || busy != nil && busy.RetryAfter != test.after {
				t.Errorf("got %v, want to wait %v", err, test.after)
			}
		})
	}
}

func TestHTTPUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	if _, err := newHTTP(t, url).Call(t.Context(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no such service: %v", err)
	}
	server.Close()
	if _, err := newHTTP(t, url).Call(t.Context(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody listens: %v", err)
	}
}

// A gateway must not send our token elsewhere.
func TestHTTPFollowsNoRedirect(t *testing.T) {
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	if _, err := newHTTP(t, server.URL).Call(t.Context(), nil); err == nil || asked {
		t.Errorf("the redirect was followed: %v", err)
	}
}

func TestHTTPURL(t *testing.T) {
	for url, good := range map[string]bool{
		"https://vault.example":         true,
		"https://vault.example/coffer/": true,
		"http://127.0.0.1:8080":         true,
		"http://127.8.8.8":              true,
		"http://[::1]:1":                true,
		"http://LOCALHOST:1":            true,
		"http://vault.example":          false,
		"http://localhost.example":      false,
		"http://127.0.0.1.example":      false,
		"http://10.0.0.1":               false,
		"https://user:secret@v.example": false,
		"https://v.example?x=1":         false,
		"https://v.example#x":           false,
		"https://:443":                  false,
		"ftp://v.example":               false,
		"vault.example":                 false,
		"":                              false,
	} {
		_, err := NewHTTP(HTTPConfig{URL: url})
		if (err == nil) != good {
			t.Errorf("%q: %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}

// Nothing that a gateway writes is shown to the user, who could take it for the vault's word.
func TestHTTPShowsNoText(t *testing.T) {
	const lie = "3 guesses left"
	refusing := gateway(t, func(string, []byte) ([]byte, error) {
		return nil, connect.NewError(connect.CodeInternal, errors.New(lie))
	}, nil)
	status := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 500 "+lie+"\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n")
	}))
	defer status.Close()
	for _, url := range []string{refusing.URL, status.URL} {
		if _, err := newHTTP(t, url).Call(t.Context(), nil); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), lie) {
			t.Errorf("got %v", err)
		}
	}
}

// A few bytes must not become many: nothing compressed is read.
func TestHTTPRefusesCompression(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/proto")
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		zip.Write([]byte{10, 1, 7})
		zip.Close()
	}))
	defer server.Close()
	if answer, err := newHTTP(t, server.URL).Call(t.Context(), nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%x, %v", answer, err)
	}
}

func TestHTTPWithoutLogin(t *testing.T) {
	h, err := NewHTTP(HTTPConfig{URL: "https://vault.invalid"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Call(t.Context(), nil); !errors.Is(err, ErrLogin) {
		t.Errorf("no tokens: %v", err)
	}
	h.tokens = badTokens{err: errCut}
	if _, err := h.Call(t.Context(), nil); !errors.Is(err, errCut) {
		t.Errorf("no token: %v", err)
	}
}
