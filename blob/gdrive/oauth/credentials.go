// SPDX-License-Identifier: Apache-2.0

// Package oauth signs in to Google for the driver gdrive, and keeps the sign-in fresh.
//
// A user signs in once, in a browser on the same machine (RFC 8252: a redirect to a port of loopback that the kernel picks, with PKCE and a state) or with a code on any
// device (RFC 8628), with an OAuth client of their own or of whoever runs the service. What comes out are [Credentials]: a small secret
// that the caller keeps in a keyring. A [Source] makes access tokens from them and tells its caller of what is new.
//
// It guarantees that a secret goes to the token endpoint alone, is in no error and no printed value, and that only the answer to the question asked is
// taken: right state, right port, once. It trusts the browser, the system's certificates, and the endpoints that it is
// given. It refuses redirects of a request that carries a secret, and sign-ins that lack the scope or a refresh token.
package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Scopes that the driver asks for. Neither lets Coffer see a file that it did not make.
const (
	ScopeHidden = "https://www.googleapis.com/auth/drive.appdata" // the hidden folder of this OAuth client
	ScopeFolder = "https://www.googleapis.com/auth/drive.file"    // files that this OAuth client made
)

// Client is an OAuth client, as Google's console makes it. The secret of a client of type "Desktop app" is no real secret (RFC 8252, section
// 8.5), but is kept like one.
type Client struct {
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"`
}

// Credentials are a user's consent. They print as (redacted).
type Credentials struct {
	Client       Client `json:"client"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`

	// RefreshExpiry is when the refresh token ends, as Google told with it; zero if it told no end. Sign-ins to a client whose publishing status is
	// "Testing" end 7 days after.
	RefreshExpiry time.Time `json:"refresh_expiry,omitzero"`

	AccessToken  string    `json:"access_token,omitempty"`
	AccessExpiry time.Time `json:"access_expiry,omitzero"`
}

const maxCredentialsBytes = 32 << 10

// Encode returns c as bytes for a keyring. They are secret.
func (c Credentials) Encode() []byte {
	data, err := json.Marshal(plain(c))
	if err != nil {
		panic(err) // strings and times of years that exist
	}
	return data
}

// Decode reads what Encode wrote.
func Decode(data []byte) (Credentials, error) {
	var p plain
	if len(data) > maxCredentialsBytes {
		return Credentials{}, errors.New("the stored sign-in is too long")
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return Credentials{}, errors.New("the stored sign-in cannot be read") // the cause would quote it
	}
	for _, t := range []time.Time{p.RefreshExpiry, p.AccessExpiry} {
		if t.Year() < 0 || t.Year() > 9999 {
			return Credentials{}, errors.New("the stored sign-in has a time that is none")
		}
	}
	if p.Client.ID == "" || p.RefreshToken == "" {
		return Credentials{}, errors.New("the stored sign-in is incomplete")
	}
	return Credentials(p), nil
}

// plain has the fields of Credentials without its methods, which hide them.
type plain Credentials

// ShortLived reports when this sign-in ends, if it was given for a client in testing: then warn, and sign in again before.
func (c Credentials) ShortLived() (end time.Time, short bool) {
	return c.RefreshExpiry, !c.RefreshExpiry.IsZero()
}

func (c Credentials) has(scope string) bool {
	for one := range strings.FieldsSeq(c.Scope) {
		if one == scope {
			return true
		}
	}
	return false
}

const redacted = "(redacted)"

// String keeps the secrets out of what is printed.
func (Credentials) String() string { return redacted }

// GoString is String for %#v.
func (Credentials) GoString() string { return redacted }

// LogValue is String for slog.
func (Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON refuses: only Encode writes the secrets.
func (Credentials) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("credentials are written by Encode alone")
}
