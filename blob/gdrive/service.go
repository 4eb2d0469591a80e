// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/option"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/gdrive/oauth"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// maxAnswerBytes bounds what is read of an answer that is not an object's bytes. A page of 1,000 files takes less than 1 MiB.
const maxAnswerBytes = 8 << 20

// service sends requests to one Drive. All go through do.
type service struct {
	drive    *drive.Service
	client   *http.Client // the same that drive uses, for upload sessions
	endpoint *url.URL
	tokens   Tokens
	name     string // of the destination, as a user writes it
	retry    transport.Retry
}

func newService(ctx context.Context, c Config) (*service, error) {
	if c.Tokens == nil {
		return nil, fmt.Errorf("%w: nobody is signed in; %s", blob.ErrDenied, oauth.SignInAgain("gdrive:"+c.Folder))
	}
	if c.Endpoint == "" {
		c.Endpoint = googleEndpoint
	}
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" {
		return nil, errors.New("the endpoint is not the address of an API")
	}
	given := c.HTTPClient
	if given == nil {
		given = transport.New(transport.Options{UploadBytesPerSecond: c.UploadBytesPerSecond})
	}
	s := &service{endpoint: endpoint, tokens: c.Tokens, name: "gdrive:" + c.Folder, retry: transport.Retry{Notify: c.Notify}}
	s.client = &http.Client{
		Transport: &guard{given.Transport, endpoint},
		Timeout:   given.Timeout,
		// Drive's API does not redirect; 308 is its word for an upload that goes on.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.drive, err = drive.NewService(ctx, option.WithHTTPClient(s.client), option.WithEndpoint(c.Endpoint),
		option.WithLogger(slog.New(slog.DiscardHandler))) // else an environment variable makes it log requests
	if err != nil {
		return nil, err
	}
	s.drive.UserAgent = "coffer"
	return s, nil
}

// do calls until the outcome is final; see transport.Retry. A token that the server refuses is renewed once for each try. What call
// does must go through the client with the context that it is given.
func (s *service) do(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.retry.Do(ctx, func(ctx context.Context) error {
		token, err := s.tokens.Token(ctx)
		if err != nil {
			return err
		}
		err = classify(ctx, call(context.WithValue(ctx, tokenKey{}, token)))
		if !errors.Is(err, errToken) {
			return err
		}
		if token, err = s.tokens.Renew(ctx, token); err != nil {
			return err
		}
		err = classify(ctx, call(context.WithValue(ctx, tokenKey{}, token)))
		if errors.Is(err, errToken) {
			return fmt.Errorf("%w: Google refuses a token that it has just given (%v); %s", blob.ErrDenied, err, oauth.SignInAgain(s.name))
		}
		return err
	})
}

type tokenKey struct{}

// guard adds the token to what goes to the endpoint's host, sends nothing elsewhere, and bounds what comes back.
type guard struct {
	next     http.RoundTripper
	endpoint *url.URL
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !sameService(r.URL, g.endpoint) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, errElsewhere
	}
	r = r.Clone(r.Context())
	if token, ok := r.Context().Value(tokenKey{}).(string); ok {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	next := g.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if isMedia := r.URL.Query().Get("alt") == "media"; !isMedia || resp.StatusCode >= 300 {
		resp.Body = &bounded{resp.Body, maxAnswerBytes}
	}
	return resp, nil
}

// sameService: Google may name another host of its own for an upload session.
func sameService(address, endpoint *url.URL) bool {
	const google = ".googleapis.com"
	return address.Scheme == endpoint.Scheme && address.User == nil && (address.Host == endpoint.Host ||
		strings.HasSuffix(address.Host, google) && strings.HasSuffix(endpoint.Host, google))
}

// bounded is a body that fails when it is too long, instead of filling the memory of whoever reads it whole.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, transport.ErrTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
