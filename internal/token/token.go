// SPDX-License-Identifier: Apache-2.0

// Package token checks access tokens: JWTs (RFC 7519) in compact serialisation, signed with EdDSA or ES256.
//
// It guarantees that an accepted token was signed by a pinned key, for this
// audience, and names an account and a device's role; and that the same token
// and time give the same verdict on every replica, for it reads no clock and
// draws nothing at random. It trusts the issuer whose keys it was given, and
// its caller's time. It refuses everything it does not know: RFC 8725 lists the
// attacks on laxer readers.
package token

import (
	"errors"
	"fmt"
)

// MaxSize bounds a token, in bytes.
const MaxSize = 4096

var (
	// ErrInvalid means that this is no token of this issuer for this audience, whatever the time.
	ErrInvalid = errors.New("the token is not valid here")
	// ErrExpired means that the token was valid once.
	ErrExpired = errors.New("the token has expired")
)

// Role says what a device of an account may do. The zero Role is none.
type Role uint8

const (
	Primary   Role = 1 // may register, change and delete
	Companion Role = 2 // may ask for the status
)

// ParseRole reads a role as the claim "coffer_role" writes it.
func ParseRole(text string) (Role, bool) {
	for _, r := range []Role{Primary, Companion} {
		if text == r.String() {
			return r, true
		}
	}
	return 0, false
}

func (r Role) String() string {
	switch r {
	case Primary:
		return "primary"
	case Companion:
		return "companion"
	}
	return "none"
}

// Claims are what a token says about its bearer. Times are milliseconds since 1970.
type Claims struct {
	Issuer     string
	Subject    string // 1 to 255 bytes
	Role       Role
	IssuedAtMs int64
	ExpiresMs  int64
}

const (
	maxSubjectSize = 255
	maxLifetimeMs  = 24 * 3600_000
	leewayMs       = 60_000 // by which an issuer's clock may be ahead
)

// Verifier accepts the tokens of one issuer for one audience. It is safe for concurrent use.
type Verifier struct {
	issuer, audience string
	keys             map[string]verifyKey // by kid
}

// NewVerifier pins an issuer's keys.
func NewVerifier(issuer, audience string, keys []Key) (*Verifier, error) {
	if issuer == "" || audience == "" || len(keys) == 0 {
		return nil, errors.New("token: an issuer, an audience and a key are needed")
	}
	v := &Verifier{issuer, audience, make(map[string]verifyKey, len(keys))}
	for _, k := range keys {
		parsed, err := k.parse()
		if err != nil {
			return nil, err
		}
		if _, twice := v.keys[k.ID]; twice {
			return nil, fmt.Errorf("token: two keys are called %q", k.ID)
		}
		v.keys[k.ID] = parsed
	}
	return v, nil
}

// Verify returns the claims of a token that is valid at nowMs. The error is ErrInvalid
// or ErrExpired, and says no more: the rest would help only whoever forges.
func (v *Verifier) Verify(token string, nowMs int64) (Claims, error) {
	payload, err := v.open(token)
	if err != nil {
		return Claims{}, err
	}
	c, notBeforeMs, ok := v.parseClaims(payload)
	if !ok {
		return Claims{}, ErrInvalid
	}
	if err := c.checkTimes(notBeforeMs, nowMs); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// checkTimes gives no leeway at the end: whoever issues tokens chooses their life. It grants some
// at the beginning, because a device uses a token the moment it gets it.
func (c *Claims) checkTimes(notBeforeMs, nowMs int64) error {
	switch {
	case c.ExpiresMs <= c.IssuedAtMs || c.ExpiresMs-c.IssuedAtMs > maxLifetimeMs:
		return ErrInvalid
	case max(c.IssuedAtMs, notBeforeMs)-leewayMs > nowMs:
		return ErrInvalid
	case c.ExpiresMs <= nowMs:
		return ErrExpired
	}
	return nil
}
