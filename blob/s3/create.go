// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/coffer-backup/coffer/blob"
)

// Create opens the place for a first backup: it makes the bucket, private, if there is none and the keys may, and tries with an object of a
// few bytes whether the server keeps what this package rests on. That takes four requests. A server that fails is refused.
//
// Errors: those of Open, blob.ErrDenied, blob.ErrUnreachable, blob.ErrFull.
func Create(ctx context.Context, c Config) (*Store, error) {
	s, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.try(ctx); err != nil {
		return nil, fmt.Errorf("create destination: %w", err)
	}
	return s, nil
}

func (s *Store) try(ctx context.Context) error {
	name, data := "coffer-probe-"+strings.ToLower(rand.Text()), []byte(rand.Text())
	err := s.Put(ctx, name, data)
	if errors.Is(err, errNoBucket) {
		if err := s.makeBucket(ctx); err != nil {
			return err
		}
		err = s.Put(ctx, name, data)
	}
	if err != nil {
		return err
	}
	err = s.tryObject(ctx, name, data)
	return errors.Join(err, s.Delete(context.WithoutCancel(ctx), name))
}

func (s *Store) tryObject(ctx context.Context, name string, data []byte) error {
	if err := s.Put(ctx, name, data); err == nil {
		return fmt.Errorf("%v: %w: it ignores If-None-Match, so two that write at the same moment would replace each other's objects; use another service",
			s, errRefused)
	} else if !errors.Is(err, blob.ErrExists) {
		return err
	}
	part := make([]byte, 4)
	if _, err := s.ReadAt(ctx, name, part, 5); err != nil {
		return err
	}
	if string(part) != string(data[5:9]) {
		return fmt.Errorf("%v: %w: it sends other bytes than it was given", s, errNotS3)
	}
	return nil
}

func (s *Store) makeBucket(ctx context.Context) error {
	region := s.config.Region
	if region == "" {
		region = regionOf(*s.core.EndpointURL())
	}
	err := s.do(ctx, "make bucket", s.config.Bucket, func(ctx context.Context, a *attempt) error {
		err := s.core.MakeBucket(ctx, s.config.Bucket, minio.MakeBucketOptions{Region: region})
		if minio.ToErrorResponse(err).Code == minio.BucketAlreadyOwnedByYou {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("there is no bucket %s: %w", s.config.Bucket, err)
	}
	return nil
}
