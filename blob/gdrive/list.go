// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"
	"strings"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"github.com/coffer-backup/coffer/blob"
)

const (
	filesPerPage  = 1000
	maxPages      = 2000 // two million objects; with packs of 16 MiB that is 32 TB
	maxEmptyPages = 20   // in a row; Drive may answer some
	folderType    = "application/vnd.google-apps.folder"
)

// pages yields the living files that a query finds, the oldest first as far as Drive keeps to that. A listing that does not end is an error.
func (s *Store) pages(ctx context.Context, query string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		token, empty := "", 0
		seen := map[string]bool{}
		for range maxPages {
			page, err := s.service.page(ctx, query, s.space(), token)
			if err != nil {
				yield(entry{}, err)
				return
			}
			for _, f := range page.Files {
				e, err := parseEntry(f)
				if err == nil && (f.MimeType == folderType || s.known.isGone(e.id)) {
					continue
				}
				if !yield(e, err) || err != nil {
					return
				}
			}
			if len(page.Files) > 0 {
				empty = 0
			} else {
				empty++
			}
			token = page.NextPageToken
			switch {
			case token == "":
				return
			case seen[token], empty > maxEmptyPages:
				yield(entry{}, nonsense("a listing that goes round in circles"))
				return
			}
			seen[token] = true
		}
		yield(entry{}, nonsense("a listing of more than %d pages", maxPages))
	}
}

func (s *service) page(ctx context.Context, query, space, token string) (page *drive.FileList, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		call := s.drive.Files.List().Q(query).Spaces(space).OrderBy("createdTime").PageSize(filesPerPage).
			Fields("nextPageToken", "files("+entryFields+")").Context(ctx)
		if token != "" {
			call.PageToken(token)
		}
		page, err = call.Do()
		if err == nil && len(page.Files) > filesPerPage {
			err = nonsense("a page of %d files", len(page.Files))
		}
		return err
	})
	return page, err
}

// holders returns the living files of one name; the first is the object.
func (s *Store) holders(ctx context.Context, name string) (found []entry, err error) {
	for e, err := range s.pages(ctx, isName(name)+" and "+isIn(s.parent)) {
		if err != nil {
			return nil, err
		}
		if e.name != name {
			continue // Drive does not say whether "=" folds case
		}
		if found = append(found, e); len(found) > filesPerPage {
			return nil, nonsense("more than %d files of one name", filesPerPage)
		}
	}
	slices.SortFunc(found, older)
	return found, nil
}

// List implements [blob.Store]. It keeps a hash of each name until it ends, to show one of two files of a name.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		listed := 0
		for e, err := range s.objects(ctx, prefix) {
			if err != nil {
				yield(blob.Info{}, s.explain("list", prefix, err))
				return
			}
			listed++
			if !yield(e.info(), nil) {
				return
			}
		}
		if listed > 0 {
			return
		}
		if err := s.present(ctx); err != nil {
			yield(blob.Info{}, s.explain("list", prefix, err))
		}
	}
}

func (s *Store) objects(ctx context.Context, prefix string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(entry{}, err)
			return
		}
		if !beginsName(prefix) {
			return
		}
		query := isIn(s.parent)
		if end := strings.LastIndexByte(prefix, '/'); end >= 0 {
			query = isBelow(prefix[:end]) + " and " + query
		}
		seed, seed2 := maphash.MakeSeed(), maphash.MakeSeed() // the server cannot make names that collide
		seen := map[[2]uint64]bool{}
		for e, err := range s.pages(ctx, query) {
			if err != nil {
				yield(e, err)
				return
			}
			if !strings.HasPrefix(e.name, prefix) || blob.ValidName(e.name) != nil {
				continue
			}
			key := [2]uint64{maphash.String(seed, e.name), maphash.String(seed2, e.name)}
			if seen[key] {
				// Which one is the object is asked when it is read: in a very large Drive the order is not kept.
				s.known.forget(e.name)
				continue
			}
			seen[key] = true
			s.known.put(e)
			if !yield(e, nil) {
				return
			}
		}
	}
}

// beginsName is false for what begins no valid name for sure, so that no question is asked.
func beginsName(prefix string) bool {
	return !strings.HasPrefix(prefix, "/") && !strings.ContainsFunc(prefix, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("._-/", r))
	})
}

// present returns blob.ErrUnreachable if the visible folder is gone. Without it a removed folder would look like an empty one.
func (s *Store) present(ctx context.Context) error {
	if s.parent == hidden {
		return nil
	}
	f, err := s.service.stat(ctx, s.parent, "id,trashed")
	if errors.Is(err, blob.ErrNotFound) || err == nil && f.Trashed {
		return s.missing()
	}
	return err
}

func (s *Store) missing() error {
	return fmt.Errorf("%w: the folder is not in Google Drive, or was not made with this OAuth client; look in its trash, or choose another", blob.ErrUnreachable)
}

func (s *service) stat(ctx context.Context, id string, fields googleapi.Field) (f *drive.File, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		f, err = s.drive.Files.Get(id).Fields(fields).Context(ctx).Do()
		return err
	})
	return f, err
}

// explain says what was asked for. The context's error and io.EOF are passed on as they are.
func (s *Store) explain(op, name string, err error) error {
	return fmt.Errorf("%s %q at %s: %w", op, name, s, err)
}
