// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coffer-backup/coffer/blob/internal/transport"
)

const (
	// An error is read up to here; Amazon's have less than 2 KiB.
	maxErrorBytes = 64 << 10

	// A page of a listing has at most 1,000 objects, each a key of at most 3 × 1,024 bytes (URL-encoded) and up to some
	// twenty short elements. The second bound is on what takes memory: a parsed object is as large as a hundred of the smallest elements.
	maxPageBytes  = 4 << 20
	maxPageMarkup = 50_000
)

// errNotS3 means that an answer is not one that an S3 service gives.
var errNotS3 = errors.New("the server does not answer as an S3 service does")

// An attempt is what one call of the library met on the wire. The library keeps less of it than is needed: no
// Retry-After, and not whether an answer came at all.
type attempt struct {
	status int           // of the last answer; 0: none came
	cut    bool          // the answer ended too soon
	isS3   bool          // an error's body is one of S3's
	passes bool          // the status may pass
	after  time.Duration // how long the server asks to wait
	pages  *pages        // of a listing
	object bool          // the body of a success is an object's, which the caller bounds
}

type attemptKey struct{}

func (a *attempt) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// observer fills the attempt in a request's context, and bounds what is read of the answer.
type observer struct{ base http.RoundTripper }

func (o observer) RoundTrip(req *http.Request) (*http.Response, error) {
	a, ok := req.Context().Value(attemptKey{}).(*attempt)
	if !ok {
		return nil, errors.New("s3: a request that was not asked for") // the library's own, such as for a region
	}
	a.status, a.cut, a.isS3 = 0, false, false
	if a.pages != nil {
		if err := a.pages.turn(req.URL.Query().Get("continuation-token")); err != nil {
			return nil, err
		}
	}
	resp, err := o.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	a.status = resp.StatusCode
	a.passes, a.after = transport.FromStatus(resp)
	switch {
	case resp.StatusCode >= 300:
		a.keepError(resp)
	case !a.object:
		resp.Body = &page{ReadCloser: resp.Body, a: a}
	default:
		resp.Body = &body{resp.Body, a}
	}
	return resp, nil
}

// keepError replaces the body by its beginning: the library would read all of it, however long it is.
func (a *attempt) keepError(resp *http.Response) {
	text, _ := transport.ReadAll(resp.Body, maxErrorBytes) // the status says enough if this fails
	resp.Body.Close()
	a.isS3 = bytes.Contains(text, []byte("<Code>"))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
}

// body notes when it ends too soon.
type body struct {
	io.ReadCloser
	a *attempt
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.a.cut = b.a.cut || err != nil && err != io.EOF
	return n, err
}

// page bounds an answer in XML.
type page struct {
	io.ReadCloser
	a              *attempt
	length, markup int
}

func (b *page) Read(p []byte) (int, error) {
	if b.length > maxPageBytes || b.markup > maxPageMarkup {
		return 0, fmt.Errorf("%w: its answer is larger than a page of a listing can be", errNotS3)
	}
	n, err := b.ReadCloser.Read(p)
	b.length += n
	b.markup += bytes.Count(p[:n], []byte("<"))
	b.a.cut = b.a.cut || err != nil && err != io.EOF
	return n, err
}
