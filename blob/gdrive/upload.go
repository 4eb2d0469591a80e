// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"bytes"
	"context"
	"errors"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"

	"github.com/coffer-backup/coffer/blob"
)

// upload stores data in a new file and checks what the server says of it.
func (s *Store) upload(ctx context.Context, name string, data []byte) (entry, error) {
	id, err := s.newID(ctx)
	if err != nil {
		return entry{}, err
	}
	meta := &drive.File{Id: id, Name: name, Parents: []string{s.parent}, AppProperties: properties(name)}
	var made *drive.File
	if len(data) <= smallBytes {
		made, err = s.service.uploadSmall(ctx, meta, data)
	} else {
		made, err = s.service.uploadLarge(ctx, meta, data)
	}
	switch {
	case errors.Is(err, errIDUsed): // an earlier try, whose answer was lost
		made, err = s.service.stat(ctx, id, madeFields)
	case errors.Is(err, blob.ErrNotFound): // of the parent
		err = s.missing()
	}
	if err != nil {
		return entry{}, err
	}
	mine, err := check(made, id, name, data)
	if err != nil {
		s.withdraw(ctx, entry{id: id, name: name})
	}
	return mine, err
}

const madeFields = entryFields + ",md5Checksum,sha256Checksum"

func (s *service) uploadSmall(ctx context.Context, meta *drive.File, data []byte) (made *drive.File, err error) {
	data = bytes.Clone(data) // the library may read it for a moment after it has returned
	err = s.do(ctx, func(ctx context.Context) error {
		made, err = s.drive.Files.Create(meta).Media(bytes.NewReader(data), googleapi.ChunkSize(0), googleapi.ContentType(contentType)).
			Fields(madeFields).Context(ctx).Do()
		return err
	})
	return made, err
}
