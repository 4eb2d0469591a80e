// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// Endpoints of the authorization server. What is empty is Google's.
type Endpoints struct {
	Auth, Token, Device string
}

const (
	googleAuth   = "https://accounts.google.com/o/oauth2/v2/auth"
	googleToken  = "https://oauth2.googleapis.com/token"
	googleDevice = "https://oauth2.googleapis.com/device/code"

	signInTime = 10 * time.Minute
	unsaidLife = 5 * time.Minute // of an access token whose end is not told
)

// Authorizer signs a user in.
type Authorizer struct {
	Client Client
	Scope  string // ScopeHidden or ScopeFolder

	Endpoints Endpoints     // for tests
	HTTP      *http.Client  // nil for the usual one
	Timeout   time.Duration // for the user's part; 0 means 10 minutes
}

func (a Authorizer) config() *oauth2.Config { return config(a.Client, a.Endpoints, a.Scope) }

func config(client Client, e Endpoints, scopes ...string) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     client.ID,
		ClientSecret: client.Secret,
		Scopes:       scopes,
		Endpoint: oauth2.Endpoint{
			AuthURL:       or(e.Auth, googleAuth),
			TokenURL:      or(e.Token, googleToken),
			DeviceAuthURL: or(e.Device, googleDevice),
			AuthStyle:     oauth2.AuthStyleInParams, // a second try in another style would spend the code
		},
	}
}

func or(given, usual string) string {
	if given != "" {
		return given
	}
	return usual
}

// withHTTP makes the library use a client that follows no redirect: the requests carry secrets in their bodies.
func withHTTP(ctx context.Context, given *http.Client) context.Context {
	if given == nil {
		given = transport.New(transport.Options{})
	}
	client := *given
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return context.WithValue(ctx, oauth2.HTTPClient, &client)
}

func (a Authorizer) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := a.Timeout
	if limit <= 0 {
		limit = signInTime
	}
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: nobody signed in within %v; begin again", blob.ErrDenied, limit))
}

// credentials takes the first token of a sign-in.
func (a Authorizer) credentials(t *oauth2.Token) (Credentials, error) {
	c := Credentials{Client: a.Client, Scope: a.Scope}
	if granted, ok := t.Extra("scope").(string); ok {
		c.Scope = granted
	}
	c.take(t, time.Now())
	switch {
	case !c.has(a.Scope):
		return Credentials{}, fmt.Errorf("%w: the permission for Google Drive was not given; sign in again and leave its box ticked", blob.ErrDenied)
	case c.RefreshToken == "":
		return Credentials{}, fmt.Errorf("%w: Google gave a sign-in that ends within the hour (no refresh token); remove Coffer at myaccount.google.com/connections and sign in again",
			blob.ErrDenied)
	}
	return c, nil
}

// take keeps what an answer of the token endpoint says, and reports whether the refresh token is another than before.
func (c *Credentials) take(t *oauth2.Token, now time.Time) (renewed bool) {
	c.AccessToken, c.AccessExpiry = t.AccessToken, t.Expiry.UTC()
	if t.Expiry.IsZero() {
		c.AccessExpiry = now.Add(unsaidLife)
	}
	if t.RefreshToken != "" && t.RefreshToken != c.RefreshToken {
		c.RefreshToken, c.RefreshExpiry, renewed = t.RefreshToken, time.Time{}, true
	}
	if seconds, ok := t.Extra("refresh_token_expires_in").(float64); ok && seconds > 0 && seconds < 10*365*24*3600 {
		c.RefreshExpiry = now.Add(time.Duration(seconds) * time.Second).UTC().Truncate(time.Second)
	}
	return renewed
}
