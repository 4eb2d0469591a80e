// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/internal/transport"
)

// Bounds of a listing. A folder's list is kept until it is whole, since half of one must not be yielded twice, at some
// 150 bytes for each entry.
var (
	maxFolderEntries = 1 << 20
	maxFolders       = 1 << 16 // that one List looks into
)

const propfindBody = `<?xml version="1.0" encoding="utf-8"?>
<propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/></prop></propfind>`

var (
	errCollection = fmt.Errorf("%w: a folder has this name", blob.ErrNotFound)
	errStop       = errors.New("the loop was left")
)

// propfind asks for what is at the path, and at depth 1 for what is in it. It calls begin before each try, and each for every entry.
func (s *Store) propfind(ctx context.Context, at, depth string, begin func(*http.Response), each func(entry) error) error {
	header := http.Header{"Depth": {depth}, "Content-Type": {"application/xml; charset=utf-8"}}
	req, err := s.request(ctx, "PROPFIND", at, header, []byte(propfindBody))
	if err != nil {
		return err
	}
	err = s.client.send(req, func(resp *http.Response) error {
		if resp.StatusCode != http.StatusMultiStatus {
			return &statusError{method: req.Method, code: resp.StatusCode, class: blob.ErrUnreachable, hint: "; it is no WebDAV server"}
		}
		begin(resp)
		err := parseMultistatus(resp.Body, each)
		if err == nil || errors.Is(err, errListed) {
			return err
		}
		return transport.FromNetwork(ctx, err)
	})
	switch status(err) {
	case http.StatusMethodNotAllowed:
		return fmt.Errorf("%w: %w; it has no PROPFIND", blob.ErrUnreachable, err)
	case http.StatusBadRequest:
		return s.belowObject(ctx, at, err)
	}
	return err
}

// belowObject turns err into blob.ErrNotFound if the path leads through an object as if that were a folder, of which some
// servers say that the request is bad.
func (s *Store) belowObject(ctx context.Context, at string, err error) error {
	above := strings.TrimSuffix(at, "/")
	if above == at {
		above = path.Dir(at)
	}
	if !strings.HasPrefix(above, s.base.Path) {
		return err
	}
	found, aboveErr := s.stat(ctx, above)
	if errors.Is(aboveErr, blob.ErrNotFound) || aboveErr == nil && !found.collection {
		return blob.ErrNotFound
	}
	return err
}

// stat says what is at the path, be it a folder or not.
func (s *Store) stat(ctx context.Context, path string) (entry, error) {
	if path != s.base.Path {
		path = strings.TrimSuffix(path, "/")
	}
	var found []entry
	err := s.propfind(ctx, path, "0", func(*http.Response) { found = nil }, func(e entry) error {
		if len(found) > 0 {
			return fmt.Errorf("%w: it has several resources where one was asked for", errListed)
		}
		found = append(found, e)
		return nil
	})
	switch {
	case errors.Is(err, errCollection):
		return entry{path: path + "/", collection: true}, nil
	case err != nil:
		return entry{}, err
	case len(found) == 0 || found[0].code == http.StatusNotFound:
		return entry{}, blob.ErrNotFound
	}
	return found[0], usable(found[0])
}

func usable(e entry) error {
	switch {
	case e.code != 0 && e.code != http.StatusOK || !e.found:
		return fmt.Errorf("%w: it says %d of %.100q", errListed, e.code, e.path)
	case !e.collection && e.sizeBytes < 0:
		return fmt.Errorf("%w: %.100q has no size", errListed, e.path)
	}
	return nil
}

// child is an entry of a folder by its last name.
type child struct {
	name       string
	collection bool
	sizeBytes  int64
	modTime    time.Time
}

