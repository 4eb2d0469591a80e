// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/internal/issuer"
	"github.com/coffer-backup/coffer/wire"
)

// scriptedIssuer answers as it is told, in order, and keeps what it was asked.
type scriptedIssuer struct {
	metadata string   // "": a right one with relative endpoints
	device   string   // "": a right one
	tokens   []string // answers of the token endpoint; "!" and a code is a refusal, "down" and "busy" are failures
	asked    []url.Values
	waits    []time.Duration
}

func (s *scriptedIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	switch r.URL.Path {
	case "/iss/.well-known/openid-configuration":
		answer := s.metadata
		if answer == "" {
			answer = `{"issuer":"https://issuer.test","device_authorization_endpoint":"/iss/device","token_endpoint":"/iss/token"}`
		}
		fmt.Fprint(w, answer)
	case "/iss/device":
		s.asked = append(s.asked, r.PostForm)
		answer := s.device
		if answer == "" {
			answer = `{"device_code":"D","user_code":"U","verification_uri":"https://issuer.test/go","expires_in":60,"interval":2}`
		}
		fmt.Fprint(w, answer)
	case "/iss/token":
		s.asked = append(s.asked, r.PostForm)
		answer := `!server_error`
		if len(s.tokens) > 0 {
			answer, s.tokens = s.tokens[0], s.tokens[1:]
		}
		switch answer {
		case "down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "busy":
			w.WriteHeader(http.StatusTooManyRequests)
			answer = `{"error":"slow_down"}`
		}
		if code, refused := strings.CutPrefix(answer, "!"); refused {
			w.WriteHeader(http.StatusBadRequest)
			answer = `{"error":"` + code + `"}`
		}
		fmt.Fprint(w, answer)
	default:
		http.NotFound(w, r)
	}
}

func (s *scriptedIssuer) start(t *testing.T) Issuer {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return Issuer{URL: server.URL + "/iss", Name: "https://issuer.test", Wait: func(_ context.Context, d time.Duration) error {
		s.waits = append(s.waits, d)
		return nil
	}}
}

func TestLogin(t *testing.T) {
	s := &scriptedIssuer{tokens: []string{"!authorization_pending", "!slow_down", "down", "!authorization_pending", `{"refresh_token":"R"}`}}
	at := s.start(t)
	var shown string
	token, err := at.Login(t.Context(), LoginRequest{Account: "alice", Role: "primary", Audiences: []string{"core", "gateway"}},
		func(url, code string) { shown = url + " " + code })
	if err != nil || token != "R" || shown != "https://issuer.test/go U" {
		t.Fatalf("token %q, shown %q, %v", token, shown, err)
	}
	first := s.asked[0]
	if first.Get("login_hint") != "alice" || first.Get("role") != "primary" || !slices.Equal(first["resource"], []string{"core", "gateway"}) {
		t.Errorf("the device asked for %v", first)
	}
	if poll := s.asked[1]; poll.Get("grant_type") != grantDevice || poll.Get("device_code") != "D" {
		t.Errorf("the device polled with %v", poll)
	}
	if want := []time.Duration{2 * time.Second, 7 * time.Second, 14 * time.Second, 14 * time.Second}; !slices.Equal(s.waits, want) {
		t.Errorf("waited %v, want %v", s.waits, want)
	}
}

