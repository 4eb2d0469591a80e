// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"strings"

	"github.com/coffer-backup/coffer/blob"
)

// ReadAt implements [blob.Store].
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := blob.ValidName(name); err != nil {
		return 0, err
	}
	n, err := s.readAt(ctx, name, p, off)
	if err != nil && err != io.EOF {
		return n, s.explain("read", name, missing(err))
	}
	return n, err
}

func (s *Store) readAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := s.object(ctx, name); err != nil {
		return 0, err
	}
	file, err := s.root.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return file.ReadAt(p, off)
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := blob.ValidName(name); err != nil {
		return err
	}
	if err := s.delete(ctx, name); err != nil {
		return s.explain("delete", name, missing(err))
	}
	return nil
}

func (s *Store) delete(ctx context.Context, name string) error {
	if err := s.object(ctx, name); err != nil {
		return err
	}
	if err := s.root.Remove(name); err != nil {
		return err
	}
	return syncDir(s.root.Open(path.Dir(name)))
}

// object returns an error unless name is a regular file. Opening a pipe would
// hang, and removing a folder is not ours to do.
func (s *Store) object(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := s.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: the file of this name is not a regular one", blob.ErrNotFound)
	}
	return err
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		err := s.walk(ctx, s.root, "", prefix, func(info blob.Info) error {
			if !yield(info, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err == nil {
			err = s.present()
		}
		if err != nil && err != fs.SkipAll {
			yield(blob.Info{}, s.explain("list", prefix, err))
		}
	}
}

// walk visits the objects in dir, whose names begin with parent, that have the
// prefix. What vanishes meanwhile is passed over.
func (s *Store) walk(ctx context.Context, dir *os.Root, parent, prefix string, visit func(blob.Info) error) error {
	s.noteListed(path.Clean(parent))
	for entry, err := range entries(dir) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		name := parent + entry.Name()
		if blob.ValidName(name) != nil {
			continue
		}
		if entry.IsDir() {
			err = s.walkInto(ctx, dir, entry.Name(), name+"/", prefix, visit)
		} else if strings.HasPrefix(name, prefix) {
			err = visitFile(dir, entry.Name(), name, visit)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *Store) walkInto(ctx context.Context, dir *os.Root, base, parent, prefix string, visit func(blob.Info) error) error {
	if !strings.HasPrefix(parent, prefix) && !strings.HasPrefix(prefix, parent) {
		return nil
	}
	sub, err := dir.OpenRoot(base)
	if err != nil {
		return err
	}
	defer sub.Close()
	return s.walk(ctx, sub, parent, prefix, visit)
}

func visitFile(dir *os.Root, base, name string, visit func(blob.Info) error) error {
	info, err := dir.Lstat(base)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return visit(blob.Info{Name: name, SizeBytes: info.Size(), ModTime: info.ModTime()})
}

// entries reads a folder a few hundred entries at a time, so that memory stays
// small however many there are.
func entries(dir *os.Root) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		file, err := dir.Open(".")
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		for {
			batch, err := file.ReadDir(256)
			for _, entry := range batch {
				if !yield(entry, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
