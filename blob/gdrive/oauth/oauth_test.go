// SPDX-License-Identifier: Apache-2.0

package oauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive/fakedrive"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
)

var client = oauth.Client{ID: fakedrive.ClientID, Secret: fakedrive.ClientSecret}

func start(t *testing.T) *fakedrive.Server {
	t.Helper()
	s, err := fakedrive.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func endpoints(s *fakedrive.Server) oauth.Endpoints {
	return oauth.Endpoints{Auth: s.URL + "/auth", Token: s.URL + "/token", Device: s.URL + "/device/code"}
}

func authorizer(s *fakedrive.Server, scope string) oauth.Authorizer {
	return oauth.Authorizer{Client: client, Scope: scope, Endpoints: endpoints(s), Timeout: time.Minute}
}

// browse does what a browser does with an address, and returns the page that it ends on.
func browse(address string) (status int, page string) {
	resp, err := http.Get(address)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func TestBrowser(t *testing.T) {
	s := start(t)
	s.Set(func(b *fakedrive.Behaviour) { b.RefreshLifetime = 7 * 24 * time.Hour })
	c, err := authorizer(s, oauth.ScopeHidden).Browser(t.Context(), func(address string) error {
		go browse(address)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Client != client || c.RefreshToken == "" || c.AccessToken == "" || c.Scope != oauth.ScopeHidden {
		t.Errorf("incomplete: %+v", c.Client)
	}
	end, short := c.ShortLived()
	if left := time.Until(end); !short || left > 7*24*time.Hour || left < 6*24*time.Hour {
		t.Errorf("a client in testing: ends in %v, %v", left, short)
	}
	again, err := oauth.Decode(c.Encode())
	if err != nil || again.RefreshToken != c.RefreshToken || !again.RefreshExpiry.Equal(c.RefreshExpiry) || !again.AccessExpiry.Equal(c.AccessExpiry) {
		t.Errorf("Decode(Encode): %v", err)
	}
	token, err := oauth.NewSource(again, oauth.SourceOptions{Endpoints: endpoints(s)}).Token(t.Context())
	if err != nil || token != c.AccessToken {
		t.Errorf("the kept token is not used: %v", err)
	}
}

// TestOthersAtThePort: whatever else comes to the port where the browser's answer is awaited changes nothing.
func TestOthersAtThePort(t *testing.T) {
	s := start(t)
	c, err := authorizer(s, oauth.ScopeHidden).Browser(t.Context(), func(address string) error {
		asked, err := url.Parse(address)
		if err != nil {
			return err
		}
		form := asked.Query()
		if form.Get("code_challenge_method") != "S256" || form.Get("code_challenge") == "" || form.Get("state") == "" ||
			form.Get("client_secret") != "" || form.Get("access_type") != "offline" {
			t.Errorf("asked: %v", form)
		}
		redirect := form.Get("redirect_uri")
		if !strings.HasPrefix(redirect, "http://127.0.0.1:") {
			t.Errorf("redirect to %s", redirect)
		}
		right := "/?state=" + form.Get("state")
		for _, rest := range []string{"/", "/?code=stolen", "/?code=x&state=wrong", "/other" + right[1:] + "&code=x"} {
			if status, _ := browse(redirect + rest); status != http.StatusForbidden {
				t.Errorf("GET %s: %d", rest, status)
			}
		}
		resp, err := http.Post(redirect+right+"&code=x", "", nil)
		if err != nil {
			return err
		}
		resp.Body.Close()
		r, err := http.NewRequest(http.MethodGet, redirect+right+"&code=x", nil)
		if err != nil {
			return err
		}
		r.Host = "rebound.example"
		other, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		other.Body.Close()
		if resp.StatusCode != http.StatusForbidden || other.StatusCode != http.StatusForbidden {
			t.Errorf("POST: %d; another Host: %d", resp.StatusCode, other.StatusCode)
		}
		if status, page := browse(address); status != http.StatusOK || strings.Contains(page, "code") {
			t.Errorf("the right answer: %d, %s", status, page)
		}
		return nil
	})
	if err != nil || c.RefreshToken == "" {
		t.Errorf("%v", err)
	}
}

func TestBrowserFails(t *testing.T) {
	s := start(t)
	a := authorizer(s, oauth.ScopeHidden)
	open := func(address string) error { go browse(address); return nil }

	s.Set(func(b *fakedrive.Behaviour) { b.DenyConsent = true })
	_, err := a.Browser(t.Context(), open)
	wantErr(t, "the user says no", err, blob.ErrDenied)
	s.Set(func(b *fakedrive.Behaviour) { b.DenyConsent = false })

	wrong := a
	wrong.Client.Secret = "wrong-secret"
	_, err = wrong.Browser(t.Context(), open)
	wantErr(t, "a wrong secret", err, blob.ErrDenied)
	if strings.Contains(fmt.Sprint(err), "wrong-secret") {
		t.Errorf("the error shows it: %v", err)
	}

	_, err = a.Browser(t.Context(), func(address string) error {
		go browse(strings.Replace(address, url.QueryEscape(oauth.ScopeHidden), "openid", 1)) // unticked
		return nil
	})
	wantErr(t, "a scope that is not given", err, blob.ErrDenied)

	_, err = a.Browser(t.Context(), func(address string) error {
		go browse(strings.Replace(address, "access_type=offline", "", 1))
		return nil
	})
	wantErr(t, "no refresh token", err, blob.ErrDenied)

	a.Timeout = time.Millisecond
	_, err = a.Browser(t.Context(), func(string) error { return nil })
	wantErr(t, "nobody answers", err, blob.ErrDenied)

	closed := errors.New("no browser")
	_, err = a.Browser(t.Context(), func(string) error { return closed })
	wantErr(t, "no browser", err, closed)

	ctx, cancel := context.WithCancel(t.Context())
	_, err = authorizer(s, oauth.ScopeHidden).Browser(ctx, func(string) error { cancel(); return nil })
	wantErr(t, "cancelled", err, context.Canceled)
}

func TestDevice(t *testing.T) {
	t.Parallel() // the protocol waits a second at least
	s := start(t)
	c, err := authorizer(s, oauth.ScopeFolder).Device(t.Context(), func(code oauth.DeviceCode) error {
		if !strings.HasPrefix(code.Address, s.URL) || time.Until(code.Expires) <= 0 || !s.Approve(code.UserCode, true) {
			t.Errorf("shown: %+v", code)
		}
		return nil
	})
	if err != nil || c.RefreshToken == "" || c.Scope != oauth.ScopeFolder {
		t.Errorf("%v", err)
	}
	_, err = authorizer(s, oauth.ScopeFolder).Device(t.Context(), func(code oauth.DeviceCode) error {
		s.Approve(code.UserCode, false)
		return nil
	})
	wantErr(t, "the user says no", err, blob.ErrDenied)
	_, err = authorizer(s, oauth.ScopeHidden).Device(t.Context(), nil)
	wantErr(t, "the hidden folder", err, blob.ErrDenied)
	if !strings.Contains(err.Error(), "browser") {
		t.Errorf("it does not say what to do: %v", err)
	}
}

// TestDeviceShowsNothingStrange: what a server wants shown is checked before a person sees it.
func TestDeviceShowsNothingStrange(t *testing.T) {
	for what, answer := range map[string]map[string]any{
		"not https":         {"verification_url": "http://example.org", "user_code": "AB"},
		"no address":        {"user_code": "AB"},
		"a program":         {"verification_url": "javascript:alert(1)", "user_code": "AB"},
		"control codes":     {"verification_url": "https://example.org", "user_code": "AB\x1b[2J"},
		"a long code":       {"verification_url": "https://example.org", "user_code": strings.Repeat("A", 1000)},
		"no code":           {"verification_url": "https://example.org"},
		"spaces in address": {"verification_url": "https://example.org/\n\nyou won", "user_code": "AB"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			answer["device_code"], answer["expires_in"] = "secret", 60
			json.NewEncoder(w).Encode(answer)
		}))
		a := oauth.Authorizer{Client: client, Scope: oauth.ScopeFolder, Endpoints: oauth.Endpoints{Device: server.URL}}
		_, err := a.Device(t.Context(), func(code oauth.DeviceCode) error {
			t.Errorf("%s: shown: %+v", what, code)
			return errors.New("shown")
		})
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		server.Close()
	}
}

func TestSource(t *testing.T) {
	s := start(t)
	var mu sync.Mutex
	var saved []oauth.Credentials
	source := oauth.NewSource(oauth.Credentials{Client: client, RefreshToken: s.Grant(client.ID, oauth.ScopeHidden)}, oauth.SourceOptions{
		Endpoints: endpoints(s),
		Save: func(c oauth.Credentials) error {
			mu.Lock()
			defer mu.Unlock()
			saved = append(saved, c)
			return errors.New("the keyring is locked")
		},
	})
	var group sync.WaitGroup
	tokens := make([]string, 10)
	for i := range tokens {
		group.Go(func() {
			var err error
			if tokens[i], err = source.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if s.Calls()["token"] != 1 || len(saved) != 1 || saved[0].AccessToken != tokens[0] || saved[0].RefreshToken == "" {
		t.Errorf("%d requests, %d saved", s.Calls()["token"], len(saved))
	}
	for range 2 { // two who met the refusal of one token get one new token
		if token, err := source.Renew(t.Context(), tokens[0]); err != nil || token == tokens[0] {
			t.Errorf("Renew: %v", err)
		}
	}
	if n := s.Calls()["token"]; n != 2 {
		t.Errorf("%d requests", n)
	}
	s.Revoke()
	current, _ := source.Token(t.Context())
	_, err := source.Renew(t.Context(), current)
	wantErr(t, "Renew after Revoke", err, blob.ErrDenied)
	if !strings.Contains(err.Error(), oauth.SignInAgain("gdrive:")) || !strings.Contains(err.Error(), "7 days") {
		t.Errorf("it does not say why and what to do: %v", err)
	}
}

// TestSecretsStayHere: a token endpoint that redirects, or answers an error full of secrets, gets none out of us.
func TestSecretsStayHere(t *testing.T) {
	const secret = "refresh-secret"
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	for what, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
		"an echo": func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, r.PostForm.Encode())
		},
		"not JSON": func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			io.WriteString(w, "{"+r.PostForm.Encode())
		},
	} {
		server := httptest.NewServer(answer)
		source := oauth.NewSource(oauth.Credentials{Client: client, RefreshToken: secret}, oauth.SourceOptions{Endpoints: oauth.Endpoints{Token: server.URL}})
		_, err := source.Token(t.Context())
		if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), client.Secret) {
			t.Errorf("%s: %v", what, err)
		}
		server.Close()
	}
	if reached {
		t.Error("a request with secrets followed a redirect")
	}
}

func TestCredentialsPrintRedacted(t *testing.T) {
	c := oauth.Credentials{Client: client, RefreshToken: "r-secret", AccessToken: "a-secret"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "c", c, "in", struct{ C oauth.Credentials }{c})
	for _, printed := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%+v", &c), log.String()} {
		if strings.Contains(printed, "secret\"") || strings.Contains(printed, "-secret") {
			t.Error(printed)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(oauth.Credentials{Client: client, RefreshToken: "r", Scope: oauth.ScopeHidden}.Encode())
	f.Add(oauth.Credentials{
		Client: client, RefreshToken: "r", AccessToken: "a", AccessExpiry: time.Unix(1_800_000_000, 0).UTC(), RefreshExpiry: time.Unix(1_800_000_001, 0).UTC(),
	}.Encode())
	f.Add([]byte(`{"client":{"id":"x"},"refresh_token":"\ud800"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := oauth.Decode(data)
		if err != nil {
			return
		}
		again, err := oauth.Decode(c.Encode())
		if err != nil || !bytes.Equal(again.Encode(), c.Encode()) {
			t.Errorf("%q is not kept: %v", data, err)
		}
	})
}