func TestLoginRefused(t *testing.T) {
	pending, granted := slices.Repeat([]string{"!authorization_pending"}, 100), []string{`{"refresh_token":"R"}`}
	for name, test := range map[string]struct {
		s    scriptedIssuer
		want error
	}{
		"denied":         {scriptedIssuer{tokens: []string{"!access_denied"}}, ErrLogin},
		"gone meanwhile": {scriptedIssuer{tokens: []string{"!authorization_pending", "down", "down", "down", "down"}}, ErrUnavailable},
		"back, and denied": {scriptedIssuer{
			device: `{"device_code":"D","user_code":"U","verification_uri":"https://issuer.test/go","expires_in":3600,"interval":2}`,
			tokens: []string{"down", "down", "down", "!authorization_pending", "down", "!access_denied"},
		}, ErrLogin},
		"expired":          {scriptedIssuer{tokens: []string{"!expired_token"}}, ErrLogin},
		"never approved":   {scriptedIssuer{tokens: pending}, ErrLogin},
		"no refresh token": {scriptedIssuer{tokens: []string{`{"access_token":"A"}`}}, ErrLogin},
		"no device code":   {scriptedIssuer{device: `{}`}, ErrLogin},
		"code with escape": {scriptedIssuer{tokens: granted, device: `{"device_code":"D","user_code":"\u001b[2J","verification_uri":"https://issuer.test/go"}`}, ErrLogin},
		"URL with escape":  {scriptedIssuer{tokens: granted, device: `{"device_code":"D","user_code":"U","verification_uri":"https://\u009b2J"}`}, ErrLogin},
		"too long a URL":   {scriptedIssuer{tokens: granted, device: `{"device_code":"D","verification_uri":"https://` + strings.Repeat("x", maxShown) + `"}`}, ErrLogin},
		"not JSON":         {scriptedIssuer{device: `<html>`}, ErrUnavailable},
		"too long":         {scriptedIssuer{device: `{"user_code":"` + strings.Repeat("x", maxOAuthAnswer) + `"}`}, ErrUnavailable},
		"a long code":      {scriptedIssuer{tokens: []string{"!" + strings.Repeat("x", 1000)}}, ErrLogin},
		"a long name":      {scriptedIssuer{metadata: `{"issuer":"` + strings.Repeat("x", 1000) + `"}`}, ErrLogin},
		"another issuer":   {scriptedIssuer{metadata: `{"issuer":"https://other.test","device_authorization_endpoint":"/iss/device","token_endpoint":"/iss/token"}`}, ErrLogin},
		"no device flow":   {scriptedIssuer{metadata: `{"issuer":"https://issuer.test","token_endpoint":"/iss/token"}`}, ErrLogin},
		"open http":        {scriptedIssuer{metadata: `{"issuer":"https://issuer.test","device_authorization_endpoint":"http://issuer.test/d","token_endpoint":"/iss/token"}`}, ErrLogin},
	} {
		t.Run(name, func(t *testing.T) {
			at := test.s.start(t)
			token, err := at.Login(t.Context(), LoginRequest{}, func(string, string) {})
			if !errors.Is(err, test.want) || token != "" {
				t.Fatalf("token %q, %v; want %v", token, err, test.want)
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// The same against the issuer that developers have, below a prefix, as behind a gateway.
func TestDevelopmentIssuer(t *testing.T) {
	dev, err := issuer.Open(t.TempDir(), "https://issuer.test/dev")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/issuer", dev.Handler()))
	defer server.Close()
	at := Issuer{URL: server.URL + "/issuer", Name: "https://issuer.test/dev"}
	login := LoginRequest{Account: "alice", Role: "companion", Audiences: []string{"core", "gateway"}}
	refresh, err := at.Login(t.Context(), login, func(string, string) {})
	if err != nil {
		t.Fatal(err)
	}
	tokens := NewTokens(at, refresh, nil)
	first, err := tokens.Token(t.Context(), "core")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := IdentityOf(first); err != nil || id != (Identity{"https://issuer.test/dev", "alice", "companion"}) {
		t.Errorf("%+v, %v", id, err)
	}
	if other, err := tokens.Token(t.Context(), "gateway"); err != nil || other == first {
		t.Errorf("one token for two audiences, %v", err)
	}
	if _, err := NewTokens(at, "unknown", nil).Token(t.Context(), "core"); !errors.Is(err, ErrLogin) {
		t.Errorf("an unknown refresh token: %v", err)
	}
	at.Name = "https://issuer.test/other"
	if _, err := at.Login(t.Context(), login, func(string, string) {}); !errors.Is(err, ErrLogin) {
		t.Errorf("another issuer: %v", err)
	}
}

func TestTokensAreCachedAndRotated(t *testing.T) {
	s := &scriptedIssuer{tokens: []string{
		`{"access_token":"C1","expires_in":600,"refresh_token":"R2"}`,
		`{"access_token":"G1","expires_in":600}`,
		`{"access_token":"S1","expires_in":30}`, `{"access_token":"S2","expires_in":30}`,
		`!invalid_grant`,
	}}
	var saved []string
	tokens := NewTokens(s.start(t), "R1", func(r string) error { saved = append(saved, r); return nil })
	for _, ask := range []struct{ audience, want string }{
		{"core", "C1"}, {"gateway", "G1"}, {"core", "C1"}, {"gateway", "G1"},
		{"short", "S1"}, {"short", "S2"}, // as good as expired
	} {
		if got, err := tokens.Token(t.Context(), ask.audience); err != nil || got != ask.want {
			t.Errorf("%s: %q, %v; want %q", ask.audience, got, err, ask.want)
		}
	}
	if s.asked[0].Get("refresh_token") != "R1" || s.asked[1].Get("refresh_token") != "R2" || !slices.Equal(saved, []string{"R2"}) {
		t.Errorf("the refresh token was not replaced: asked %v, saved %v", s.asked, saved)
	}
	if s.asked[0].Get("resource") != "core" || s.asked[0].Get("grant_type") != grantRefresh {
		t.Errorf("asked %v", s.asked[0])
	}
	if until := tokens.cached["core"].until; until != until.Round(0) {
		t.Error("a token's life is measured by a clock that stops while the device sleeps")
	}
	if _, err := tokens.Token(t.Context(), "other"); !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), "R2") {
		t.Errorf("a refused refresh token: %v", err)
	}
}

// A refresh token that was replaced is saved before anything else, and again until that works.
func TestRotatedTokenIsSaved(t *testing.T) {
	s := &scriptedIssuer{tokens: []string{
		`{"refresh_token":"R2"}`,
		`{"access_token":"A3","expires_in":600,"refresh_token":"R3"}`,
		`{"access_token":"A4","expires_in":600}`,
	}}
	var saved []string
	disk := errors.New("the disk is full")
	var fault error
	tokens := NewTokens(s.start(t), "R1", func(r string) error { saved = append(saved, r); return fault })
	if _, err := tokens.Token(t.Context(), "core"); !errors.Is(err, ErrLogin) || !slices.Equal(saved, []string{"R2"}) {
		t.Errorf("no access token: saved %v, %v", saved, err)
	}
	fault = disk
	if token, err := tokens.Token(t.Context(), "core"); !errors.Is(err, disk) || token != "" || strings.Contains(err.Error(), "R3") {
		t.Errorf("not saved: %q, %v", token, err)
	}
	fault = nil
	if token, err := tokens.Token(t.Context(), "core"); err != nil || token != "A4" || !slices.Equal(saved, []string{"R2", "R3", "R3"}) {
		t.Errorf("saved later: %q, %v, saved %v", token, err, saved)
	}
	if got := s.asked[2].Get("refresh_token"); got != "R3" {
		t.Errorf("asked with %q", got)
	}
}

// An issuer that is busy has not ended the login.
func TestIssuerIsBusy(t *testing.T) {
	s := &scriptedIssuer{tokens: []string{"busy"}}
	if _, err := NewTokens(s.start(t), "R", nil).Token(t.Context(), "core"); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrLogin) {
		t.Errorf("got %v", err)
	}
}

func TestIdentityOf(t *testing.T) {
	token := func(claims any) string {
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		return "e30." + base64.RawURLEncoding.EncodeToString(payload) + ".c2ln"
	}
	id, err := IdentityOf(token(map[string]string{"iss": "https://i", "sub": "alice", "coffer_role": "companion"}))
	if err != nil || id != (Identity{"https://i", "alice", "companion"}) || id.Account() != wire.NewAccountID("https://i", "alice") {
		t.Errorf("%+v, %v", id, err)
	}
	for _, bad := range []string{
		"", "a.b", "a.b.c.d", "e30.!.c2ln", token("text"), token(map[string]string{"iss": "https://i"}), token(map[string]string{"sub": "alice"}),
		token(map[string]string{"iss": "https://i", "sub": strings.Repeat("a", wire.MaxTokenSize)}),
	} {
		if id, err := IdentityOf(bad); err == nil {
			t.Errorf("%.40q names %+v", bad, id)
		}
	}
}

func FuzzIdentityOf(f *testing.F) {
	f.Add("e30.eyJpc3MiOiJpIiwic3ViIjoicyJ9.c2ln") // {"iss":"i","sub":"s"}
	f.Add("e30.e30.c2ln")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := IdentityOf(token)
		if (err == nil) != (id.Issuer != "" && id.Subject != "") || err == nil && len(token) > wire.MaxTokenSize {
			t.Errorf("%q names %+v, %v", token, id, err)
		}
	})
}
