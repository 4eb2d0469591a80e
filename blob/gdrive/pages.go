// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"iter"
	"slices"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
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

func (s *service) stat(ctx context.Context, id string, fields googleapi.Field) (f *drive.File, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		f, err = s.drive.Files.Get(id).Fields(fields).Context(ctx).Do()
		return err
	})
	return f, err
}
