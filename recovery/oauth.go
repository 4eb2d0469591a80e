// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	clientID        = "coffer"
	maxOAuthAnswer  = 64 << 10         // bytes
	maxShown        = 2048             // bytes of a text for the user
	defaultInterval = 5 * time.Second  // between polls (RFC 8628 section 3.5)
	maxInterval     = time.Minute      // who asks for more is not waited for
	maxLogin        = 30 * time.Minute // until a device code is given up
	maxSilent       = 4                // polls in a row without an answer, until the issuer is given up

	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"
)

// Issuer is a token issuer that is reached at a URL.
type Issuer struct {
	URL    string       // below it lies /.well-known/openid-configuration; https, or http to this machine itself
	Name   string       // what its tokens call it: the policy's Issuer; empty: the URL
	Client *http.Client // nil: one with a timeout

	// Wait waits between polls, until the context ends. Nil: by the clock.
	Wait func(context.Context, time.Duration) error
}

// LoginRequest is what a device asks to be.
type LoginRequest struct {
	Account   string   // a hint that the issuer may ignore
	Role      string   // "primary" or "companion": the development issuer's own field
	Audiences []string // of the tokens that will be asked for (RFC 8707): the core's and the gateway's
}

// Login lets the user approve this device at the issuer (RFC 8628) and returns a refresh token. It shows the
// user where to go and the code to compare there, and waits; an issuer that approves by itself does so at once.
func (i *Issuer) Login(ctx context.Context, r LoginRequest, prompt func(url, code string)) (refreshToken string, err error) {
	at, err := i.discover(ctx)
	if err != nil {
		return "", err
	}
	form := url.Values{"client_id": {clientID}, "scope": {"offline_access"}, "resource": r.Audiences}
	for field, value := range map[string]string{"login_hint": r.Account, "role": r.Role} {
		if value != "" {
			form.Set(field, value)
		}
	}
	var device struct {
		DeviceCode      string `json:"device_code"`
		UserCode        string `json:"user_code"`
		VerificationURI string `json:"verification_uri"`
		Interval        int64  `json:"interval"`
		ExpiresIn       int64  `json:"expires_in"`
	}
	if err := i.post(ctx, at.DeviceAuthorization, form, &device); err != nil {
		return "", err
	}
	if device.DeviceCode == "" || !isPlain(device.VerificationURI) || !isPlain(device.UserCode) {
		return "", fmt.Errorf("%w: the issuer gave no usable device code", ErrLogin)
	}
	prompt(device.VerificationURI, device.UserCode)
	return i.poll(ctx, at.Token, device.DeviceCode, seconds(device.Interval, maxInterval), seconds(device.ExpiresIn, maxLogin))
}

// poll asks until the user has approved, waiting as the issuer wants, and no longer than the code lives.
func (i *Issuer) poll(ctx context.Context, at, code string, interval, left time.Duration) (string, error) {
	if interval == 0 {
		interval = defaultInterval
	}
	if left == 0 {
		left = maxLogin
	}
	form := url.Values{"client_id": {clientID}, "grant_type": {grantDevice}, "device_code": {code}}
	for silent := 0; ; {
		var tokens tokenAnswer
		err := i.post(ctx, at, form, &tokens)
		refusal, _ := errors.AsType[*oauthError](err)
		if silent++; refusal != nil {
			silent = 0
		}
		switch {
		case err == nil && tokens.RefreshToken == "":
			return "", fmt.Errorf("%w: the issuer gave no refresh token", ErrLogin)
		case err == nil:
			return tokens.RefreshToken, nil
		case refusal != nil && refusal.Code == "slow_down":
			interval += defaultInterval // RFC 8628 section 3.5
		case silent == maxSilent && errors.Is(err, ErrUnavailable):
			return "", fmt.Errorf("%w (it stopped answering before it had let this device in: log in again)", err)
		case refusal == nil && errors.Is(err, ErrUnavailable):
			interval *= 2 // the same section: back off, the user may have approved meanwhile
		case refusal == nil || refusal.Code != "authorization_pending":
			return "", err
		}
		if left -= interval; left < 0 {
			return "", fmt.Errorf("%w: the code was not approved in time", ErrLogin)
		}
		if err := i.wait(ctx, interval); err != nil {
			return "", err
		}
	}
}

