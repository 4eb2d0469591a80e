// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

const (
	contentType  = "application/octet-stream"
	keptMultiple = 256 << 10 // what Drive keeps of an upload that is cut
	maxSessions  = 3
)

// uploadLarge sends data through an upload session, and goes on where it stopped when the connection breaks. It does so itself because Google's
// client sends a cut chunk anew, takes each answer for the whole chunk's, and gives the session up at the first 401 or rate limit.
func (s *service) uploadLarge(ctx context.Context, meta *drive.File, data []byte) (*drive.File, error) {
	for range maxSessions {
		u := upload{s: s, data: data}
		if err := u.start(ctx, meta); err != nil {
			return nil, err
		}
		switch err := u.finish(ctx); {
		case err == nil:
			return u.made, nil
		case !errors.Is(err, blob.ErrNotFound): // what Drive answers when it has given the session up
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: Google Drive has given up %d sessions of this upload", blob.ErrUnreachable, maxSessions)
}

// upload is one session. Its address lets whoever has it add to this file, so it is in no error.
type upload struct {
	s       *service
	data    []byte
	address string

	off    int         // so many bytes the server has
	unsure bool        // whether off is still right
	made   *drive.File // at the end
}

func (u *upload) start(ctx context.Context, meta *drive.File) error {
	body, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	to := u.s.endpoint.ResolveReference(&url.URL{Path: "/upload/drive/v3/files"})
	to.RawQuery = url.Values{"uploadType": {"resumable"}, "fields": {madeFields}}.Encode()
	return u.s.do(ctx, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json; charset=UTF-8")
		r.Header.Set("X-Upload-Content-Type", contentType)
		r.Header.Set("X-Upload-Content-Length", strconv.Itoa(len(u.data)))
		resp, err := u.s.client.Do(r)
		if err != nil {
			return err
		}
		defer drop(resp)
		if err := googleapi.CheckResponse(resp); err != nil {
			return err
		}
		address, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || address.Host == "" {
			return nonsense("an upload session without an address")
		}
		if !sameService(address, u.s.endpoint) {
			return errElsewhere
		}
		u.address = address.String()
		return nil
	})
}

// finish sends until the server has all. Each piece of progress begins the retry's patience anew, and there are at most as many
// pieces as a server that keeps to its multiples can make.
func (u *upload) finish(ctx context.Context) error {
	for range len(u.data)/keptMultiple + 16 {
		if err := u.s.do(ctx, u.step); err != nil || u.made != nil {
			return err
		}
	}
	return fmt.Errorf("%w: Google Drive takes this upload in ever smaller pieces", blob.ErrUnreachable)
}

// step makes some progress, or fails. After a failure it asks first how far the server has come.
func (u *upload) step(ctx context.Context) error {
	if u.unsure {
		before := u.off
		if err := u.exchange(ctx, nil, "*"); err != nil || u.made != nil || u.off > before {
			return err
		}
	}
	u.unsure = true
	before := u.off
	if err := u.exchange(ctx, u.data[u.off:], fmt.Sprintf("%d-%d", u.off, len(u.data)-1)); err != nil || u.made != nil || u.off > before {
		return err
	}
	return transport.Temporary(errors.New("nothing was taken of what was sent"), 0)
}

// exchange sends the bytes of a range, or none, and notes what the server says that it has.
func (u *upload) exchange(ctx context.Context, part []byte, what string) error {
	body := &body{Reader: bytes.NewReader(part), closed: make(chan struct{})}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, u.address, body)
	if err != nil {
		return err
	}
	if r.ContentLength = int64(len(part)); len(part) == 0 {
		r.Body = http.NoBody
		body.Close()
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Content-Range", fmt.Sprintf("bytes %s/%d", what, len(u.data)))
	// The caller of Put may change data when it returns, and a request that was cancelled or answered early may be reading it still.
	defer body.wait()
	resp, err := u.s.client.Do(r)
	if err != nil {
		return withoutAddress(err)
	}
	defer drop(resp)
	switch {
	case resp.StatusCode == http.StatusGone: // another word for a session that is given up
		return blob.ErrNotFound
	case resp.StatusCode == http.StatusPermanentRedirect:
		u.off, err = parseHeld(resp.Header.Get("Range"), len(u.data))
		u.unsure = err != nil
		return err
	}
	if err := googleapi.CheckResponse(resp); err != nil {
		return err
	}
	var made drive.File
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		return err
	}
	u.made = &made
	return nil
}

// parseHeld reads the Range of an answer: "bytes=0-N" for N+1 bytes that the server has, nothing for none.
func parseHeld(text string, sizeBytes int) (int, error) {
	if text == "" {
		return 0, nil
	}
	last, ok := strings.CutPrefix(strings.TrimPrefix(text, "bytes="), "0-") // Google's guides show both
	n, err := strconv.ParseUint(last, 10, 62)
	if !ok || err != nil || n >= uint64(sizeBytes) {
		return 0, nonsense("it has the range %.64q of %d bytes", text, sizeBytes)
	}
	return int(n) + 1, nil
}

func withoutAddress(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("upload: %w", e.Err)
	}
	return err
}

// drop reads the little that may be left of a body, so that its connection can be used again.
func drop(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 4<<10)
	resp.Body.Close()
}

// body is a request's body that can be waited for.
type body struct {
	*bytes.Reader
	once   sync.Once
	closed chan struct{}
}

func (b *body) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// wait returns when nobody reads any more: net/http closes each body, and reads none after that.
func (b *body) wait() { <-b.closed }
