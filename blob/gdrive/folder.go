// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/api/drive/v3"

	"github.com/coffer-backup/coffer/blob"
)

// findFolder returns the id of a folder in s.parent. Of several of one name the oldest is taken, so two devices that make it at once agree.
func (s *Store) findFolder(ctx context.Context, name string, create bool) (id string, err error) {
	query := isName(name) + " and " + isIn(s.parent) + " and mimeType = '" + folderType + "'"
	page, err := s.service.page(ctx, query, s.space(), "")
	if err != nil {
		return "", err
	}
	var found []entry
	for _, f := range page.Files {
		e, err := parseEntry(f)
		if err != nil {
			return "", err
		}
		if f.Name == name {
			found = append(found, e)
		}
	}
	if len(found) > 0 {
		return slices.MinFunc(found, older).id, nil
	}
	if !create {
		return "", s.missing()
	}
	return s.makeFolder(ctx, name)
}

func (s *Store) makeFolder(ctx context.Context, name string) (string, error) {
	id, err := s.newID(ctx)
	if err != nil {
		return "", err
	}
	folder := &drive.File{Id: id, Name: name, MimeType: folderType, Parents: []string{s.parent}}
	err = s.service.do(ctx, func(ctx context.Context) error {
		_, err := s.service.drive.Files.Create(folder).Fields("id").Context(ctx).Do()
		return err
	})
	if err != nil && !errors.Is(err, errIDUsed) { // then an earlier try has made it
		return "", err
	}
	// Another device may have made one too. Wait until ours is listed, and agree on the oldest.
	for wait := range s.listWaits(ctx) {
		if wait.err != nil {
			return "", wait.err
		}
		other, err := s.findFolder(ctx, name, false)
		if err == nil {
			return other, nil
		}
		if !errors.Is(err, blob.ErrUnreachable) {
			return "", err
		}
	}
	return "", errNotListed
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
