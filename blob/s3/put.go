// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/coffer-backup/coffer/blob"
)

// maxObjectBytes is what one PUT can hold. There are no multipart uploads, so none can be left behind.
const maxObjectBytes = 5 << 30

// putTag is the metadata by which a repeated PUT knows that it was there before.
const putTag = "Coffer-Put"

// Put implements [blob.Store]. The bytes are signed, by their SHA-256, so no proxy or faulty memory on the way can change them
// unnoticed; Content-MD5 is what buckets with object lock ask for.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	key, err := s.key(ctx, name)
	if err != nil {
		return fmt.Errorf("put in %v: %w", s, err)
	}
	if int64(len(data)) > maxObjectBytes {
		return fmt.Errorf("put %q in %v: %d bytes are more than an object may have", name, s, len(data))
	}
	md5Sum, sha256Sum := md5.Sum(data), sha256.Sum256(data)
	tag := rand.Text()
	options := minio.PutObjectOptions{
		UserMetadata:         map[string]string{putTag: tag},
		DisableContentSha256: true, // of the stream: it is given whole
		DisableMultipart:     true,
	}
	if !s.config.CheckThenPut {
		options.SetMatchETagExcept("*")
	}
	tries := 0
	err = s.do(ctx, "put", name, func(ctx context.Context, a *attempt) error {
		tries++
		if s.config.CheckThenPut {
			if err := s.mustBeAbsent(ctx, a, key); err != nil {
				return err
			}
			a.object = false
		}
		_, err := s.core.PutObject(ctx, s.config.Bucket, key, bytes.NewReader(data), int64(len(data)),
			base64.StdEncoding.EncodeToString(md5Sum[:]), hex.EncodeToString(sha256Sum[:]), options)
		return s.putRefused(a, err)
	})
	// The first try may have stored it, and only its answer was lost.
	if tries > 1 && errors.Is(err, blob.ErrExists) && s.isTagged(ctx, name, key, tag) {
		err = nil
	}
	if err == nil || errors.Is(err, blob.ErrExists) {
		s.seen.add(name)
	}
	return err
}

// putRefused names the answers that only a PUT gets.
func (s *Store) putRefused(a *attempt, err error) error {
	e := minio.ToErrorResponse(err)
	switch {
	case err != nil && a.status == http.StatusNotFound && absent[e.Code]:
		e.Code = minio.NoSuchBucket // nothing else can be missing
		return e
	case err != nil && a.status == http.StatusNotImplemented:
		return fmt.Errorf("%w: it does not know If-None-Match, without which writers can replace each other's objects (%s)", errRefused, s.said(a, e))
	}
	return err
}

// mustBeAbsent answers as a PUT with If-None-Match does.
func (s *Store) mustBeAbsent(ctx context.Context, a *attempt, key string) error {
	_, err := s.get(ctx, a, key, nil, 0)
	switch refusal := s.outcome(ctx, a, err); {
	case errors.Is(refusal, blob.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	a.status = http.StatusPreconditionFailed
	return minio.ErrorResponse{StatusCode: a.status, Code: minio.PreconditionFailed}
}

// isTagged reports whether the object is that of the Put with this tag. Where it cannot be told, it is somebody else's: the caller compares.
func (s *Store) isTagged(ctx context.Context, name, key, tag string) bool {
	var info minio.ObjectInfo
	err := s.do(ctx, "look at", name, func(ctx context.Context, a *attempt) (err error) {
		info, err = s.core.StatObject(ctx, s.config.Bucket, key, minio.StatObjectOptions{})
		return err
	})
	return err == nil && info.UserMetadata[putTag] == tag
}