// readFolder returns what is in the folder at the path, each name once, and the server's time.
func (s *Store) readFolder(ctx context.Context, path string) (found []child, now time.Time, err error) {
	entries := 0
	err = s.propfind(ctx, path, "1", func(resp *http.Response) {
		found, entries = nil, 0
		now, _ = http.ParseTime(resp.Header.Get("Date"))
	}, func(e entry) error {
		if entries++; entries > maxFolderEntries {
			return fmt.Errorf("%w: a folder has more than %d entries", errListed, maxFolderEntries)
		}
		if e.code == http.StatusNotFound {
			return nil // removed meanwhile
		}
		name, err := childName(path, e.path)
		if err != nil || name == "" {
			return err
		}
		if err := usable(e); err != nil {
			return err
		}
		found = append(found, child{strings.Clone(name), e.collection, e.sizeBytes, e.modTime})
		return nil
	})
	if err != nil {
		return nil, now, err
	}
	slices.SortFunc(found, func(a, b child) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(found, func(a, b child) bool { return a.name == b.name }), now, nil
}

// childName returns the last name of what is directly in the folder, or "" for the folder itself and for what is deeper or
// no name of ours. What is elsewhere is an error: a server that names things otherwise than it is asked would look empty.
func childName(folder, path string) (string, error) {
	rest, inside := strings.CutPrefix(strings.TrimSuffix(path, "/")+"/", folder)
	if !inside {
		return "", fmt.Errorf("%w: %.100q is outside the folder that was asked for; configure the address that the server uses itself", errListed, path)
	}
	name := strings.TrimSuffix(rest, "/")
	if blob.ValidName(name) != nil || strings.Contains(name, "/") {
		return "", nil
	}
	return name, nil
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if folder != "" && blob.ValidName(strings.TrimSuffix(folder, "/")) != nil {
			return
		}
		w := walker{store: s, prefix: prefix, yield: yield}
		err := w.walk(ctx, folder)
		if errors.Is(err, blob.ErrNotFound) {
			// Without this a removed destination would look like an empty one.
			if _, err = s.stat(ctx, s.base.Path); errors.Is(err, blob.ErrNotFound) {
				err = fmt.Errorf("%w: its folder has been removed", blob.ErrUnreachable)
			}
		}
		if err != nil && err != errStop {
			yield(blob.Info{}, s.explain("list", prefix, err))
		}
	}
}

type walker struct {
	store   *Store
	prefix  string
	yield   func(blob.Info, error) bool
	folders int
}

// walk visits what is in the folder, whose name is empty or ends with a slash.
func (w *walker) walk(ctx context.Context, folder string) error {
	if w.folders++; w.folders > maxFolders {
		return fmt.Errorf("%w: there are more than %d folders", errListed, maxFolders)
	}
	found, _, err := w.store.readFolder(ctx, w.store.path(folder))
	if err != nil {
		return err
	}
	for _, c := range found {
		name := folder + c.name
		switch {
		case blob.ValidName(name) != nil:
		case c.collection:
			err = w.walkInto(ctx, name+"/")
		case strings.HasPrefix(name, w.prefix):
			if !w.yield(blob.Info{Name: name, SizeBytes: c.sizeBytes, ModTime: c.modTime}, nil) {
				err = errStop
			}
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *walker) walkInto(ctx context.Context, folder string) error {
	if !strings.HasPrefix(folder, w.prefix) && !strings.HasPrefix(w.prefix, folder) {
		return nil
	}
	if err := w.walk(ctx, folder); !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	return nil // removed meanwhile
}

// same reports whether the object at name has these bytes and no more.
func (s *Store) same(ctx context.Context, name string, data []byte) (bool, error) {
	buffer := make([]byte, 1<<20)
	for off := 0; ; {
		n, err := s.readAt(ctx, name, buffer, int64(off))
		if err != nil && err != io.EOF {
			return false, err
		}
		if off+n > len(data) || !bytes.Equal(buffer[:n], data[off:off+n]) {
			return false, nil
		}
		if off += n; err == io.EOF {
			return off == len(data), nil
		}
	}
}

// parentOf returns the folder of an object's name, with a slash at the end, or "".
func parentOf(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir + "/"
	}
	return ""
}
