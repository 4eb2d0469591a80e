// SPDX-License-Identifier: Apache-2.0

package fakedrive

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// grant is what a user has allowed a client.
type grant struct {
	client, scope       string
	expires             time.Time
	challenge, redirect string // of an authorization code
	offline             bool
}

func (g grant) has(scope string) bool {
	for one := range strings.FieldsSeq(g.scope) {
		if one == scope {
			return true
		}
	}
	return false
}

type device struct {
	grant
	userCode string
	approved bool
	denied   bool
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// AddClient registers another OAuth client.
func (s *Server) AddClient(id, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[id] = secret
}

// Grant returns a refresh token as if the user had just agreed.
func (s *Server) Grant(clientID, scope string) (refreshToken string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newRefresh(grant{client: clientID, scope: scope, offline: true})
}

// ExpireAccess ends all access tokens at once, before their time.
func (s *Server) ExpireAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// Revoke takes back all that the user has agreed to.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
	clear(s.refresh)
}

// Approve answers a device's code as the user would, and reports whether a device waits with it.
func (s *Server) Approve(userCode string, yes bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		if d.userCode == userCode {
			d.approved, d.denied = yes, !yes
			return true
		}
	}
	return false
}

func (s *Server) newRefresh(g grant) string {
	g.expires = time.Now().Add(10 * 365 * 24 * time.Hour)
	if s.b.RefreshLifetime > 0 {
		g.expires = time.Now().Add(s.b.RefreshLifetime)
	}
	token := "refresh-" + rand.Text()
	s.refresh[token] = g
	return token
}

// consent is the page where the user agrees; here they have done so already.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	form := r.URL.Query()
	redirect, err := url.Parse(form.Get("redirect_uri"))
	_, known := s.clients[form.Get("client_id")]
	if err != nil || redirect.Hostname() != "127.0.0.1" || !known || form.Get("response_type") != "code" ||
		form.Get("code_challenge_method") != "S256" || form.Get("scope") == "" {
		http.Error(w, "Error 400: invalid_request", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {form.Get("state")}}
	if s.b.DenyConsent {
		back.Set("error", "access_denied")
	} else {
		code := "code-" + rand.Text()
		s.codes[code] = grant{
			client: form.Get("client_id"), scope: form.Get("scope"), expires: time.Now().Add(time.Minute),
			challenge: form.Get("code_challenge"), redirect: form.Get("redirect_uri"), offline: form.Get("access_type") == "offline",
		}
		back.Set("code", code)
		back.Set("scope", form.Get("scope"))
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

func (s *Server) deviceCode(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.clients[r.PostFormValue("client_id")]; !known {
		oauthError(w, http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
		return
	}
	// The real endpoint has been seen to refuse drive.appdata too, though its documentation lists it.
	if scope := r.PostFormValue("scope"); scope != scopeFile {
		oauthError(w, http.StatusBadRequest, "invalid_scope", "Invalid device flow scope: "+scope)
		return
	}
	code := "device-" + rand.Text()
	d := &device{userCode: rand.Text()[:8]}
	d.grant = grant{client: r.PostFormValue("client_id"), scope: r.PostFormValue("scope"), expires: time.Now().Add(30 * time.Minute), offline: true}
	s.devices[code] = d
	answer(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": d.userCode, "verification_url": s.URL + "/device", "expires_in": 1800, "interval": 1,
	})
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client := r.PostFormValue("client_id")
	if secret, known := s.clients[client]; !known || secret != r.PostFormValue("client_secret") {
		oauthError(w, http.StatusUnauthorized, "invalid_client", "The provided client secret is invalid.")
		return
	}
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		code := r.PostFormValue("code")
		g, ok := s.codes[code]
		delete(s.codes, code)
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || g.client != client || time.Now().After(g.expires) || g.redirect != r.PostFormValue("redirect_uri") ||
			g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			oauthError(w, http.StatusBadRequest, "invalid_grant", "Malformed auth code.")
			return
		}
		s.issue(w, g, true)
	case "refresh_token":
		g, ok := s.refresh[r.PostFormValue("refresh_token")]
		if !ok || g.client != client || time.Now().After(g.expires) {
			oauthError(w, http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
			return
		}
		s.issue(w, g, false)
	case "urn:ietf:params:oauth:grant-type:device_code":
		s.pollDevice(w, client, r.PostFormValue("device_code"))
	default:
		oauthError(w, http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type")
	}
}

func (s *Server) pollDevice(w http.ResponseWriter, client, code string) {
	d, ok := s.devices[code]
	switch {
	case !ok || d.client != client:
		oauthError(w, http.StatusBadRequest, "invalid_grant", "Malformed device code.")
	case d.denied:
		oauthError(w, http.StatusForbidden, "access_denied", "Forbidden")
	case !d.approved:
		oauthError(w, http.StatusPreconditionRequired, "authorization_pending", "Precondition Required")
	default:
		delete(s.devices, code)
		s.issue(w, d.grant, true)
	}
}

func (s *Server) issue(w http.ResponseWriter, g grant, first bool) {
	lifetime := s.b.AccessLifetime
	if lifetime <= 0 {
		lifetime = time.Hour
	}
	access := "access-" + rand.Text()
	live := g
	live.expires = time.Now().Add(lifetime)
	s.access[access] = live
	token := map[string]any{
		"access_token": access, "expires_in": int(lifetime.Seconds()), "scope": g.scope, "token_type": "Bearer",
	}
	if first && g.offline {
		token["refresh_token"] = s.newRefresh(g)
		if s.b.RefreshLifetime > 0 {
			token["refresh_token_expires_in"] = int(s.b.RefreshLifetime.Seconds())
		}
	} else if s.b.RefreshLifetime > 0 {
		token["refresh_token_expires_in"] = int(time.Until(g.expires).Seconds())
	}
	answer(w, http.StatusOK, token)
}

func oauthError(w http.ResponseWriter, status int, code, description string) {
	answer(w, status, map[string]string{"error": code, "error_description": description})
}
