// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// maxSkipBytes is how much is read and thrown away before a range, at a server that answers with the whole object. No
// object of an archive is longer.
const maxSkipBytes = 17 << 20

var errRange = errors.New("the server does not answer with the range that was asked for")

// ReadAt implements [blob.Store].
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := blob.ValidName(name); err != nil {
		return 0, err
	}
	n, err := s.readAt(ctx, name, p, off)
	if err != nil && err != io.EOF {
		return 0, s.explain("read", name, err)
	}
	return n, err
}

func (s *Store) readAt(ctx context.Context, name string, p []byte, off int64) (n int, err error) {
	switch {
	case off < 0 || off > 1<<62:
		return 0, fmt.Errorf("offset %d is out of range", off)
	case len(p) == 0:
		return 0, s.object(ctx, name)
	}
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)}}
	req, err := s.request(ctx, http.MethodGet, s.path(name), header, nil)
	if err != nil {
		return 0, err
	}
	err = s.client.send(req, func(resp *http.Response) (err error) {
		if n, err = readRange(resp, p, off); err == nil || err == io.EOF || errors.Is(err, errRange) {
			return err
		}
		return transport.FromNetwork(ctx, err)
	})
	if refused, ok := errors.AsType[*statusError](err); ok {
		switch refused.code {
		case http.StatusRequestedRangeNotSatisfiable:
			return 0, io.EOF
		case http.StatusMethodNotAllowed:
			return 0, errCollection
		}
	}
	return n, err
}

// readRange fills p from an answer to a request for that range.
func readRange(resp *http.Response, p []byte, off int64) (int, error) {
	switch resp.StatusCode {
	case http.StatusPartialContent:
		first, last, size, err := contentRange(resp.Header.Get("Content-Range"))
		if err != nil || first != off || last-first >= int64(len(p)) {
			return 0, errRange
		}
		want := int(last - first + 1)
		n, err := io.ReadFull(resp.Body, p[:want])
		switch {
		case err != nil:
			return 0, io.ErrUnexpectedEOF
		case n == len(p):
			return n, nil
		case last+1 != size:
			return 0, errRange
		}
		return n, io.EOF
	case http.StatusOK:
		return readWhole(resp, p, off)
	}
	return 0, errRange
}

// readWhole reads a range out of the whole object, if its beginning is not too long.
func readWhole(resp *http.Response, p []byte, off int64) (int, error) {
	if resp.ContentLength < 0 {
		return 0, fmt.Errorf("%w: nor does it say how long the object is", errRange)
	}
	if off >= resp.ContentLength {
		return 0, io.EOF
	}
	if off > maxSkipBytes {
		return 0, fmt.Errorf("%w, but with the whole object", errRange)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, off); err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	want := int(min(int64(len(p)), resp.ContentLength-off))
	if _, err := io.ReadFull(resp.Body, p[:want]); err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// contentRange parses "bytes FIRST-LAST/SIZE"; a size of "*" is -1 (RFC 9110, section 14.4).
func contentRange(text string) (first, last, size int64, err error) {
	malformed := fmt.Errorf("%.100q is not a range", text)
	text, ok := strings.CutPrefix(text, "bytes ")
	span, total, ok2 := strings.Cut(text, "/")
	from, to, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, 0, malformed
	}
	size = -1
	numbers := []*int64{&first, &last}
	texts := []string{from, to}
	if total != "*" {
		numbers, texts = append(numbers, &size), append(texts, total)
	}
	for i, digits := range texts {
		n, err := strconv.ParseUint(digits, 10, 62)
		if err != nil {
			return 0, 0, 0, malformed
		}
		*numbers[i] = int64(n)
	}
	if last < first || size >= 0 && last >= size {
		return 0, 0, 0, malformed
	}
	return first, last, size, nil
}

// object returns an error unless an object has the name.
func (s *Store) object(ctx context.Context, name string) error {
	found, err := s.stat(ctx, s.path(name))
	if err == nil && found.collection {
		return errCollection
	}
	return err
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := blob.ValidName(name); err != nil {
		return err
	}
	if err := s.delete(ctx, name); err != nil {
		return s.explain("delete", name, err)
	}
	return nil
}

// delete looks first, since a DELETE of a folder takes everything with it. Depth 0 has some servers look once more.
func (s *Store) delete(ctx context.Context, name string) error {
	if err := s.object(ctx, name); err != nil {
		return err
	}
	req, err := s.request(ctx, http.MethodDelete, s.path(name), http.Header{"Depth": {"0"}}, nil)
	if err != nil {
		return err
	}
	_, err = s.client.Do(req)
	if refused, ok := errors.AsType[*statusError](err); ok && refused.class == blob.ErrNotFound && refused.tries > 1 {
		return nil // an earlier try did it, and its answer was lost
	}
	return err
}
