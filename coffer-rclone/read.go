// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/rclone/rclone/fs"

	"github.com/coffer-backup/coffer/blob"
)

// ReadAt implements [blob.Store]. rclone knows an object only after it has looked for it, so a range costs two requests at
// most providers.
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := check(ctx, name); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read %q: offset %d is before the beginning", name, off)
	}
	n := 0
	err := s.do(ctx, "read", name, func() (err error) {
		n, err = s.read(ctx, name, p, off)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// read returns fewer bytes than p has room for, and no error, where the object ends.
func (s *Store) read(ctx context.Context, name string, p []byte, off int64) (int, error) {
	found, err := s.f.NewObject(ctx, name)
	if missing(err) {
		return 0, fmt.Errorf("%w (%v)", blob.ErrNotFound, err)
	}
	if err != nil {
		return 0, err
	}
	size := found.Size()
	if size < 0 {
		return 0, fmt.Errorf("the provider does not tell the size of %q", name)
	}
	if len(p) == 0 || off >= size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), size-off)]
	in, err := found.Open(ctx, &fs.RangeOption{Start: off, End: off + int64(len(p)) - 1})
	if err != nil {
		if missing(err) { // it was deleted meanwhile
			err = fmt.Errorf("%w (%v)", blob.ErrNotFound, err)
		}
		return 0, err
	}
	defer in.Close()
	return io.ReadFull(in, p)
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	return s.do(ctx, "delete", name, func() error {
		found, err := s.f.NewObject(ctx, name)
		if err == nil {
			err = found.Remove(ctx)
		}
		if missing(err) {
			return fmt.Errorf("%w (%v)", blob.ErrNotFound, err)
		}
		return err
	})
}

func check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return blob.ValidName(name)
}