func (i *Issuer) wait(ctx context.Context, d time.Duration) error {
	if i.Wait != nil {
		return i.Wait(ctx, d)
	}
	return sleep(ctx, d)
}

// endpoints are what we need of the issuer's metadata (RFC 8414, RFC 8628 section 4).
type endpoints struct {
	Issuer              string `json:"issuer"`
	DeviceAuthorization string `json:"device_authorization_endpoint"`
	Token               string `json:"token_endpoint"`
}

// discover asks for the endpoints. They may be relative to the issuer's URL, for an issuer that does not know where it is reached.
func (i *Issuer) discover(ctx context.Context) (*endpoints, error) {
	base, err := parseURL(i.URL)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("/.well-known/openid-configuration").String(), nil)
	if err != nil {
		return nil, err
	}
	at := new(endpoints)
	if err := i.do(request, at); err != nil {
		return nil, err
	}
	want := i.Name
	if want == "" {
		want = i.URL
	}
	if strings.TrimSuffix(at.Issuer, "/") != strings.TrimSuffix(want, "/") { // or one issuer could speak for another
		return nil, fmt.Errorf("%w: the issuer calls itself %.100q, not %q", ErrLogin, at.Issuer, want)
	}
	for _, endpoint := range []*string{&at.DeviceAuthorization, &at.Token} {
		if *endpoint, err = resolve(base, *endpoint); err != nil {
			return nil, err
		}
	}
	return at, nil
}

func resolve(base *url.URL, endpoint string) (string, error) {
	if endpoint == "" {
		return "", fmt.Errorf("%w: the issuer has no device login", ErrLogin)
	}
	u, err := base.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("%w: the issuer's endpoint is no URL", ErrLogin)
	}
	if _, err := parseURL(u.String()); err != nil {
		return "", fmt.Errorf("%w: the issuer's endpoint: %w", ErrLogin, err)
	}
	return u.String(), nil
}

// oauthError is the issuer's refusal (RFC 6749 section 5.2).
type oauthError struct {
	Code string `json:"error"`
}

func (e *oauthError) Error() string {
	return fmt.Sprintf("%v (the issuer says %.40q)", ErrLogin, e.Code)
}
func (e *oauthError) Unwrap() error { return ErrLogin }

func (i *Issuer) post(ctx context.Context, at string, form url.Values, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return i.do(request, answer)
}

func (i *Issuer) do(request *http.Request, answer any) error {
	request.Header.Set("Accept", "application/json")
	response, err := noRedirects(i.Client).Do(request)
	if err != nil {
		return unavailable(request.Context(), err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOAuthAnswer)) // what is cut off is no JSON
	if err != nil {
		return unavailable(request.Context(), err)
	}
	defer clear(body)
	if response.StatusCode == http.StatusOK {
		if json.Unmarshal(body, answer) != nil {
			return fmt.Errorf("%w: the issuer's answer is not what RFC 8628 says", ErrUnavailable)
		}
		return nil
	}
	refusal := new(oauthError)
	busy := response.StatusCode == http.StatusTooManyRequests
	if response.StatusCode/100 == 4 && !busy && json.Unmarshal(body, refusal) == nil && refusal.Code != "" {
		return refusal
	}
	return fmt.Errorf("%w: the issuer answers with status %d", ErrUnavailable, response.StatusCode)
}

// isPlain reports whether an issuer's text may be shown to the user: it must not move the cursor of a terminal.
func isPlain(text string) bool {
	return len(text) <= maxShown && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// seconds bounds a time that was told; negative is none.
func seconds(n int64, limit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), int64(limit/time.Second))) * time.Second
}
