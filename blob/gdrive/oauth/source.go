// SPDX-License-Identifier: Apache-2.0

package oauth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// early is how long before its end an access token counts as ended, so that it does not end on the way.
const early = time.Minute

// Source gives access tokens for credentials, and a new one when one ends. All methods may be called by many goroutines.
type Source struct {
	o SourceOptions

	turn        chan struct{} // holds one element while nobody uses credentials
	credentials Credentials
}

// SourceOptions of a Source. The zero value is usable.
type SourceOptions struct {
	// Save keeps credentials that have changed, such as in a keyring. A failure is passed over, unless the refresh token is a new one: losing that
	// would end the sign-in.
	Save func(Credentials) error

	Endpoints Endpoints    // for tests
	HTTP      *http.Client // nil for the usual one
}

// NewSource returns a source of tokens for credentials.
func NewSource(c Credentials, o SourceOptions) *Source {
	if o.HTTP == nil {
		o.HTTP = transport.New(transport.Options{})
	}
	s := &Source{o: o, turn: make(chan struct{}, 1), credentials: c}
	s.turn <- struct{}{}
	return s
}

// Token returns an access token that is not known to have ended.
//
// Errors: blob.ErrDenied if the user must sign in again, and those of transport.Temporary.
func (s *Source) Token(ctx context.Context) (string, error) { return s.token(ctx, "") }

// Renew returns a token other than this one, which a server has refused before its time.
func (s *Source) Renew(ctx context.Context, refused string) (string, error) {
	return s.token(ctx, refused)
}

func (s *Source) token(ctx context.Context, refused string) (string, error) {
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-s.turn:
	}
	defer func() { s.turn <- struct{}{} }()
	c := &s.credentials
	if c.AccessToken != "" && c.AccessToken != refused && time.Now().Add(early).Before(c.AccessExpiry) {
		return c.AccessToken, nil
	}
	old := &oauth2.Token{RefreshToken: c.RefreshToken}
	t, err := config(c.Client, s.o.Endpoints).TokenSource(withHTTP(ctx, s.o.HTTP), old).Token()
	if err != nil {
		return "", explain(ctx, err, destination(*c))
	}
	renewed := c.take(t, time.Now())
	if s.o.Save != nil {
		if err := s.o.Save(*c); err != nil && renewed {
			return "", fmt.Errorf("keep the new sign-in: %w", err)
		}
	}
	return c.AccessToken, nil
}
