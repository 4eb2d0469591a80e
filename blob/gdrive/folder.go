// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

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

// Quota is what Google says of the account's storage, which it shares with mail and photographs. Without a limit, LimitBytes is 0.
type Quota struct {
	UsedBytes, LimitBytes int64
}

// Quota asks for the storage of the account.
func (s *Store) Quota(ctx context.Context) (q Quota, err error) {
	err = s.service.do(ctx, func(ctx context.Context) error {
		about, err := s.service.drive.About.Get().Fields("storageQuota(limit,usage)").Context(ctx).Do()
		if err != nil {
			return err
		}
		if about.StorageQuota == nil || about.StorageQuota.Limit < 0 || about.StorageQuota.Usage < 0 {
			return nonsense("a quota that is none")
		}
		q = Quota{about.StorageQuota.Usage, about.StorageQuota.Limit}
		return nil
	})
	if err != nil {
		return Quota{}, fmt.Errorf("ask %s for its quota: %w", s, err)
	}
	return q, nil
}

func (q Quota) String() string {
	gib := func(n int64) string { return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB" }
	if q.LimitBytes == 0 {
		return gib(q.UsedBytes) + " used"
	}
	return gib(q.UsedBytes) + " of " + gib(q.LimitBytes) + " used"
}
