// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// maxDrainBytes of an answer that nobody reads are read all the same, so that its connection can be used again.
const maxDrainBytes = 16 << 10

// client sends requests, again where that helps. It is the library's HTTP client too, which so sees no answer but success:
// it reads bodies of failures without a bound, and takes 207, the failure of a part, for success.
type client struct {
	http           *http.Client
	retry          *transport.Retry
	user, password string
}

func newClient(config Config) client {
	made := config.HTTPClient
	if made == nil {
		made = transport.New(transport.Options{UploadBytesPerSecond: config.UploadBytesPerSecond})
	}
	c := client{retry: &transport.Retry{}, user: config.User, password: config.Password}
	// A method other than GET does not survive a redirect, and a folder's redirect tells it from an object.
	copied := *made
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &copied
	return c
}

// Do implements the library's HTTPClient for requests without a body whose answer says nothing but success.
func (c client) Do(req *http.Request) (*http.Response, error) {
	err := c.send(req, func(resp *http.Response) error {
		if resp.StatusCode == http.StatusMultiStatus {
			return &statusError{method: req.Method, code: resp.StatusCode}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
}

// send has use read the answer if it is a success. Both happen again when they fail for a moment; a body comes from GetBody.
func (c client) send(req *http.Request, use func(*http.Response) error) error {
	tries := 0
	return c.retry.Do(req.Context(), func(ctx context.Context) error {
		tries++
		once := req.Clone(ctx)
		if req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return err
			}
			once.Body = body
		}
		if c.user != "" {
			once.SetBasicAuth(c.user, c.password)
		}
		once.Header.Set("Accept-Encoding", "identity") // what expands has no bound, and no length to check
		resp, err := c.http.Do(once)
		if err != nil {
			return transport.FromNetwork(ctx, err)
		}
		defer resp.Body.Close()
		if err := judge(resp, tries); err != nil {
			io.CopyN(io.Discard, resp.Body, maxDrainBytes)
			return err
		}
		if use != nil {
			if err := use(resp); err != nil {
				return err
			}
		}
		io.CopyN(io.Discard, resp.Body, maxDrainBytes)
		return nil
	})
}

// request makes a request of this store's server.
func (s *Store) request(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Request, error) {
	address := url.URL{Scheme: s.base.Scheme, Host: s.base.Host, Path: path}
	req, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if len(body) == 0 && method != http.MethodPut {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
	}
	for key, values := range header {
		req.Header[key] = values
	}
	return req, nil
}

// statusError is an answer that is no success. Its text is ours: the server's could be anything.
type statusError struct {
	method string
	code   int
	class  error // of package blob, or nil
	tries  int   // how often it was sent until this answer; the effect may be that of an earlier try
	hint   string
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the server answers %s with %d %s", e.method, e.code, http.StatusText(e.code))
	if e.class != nil {
		text = fmt.Sprintf("%v: %s", e.class, text)
	}
	return text + e.hint
}

func (e *statusError) Unwrap() error { return e.class }

// judge returns nil for a success, else the error that the status stands for.
func judge(resp *http.Response, tries int) error {
	e := &statusError{method: resp.Request.Method, code: resp.StatusCode, tries: tries}
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
			return fmt.Errorf("the server answers %s in an encoding that was not asked for", e.method)
		}
		return nil
	case code >= 300 && code < 400:
		return redirected(resp, e)
	case code == http.StatusNotFound, code == http.StatusGone:
		e.class = blob.ErrNotFound
	case code == http.StatusUnauthorized:
		e.class, e.hint = blob.ErrDenied, "; check user and password"
	case code == http.StatusForbidden:
		e.class = blob.ErrDenied
	case code == http.StatusInsufficientStorage:
		e.class = blob.ErrFull
	case code == http.StatusRequestEntityTooLarge:
		e.class, e.hint = blob.ErrFull, "; its limit for one upload must be at least 17 MiB"
	case code == http.StatusNotImplemented:
		e.hint = "; it is no WebDAV server, or not set up as one"
	case code == http.StatusLocked:
		return transport.Temporary(e, 0)
	}
	if passes, after := transport.FromStatus(resp); passes {
		return transport.Temporary(e, after)
	}
	return e
}

// redirected tells a folder, asked for without its last slash, from a server that has another address.
func redirected(resp *http.Response, e *statusError) error {
	e.class = blob.ErrUnreachable
	asked := resp.Request.URL
	if to, err := resp.Location(); err == nil {
		if to.Path == asked.Path+"/" {
			return errCollection
		}
		e.hint = fmt.Sprintf("; it redirects to %.100q: if that is right, configure it", to.Scheme+"://"+to.Host+to.Path)
	}
	return e
}
