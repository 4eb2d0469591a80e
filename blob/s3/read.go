// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// maxOffset is beyond the end of every object, and far from overflow.
const maxOffset = 1 << 60

// ReadAt implements [blob.Store]. An answer that is cut off is asked for again from where it ended.
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) (n int, err error) {
	key, err := s.key(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("read in %v: %w", s, err)
	}
	if off < 0 {
		return 0, fmt.Errorf("read %q in %v: offset %d is before the beginning", name, s, off)
	}
	err = s.do(ctx, "read", name, func(ctx context.Context, a *attempt) error {
		read, err := s.get(ctx, a, key, p[n:], min(off, maxOffset)+int64(n))
		n += read
		return err
	})
	return n, err
}

// get asks once for a range. An empty one asks whether the object is there: for its first byte, because the answer to a HEAD has no
// body, and so does not tell a missing object from a missing bucket.
func (s *Store) get(ctx context.Context, a *attempt, key string, p []byte, off int64) (int, error) {
	var options minio.GetObjectOptions
	if len(p) == 0 {
		off = 0
	}
	if err := options.SetRange(off, off+int64(max(len(p), 1))-1); err != nil {
		return 0, err
	}
	a.object = true
	body, _, header, err := s.core.GetObject(ctx, s.config.Bucket, key, options)
	switch {
	case err != nil && a.status == http.StatusRequestedRangeNotSatisfiable && len(p) == 0:
		return 0, nil // it is empty
	case err != nil && a.status == http.StatusRequestedRangeNotSatisfiable:
		return 0, io.EOF
	case err != nil:
		return 0, err
	}
	defer body.Close()
	size, err := sizeOf(a.status, header, off, max(len(p), 1))
	if err != nil || len(p) == 0 {
		return 0, err
	}
	part := p[:min(int64(len(p)), max(0, size-off))]
	n, err := io.ReadFull(body, part)
	switch {
	case err != nil:
		a.cut = true
		return n, transport.FromNetwork(ctx, fmt.Errorf("the answer was cut off: %w", err))
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// sizeOf returns an object's size from an answer to a request for so many bytes from off, and checks that the answer has those.
func sizeOf(status int, header http.Header, off int64, length int) (int64, error) {
	if status != http.StatusPartialContent { // all of it, which a server that knows no ranges sends, and some for what a range covers
		size, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
		if off > 0 || err != nil || size < 0 {
			return 0, fmt.Errorf("%w: it was asked for a range and sent something else", errNotS3)
		}
		return size, nil
	}
	first, last, size, ok := parseContentRange(header.Get("Content-Range"))
	if !ok || first != off || last != min(off+int64(length), size)-1 {
		return 0, fmt.Errorf("%w: it was asked for %d bytes from %d and answers with %.60q", errNotS3, length, off, header.Get("Content-Range"))
	}
	return size, nil
}

// parseContentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, section 14.4) with a known size.
func parseContentRange(text string) (first, last, size int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes ")
	if !ok {
		return 0, 0, 0, false
	}
	span, sizeText, _ := strings.Cut(text, "/")
	firstText, lastText, _ := strings.Cut(span, "-")
	for i, part := range []string{firstText, lastText, sizeText} {
		n, err := strconv.ParseUint(part, 10, 63)
		if err != nil {
			return 0, 0, 0, false
		}
		*[]*int64{&first, &last, &size}[i] = int64(n)
	}
	return first, last, size, first <= last && last < size
}

// isThere returns blob.ErrNotFound if there is no such object.
func (s *Store) isThere(ctx context.Context, name, key string) error {
	return s.do(ctx, "look at", name, func(ctx context.Context, a *attempt) error {
		_, err := s.get(ctx, a, key, nil, 0)
		return err
	})
}
