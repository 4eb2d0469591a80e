// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"maps"
	"net/http"
	"net/url"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coffer-backup/coffer/internal/token"
)

const (
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"

	maxBody     = 16 << 10 // bytes
	maxName     = 255      // bytes of an account or an audience
	maxPending  = 1024     // logins that were begun
	pendingLife = 10 * time.Minute
	refreshLife = 365 * 24 * time.Hour
)

// refusal is an OAuth error (RFC 6749 section 5.2).
type refusal struct {
	status int
	code   string
	why    string // for whoever develops a client
}

func badRequest(code, why string) *refusal { return &refusal{http.StatusBadRequest, code, why} }

// form serves an endpoint that takes a form of bounded size. No field but resource may come twice (RFC 6749 section
// 3.2, RFC 8707 section 2).
func form(endpoint func(*http.Request) (map[string]any, *refusal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		refused := checkForm(r)
		var body map[string]any
		if refused == nil {
			body, refused = endpoint(r)
		}
		if refused != nil {
			answer(w, refused.status, map[string]any{"error": refused.code, "error_description": refused.why})
			return
		}
		answer(w, http.StatusOK, body)
	}
}

func checkForm(r *http.Request) *refusal {
	if err := r.ParseForm(); err != nil {
		return badRequest("invalid_request", "the form cannot be read, or is too long")
	}
	for field, values := range r.PostForm {
		if len(values) > 1 && field != "resource" {
			return badRequest("invalid_request", "a field comes twice")
		}
	}
	return nil
}

// authorizeDevice begins a login (RFC 8628 section 3.1): login_hint is the account, role the device's role, primary if not given. Both are
// taken at their word.
func (i *Issuer) authorizeDevice(r *http.Request) (map[string]any, *refusal) {
	who, refused := parseIdentity(r.PostForm)
	if refused != nil {
		return nil, refused
	}
	code := newSecret()
	if !i.begin(code, who) {
		return nil, &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "too many logins are waiting"}
	}
	return map[string]any{
		"device_code": code, "user_code": newUserCode(), "verification_uri": baseURL(r, devicePath) + pagePath,
		"expires_in": int(pendingLife / time.Second), "interval": 1,
	}, nil
}

func parseIdentity(form url.Values) (identity, *refusal) {
	account := form.Get("login_hint")
	if !isName(account) {
		return identity{}, badRequest("invalid_request", "login_hint must name an account: 1 to 255 bytes of printable UTF-8")
	}
	text := form.Get("role")
	if text == "" {
		text = token.Primary.String()
	}
	role, ok := token.ParseRole(text)
	if !ok {
		return identity{}, badRequest("invalid_request", "role must be primary or companion")
	}
	return identity{account, role}, nil
}

func isName(s string) bool {
	if s == "" || len(s) > maxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// begin remembers a login; false means that too many are waiting.
func (i *Issuer) begin(code string, who identity) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	maps.DeleteFunc(i.pending, func(_ secretHash, l login) bool { return !now.Before(l.expires) })
	if len(i.pending) >= maxPending {
		return false
	}
	i.pending[hashOf(code)] = login{who, now.Add(pendingLife)}
	return true
}

// grant gives tokens for a device code or a refresh token (RFC 8628 section 3.4, RFC 6749 section 6).
func (i *Issuer) grant(r *http.Request) (map[string]any, *refusal) {
	audience, refused := i.parseAudience(r.PostForm)
	if refused != nil {
		return nil, refused
	}
	who, refresh, refused := i.redeem(r.PostForm)
	if refused != nil {
		return nil, refused
	}
	body := map[string]any{"access_token": i.Token(who.account, who.role, audience), "token_type": "Bearer",
		"expires_in": int(Lifetime / time.Second)}
	if refresh != "" {
		body["refresh_token"] = refresh
	}
	return body, nil
}

// parseAudience reads the one resource (RFC 8707) that the token will be for. Without one the token is for the issuer
// itself, which is of no use to anyone, but there must be one in the answer (RFC 6749 section 5.1).
func (i *Issuer) parseAudience(form url.Values) (string, *refusal) {
	switch resources := form["resource"]; {
	case len(resources) == 0:
		return i.name, nil
	case len(resources) == 1 && isName(resources[0]):
		return resources[0], nil
	}
	return "", badRequest("invalid_target", "name one resource")
}

// redeem finds out whom a grant stands for. A device code is good once and gives a refresh token.
func (i *Issuer) redeem(form url.Values) (who identity, refresh string, refused *refusal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch form.Get("grant_type") {
	case grantDevice:
		return i.finish(hashOf(form.Get("device_code")))
	case grantRefresh:
		l, ok := i.refresh.find(hashOf(form.Get("refresh_token")))
		if !ok || !i.now().Before(l.expires) {
			return identity{}, "", badRequest("invalid_grant", "the refresh token is unknown or has expired: log in again")
		}
		return l.identity, "", nil
	}
	return identity{}, "", badRequest("unsupported_grant_type", "only device_code and refresh_token")
}

// finish approves a login. The refresh token is durable before anyone learns it.
func (i *Issuer) finish(code secretHash) (identity, string, *refusal) {
	l, ok := i.pending[code]
	if !ok || !i.now().Before(l.expires) {
		return identity{}, "", badRequest("expired_token", "the device code is unknown, used or has expired: log in again")
	}
	refresh := newSecret()
	if err := i.refresh.add(hashOf(refresh), login{l.identity, i.now().Add(refreshLife)}, i.now()); err != nil {
		return identity{}, "", &refusal{http.StatusInternalServerError, "server_error", "the refresh token could not be stored"}
	}
	delete(i.pending, code)
	return l.identity, refresh, nil
}
