// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/wire"
)

const (
	maxTokenLife = 24 * time.Hour
	earlier      = time.Minute // a cached token is replaced so much before it expires
)

// Tokens is the TokenSource of a device that has logged in. It keeps access tokens in memory.
type Tokens struct {
	issuer Issuer
	save   func(refreshToken string) error

	mu      sync.Mutex
	refresh string
	saved   string                 // the refresh token that is durable
	cached  map[string]cachedToken // by audience
}

type cachedToken struct {
	token string
	until time.Time
}

// NewTokens returns the tokens that a refresh token stands for. An issuer may replace the refresh token; save, if not nil,
// makes the new one durable, since the old one may be worthless then.
func NewTokens(issuer Issuer, refreshToken string, save func(string) error) *Tokens {
	return &Tokens{issuer: issuer, save: save, refresh: refreshToken, saved: refreshToken, cached: map[string]cachedToken{}}
}

type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"`
}

// Token implements TokenSource.
func (t *Tokens) Token(ctx context.Context, audience string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.cached[audience]; ok && time.Now().Before(c.until) {
		return c.token, nil
	}
	at, err := t.issuer.discover(ctx)
	if err != nil {
		return "", err
	}
	form := url.Values{"client_id": {clientID}, "grant_type": {grantRefresh}, "refresh_token": {t.refresh}, "resource": {audience}}
	var answer tokenAnswer
	if err := t.issuer.post(ctx, at.Token, form, &answer); err != nil {
		return "", err
	}
	if err := t.replace(answer.RefreshToken); err != nil {
		return "", err
	}
	if answer.AccessToken == "" || len(answer.AccessToken) > wire.MaxTokenSize {
		return "", fmt.Errorf("%w: the issuer gave no usable token", ErrLogin)
	}
	until := time.Now().Add(seconds(answer.ExpiresIn, maxTokenLife) - earlier)
	t.cached[audience] = cachedToken{answer.AccessToken, until.Round(0)} // by the wall clock: the monotonic one stops while a device sleeps
	return answer.AccessToken, nil
}

// replace keeps a rotated refresh token (RFC 6749 section 6), before anything is done with what came along. One that could
// not be saved is used nevertheless, since a second use of the old one looks like theft, and saved the next time.
func (t *Tokens) replace(refreshToken string) error {
	if refreshToken != "" {
		t.refresh = refreshToken
	}
	if t.save == nil || t.refresh == t.saved {
		return nil
	}
	if err := t.save(t.refresh); err != nil {
		return fmt.Errorf("the new login could not be saved: %w", err)
	}
	t.saved = t.refresh
	return nil
}

// Identity is whom a token names.
type Identity struct {
	Issuer, Subject string
	Role            string // "primary" or "companion"
}

// Account returns the account's id.
func (i Identity) Account() wire.AccountID { return wire.NewAccountID(i.Issuer, i.Subject) }

// IdentityOf reads whom our own token names. It verifies nothing: a token that lies about us is refused by the core.
func IdentityOf(token string) (Identity, error) {
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
		Role    string `json:"coffer_role"`
	}
	parts := strings.Split(token, ".")
	if len(token) > wire.MaxTokenSize || len(parts) != 3 {
		return Identity{}, errNoIdentity
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Issuer == "" || claims.Subject == "" {
		return Identity{}, errNoIdentity
	}
	return Identity{claims.Issuer, claims.Subject, claims.Role}, nil
}

var errNoIdentity = errors.New("recovery: the token names no account")
