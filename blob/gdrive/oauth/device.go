// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// DeviceCode is what the user does on another device: open Address and type UserCode, before Expires.
type DeviceCode struct {
	Address, UserCode string
	Expires           time.Time
}

// Device signs in with a code that the user types on any device (RFC 8628). It needs a client of type "TVs and Limited Input devices". Google gives such a
// client few scopes: ScopeFolder works. Google's documentation lists ScopeHidden too, but its endpoint has been seen to refuse it; the error then
// says what to do instead.
//
// Errors: blob.ErrDenied, blob.ErrUnreachable.
func (a Authorizer) Device(ctx context.Context, show func(DeviceCode) error) (Credentials, error) {
	ctx, cancel := a.limited(withHTTP(ctx, a.HTTP))
	defer cancel()
	cfg := a.config()
	asked, err := cfg.DeviceAuth(ctx)
	if err != nil {
		return Credentials{}, fmt.Errorf("sign in: %w", explain(ctx, err, destination(Credentials{Scope: a.Scope})))
	}
	code := DeviceCode{asked.VerificationURI, asked.UserCode, asked.Expiry}
	if err := code.check(); err != nil {
		return Credentials{}, fmt.Errorf("sign in: %w", err)
	}
	if err := show(code); err != nil {
		return Credentials{}, fmt.Errorf("sign in: %w", err)
	}
	asked.Interval = min(asked.Interval, int64(signInTime/time.Second)) // a server may ask for any
	t, err := cfg.DeviceAccessToken(ctx, asked)
	if err != nil {
		return Credentials{}, fmt.Errorf("sign in: %w", explain(ctx, err, destination(Credentials{Scope: a.Scope})))
	}
	return a.credentials(t)
}

// check refuses what is shown to a person and could be something else than an address and a code.
func (c DeviceCode) check() error {
	address, err := url.Parse(c.Address)
	if err != nil || len(c.Address) > 256 || !printable(c.Address) || !(address.Scheme == "https" || isLoopback(address)) {
		return fmt.Errorf("the sign-in page %.64q is not an https address", c.Address)
	}
	if c.UserCode == "" || len(c.UserCode) > 64 || !printable(c.UserCode) {
		return fmt.Errorf("the code %.64q cannot be typed", c.UserCode)
	}
	return nil
}

func isLoopback(address *url.URL) bool {
	ip, err := netip.ParseAddr(address.Hostname())
	return err == nil && ip.IsLoopback() && address.Scheme == "http"
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) })
}
