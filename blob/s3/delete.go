// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/minio/minio-go/v7"
)

// Delete implements [blob.Store]. S3 answers alike whether the object was there or not, so there is a look before, unless this Store has put
// or listed the object and not deleted it since. In that case nil can mean that somebody else has removed it.
func (s *Store) Delete(ctx context.Context, name string) error {
	key, err := s.key(ctx, name)
	if err != nil {
		return fmt.Errorf("delete in %v: %w", s, err)
	}
	if !s.seen.take(name) {
		if err := s.isThere(ctx, name, key); err != nil {
			return err
		}
	}
	tries := 0
	return s.do(ctx, "delete", name, func(ctx context.Context, a *attempt) error {
		tries++
		err := s.core.RemoveObject(ctx, s.config.Bucket, key, minio.RemoveObjectOptions{})
		if a.status == http.StatusOK || tries > 1 && a.status == http.StatusNotFound && a.isS3 {
			return nil
		}
		return err
	})
}

// maxSeen bounds the memory for names to a few megabytes. More than that are forgotten, which costs a request for each Delete.
const maxSeen = 20_000

// seen are names of objects that were there when this Store last looked.
type seen struct {
	mu    sync.Mutex
	names map[string]struct{}
}

func (s *seen) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil || len(s.names) >= maxSeen {
		s.names = map[string]struct{}{}
	}
	s.names[name] = struct{}{}
}

// take forgets a name and reports whether it was known.
func (s *seen) take(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.names[name]
	delete(s.names, name)
	return ok
}
