// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// ReadAt implements [blob.Store]. It costs one request for an object that was listed, put or read before. The first one of a folder of names that was
// not has the folder listed, for the next ones' sake; a restore reads most of them.
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := blob.ValidName(name); err != nil {
		return 0, err
	}
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, fmt.Errorf("read %q: no such offset: %d", name, off)
	}
	n, err := s.read(ctx, name, p, off)
	if err != nil && err != io.EOF {
		err = s.explain("read", name, err)
	}
	return n, err
}

// read goes from the file that is known to what Drive lists, when it turns out to be gone.
func (s *Store) read(ctx context.Context, name string, p []byte, off int64) (int, error) {
	e, ok := s.known.get(name)
	if folder := path.Dir(name); !ok && folder != "." && s.known.firstLook(folder) {
		if err := s.learn(ctx, folder); err != nil {
			return 0, err
		}
		e, ok = s.known.get(name)
	}
	if ok {
		n, err := s.service.readFile(ctx, e, p, off)
		if !errors.Is(err, blob.ErrNotFound) {
			return n, err
		}
		s.known.lose(e)
	}
	found, err := s.holders(ctx, name)
	if err != nil {
		return 0, err
	}
	for _, e := range found {
		n, err := s.service.readFile(ctx, e, p, off)
		if !errors.Is(err, blob.ErrNotFound) {
			s.known.put(e)
			return n, err
		}
		s.known.lose(e)
	}
	if err := s.present(ctx); err != nil {
		return 0, err
	}
	return 0, blob.ErrNotFound
}

// learn makes a folder's objects known, or as many as one object is worth.
func (s *Store) learn(ctx context.Context, folder string) error {
	n := 0
	for _, err := range s.objects(ctx, folder+"/") {
		if n++; err != nil || n == maxLearned {
			return err
		}
	}
	return nil
}

const maxLearned = 10 * filesPerPage

func (s *service) readFile(ctx context.Context, e entry, p []byte, off int64) (n int, err error) {
	if len(p) == 0 {
		_, err := s.stat(ctx, e.id, "id")
		return 0, err
	}
	err = s.do(ctx, func(ctx context.Context) error {
		// What came before a connection broke is not fetched again.
		more, err := s.readRange(ctx, e.id, p[n:], off+int64(n))
		n += more
		return err
	})
	if errors.Is(err, errEnd) {
		err = io.EOF
	}
	return n, err
}

// readRange fills p, or returns errEnd where the file ends before.
func (s *service) readRange(ctx context.Context, id string, p []byte, off int64) (int, error) {
	call := s.drive.Files.Get(id).Context(ctx)
	call.Header().Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	resp, err := call.Download()
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	want, ends, err := expect(resp, off, len(p))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(resp.Body, p[:want])
	switch {
	case err != nil && want > 0:
		return n, err // also io.ErrUnexpectedEOF and io.EOF: less came than was announced
	case n == len(p):
		return n, nil
	case ends:
		return n, errEnd
	}
	return n, transport.Temporary(errors.New("less came than was asked for"), 0)
}

// expect reads from an answer how many bytes of the range come, and whether the file ends with them.
func expect(resp *http.Response, off int64, length int) (want int, ends bool, err error) {
	var first, next, size int64 = 0, resp.ContentLength, resp.ContentLength // of an answer without a range: the whole file
	if resp.StatusCode == http.StatusPartialContent {
		if first, next, size, err = parseContentRange(resp.Header.Get("Content-Range")); err != nil {
			return 0, false, err
		}
	}
	switch {
	case size < 0:
		return 0, false, nonsense("a file without a size")
	case size <= off:
		return 0, true, nil
	case first != off:
		return 0, false, nonsense("bytes from %d on, for a range from %d on", first, off)
	}
	return int(min(int64(length), next-first)), next == size, nil
}

// parseContentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, section 14.4). next is LAST+1.
func parseContentRange(text string) (first, next, size int64, err error) {
	span, whole, ok1 := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	from, to, ok2 := strings.Cut(span, "-")
	f, err1 := strconv.ParseUint(from, 10, 62)
	l, err2 := strconv.ParseUint(to, 10, 62)
	w, err3 := strconv.ParseUint(whole, 10, 62)
	if !ok1 || !ok2 || !strings.HasPrefix(text, "bytes ") || errors.Join(err1, err2, err3) != nil || l < f || l >= w {
		return 0, 0, 0, nonsense("the range %.64q", text)
	}
	return int64(f), int64(l) + 1, int64(w), nil
}

// Delete implements [blob.Store]. It removes all files of the name, the object last, so that none of the others takes its place.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := blob.ValidName(name); err != nil {
		return err
	}
	found, err := s.holders(ctx, name)
	if err != nil {
		return s.explain("delete", name, err)
	}
	removed := false
	for i := len(found) - 1; i >= 0; i-- {
		switch err := s.remove(ctx, found[i]); {
		case err == nil:
			removed = true
		case !errors.Is(err, blob.ErrNotFound):
			return s.explain("delete", name, err)
		}
	}
	if removed {
		return nil
	}
	if err := s.present(ctx); err != nil {
		return s.explain("delete", name, err)
	}
	return s.explain("delete", name, blob.ErrNotFound)
}

// remove deletes one file for good, past the trash.
func (s *Store) remove(ctx context.Context, e entry) error {
	sent := false
	err := s.service.do(ctx, func(ctx context.Context) error {
		err := s.service.drive.Files.Delete(e.id).Context(ctx).Do()
		if sent && isStatus(err, http.StatusNotFound) {
			return nil // an earlier try has done it
		}
		sent = true
		return err
	})
	if err == nil || errors.Is(err, blob.ErrNotFound) {
		s.known.lose(e)
	}
	return err
}
