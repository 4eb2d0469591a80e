// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/fs/walk"

	"github.com/coffer-backup/coffer/blob"
)

// List implements [blob.Store]. rclone reads a folder as a whole, so the memory that it takes grows with the largest folder.
// It is tried again only until something has come: what was yielded cannot be taken back.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		err := ctx.Err()
		if err == nil {
			err = s.list(ctx, prefix, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(blob.Info{}, explain("list", prefix, err))
		}
	}
}

// errStop means that the loop's body wants no more.
var errStop = errors.New("stop")

// list calls yield on its caller's goroutine, while rclone lists on its own.
func (s *Store) list(ctx context.Context, prefix string, yield func(blob.Info, error) bool) error {
	dir, ok := folderOf(prefix)
	if !ok {
		return nil
	}
	listing, stop := context.WithCancel(ctx)
	batches, ended := make(chan []blob.Info), make(chan error, 1)
	go func() {
		defer close(batches)
		told := false
		ended <- s.retry(listing, func() error {
			err := s.walk(listing, dir, func(entries fs.DirEntries) error {
				told = true
				select {
				case batches <- infosOf(listing, entries, prefix): // rclone may use entries again
					return nil
				case <-listing.Done():
					return listing.Err()
				}
			})
			if told && err != nil {
				err = fserrors.NoRetryError(err)
			}
			return err
		})
	}()
	defer func() {
		stop()
		for range batches { // until rclone has let go
		}
	}()
	var seen map[string]bool
	if s.f.Features().DuplicateFiles {
		seen = map[string]bool{}
	}
	for batch := range batches {
		for _, info := range batch {
			if seen[info.Name] {
				continue
			}
			if seen != nil {
				seen[info.Name] = true
			}
			if !yield(info, nil) {
				return errStop
			}
		}
	}
	return <-ended
}

// folderOf returns the folder in which all names with this prefix are. It is false where no name has it.
func folderOf(prefix string) (string, bool) {
	last := strings.LastIndexByte(prefix, '/')
	if last < 0 {
		return "", true
	}
	dir := prefix[:last]
	return dir, blob.ValidName(dir) == nil
}

// infosOf picks the objects that are ours, and whose names have the prefix.
func infosOf(ctx context.Context, entries fs.DirEntries, prefix string) (infos []blob.Info) {
	for _, entry := range entries {
		name := entry.Remote()
		if _, ok := entry.(fs.Object); ok && strings.HasPrefix(name, prefix) && blob.ValidName(name) == nil && entry.Size() >= 0 {
			infos = append(infos, blob.Info{Name: name, SizeBytes: entry.Size(), ModTime: entry.ModTime(ctx)})
		}
	}
	return infos
}

// walk lists a folder and those in it, by the provider's own means where it has some, and else no deeper than names go.
func (s *Store) walk(ctx context.Context, dir string, tell func(fs.DirEntries) error) error {
	var err error
	if s.f.Features().ListR != nil {
		err = walk.ListR(ctx, s.f, dir, true, -1, walk.ListObjects, tell)
	} else {
		depth := blob.MaxNameElements
		if dir != "" {
			depth -= 1 + strings.Count(dir, "/")
		}
		err = s.walkFolders(ctx, dir, depth, tell)
	}
	if !missing(err) {
		return err
	}
	if s.f.Features().BucketBased {
		return nil
	}
	// No such folder is no such object, unless all of the destination is gone.
	if _, err := s.f.List(ctx, ""); err != nil {
		return fmt.Errorf("%w: its folder has been removed, moved or unmounted (%v)", blob.ErrUnreachable, err)
	}
	return nil
}

// walkFolders keeps its errors from rclone, which would log them.
func (s *Store) walkFolders(ctx context.Context, dir string, depth int, tell func(fs.DirEntries) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var first error // calls do not overlap
	err := walk.Walk(ctx, s.f, dir, true, depth, func(at string, entries fs.DirEntries, err error) error {
		if err == nil {
			err = tell(entries)
		}
		removed := missing(err) && at != dir // meanwhile
		if err != nil && !removed && first == nil {
			first = err
			stop(err)
		}
		return nil
	})
	if first != nil {
		return first
	}
	return err
}
