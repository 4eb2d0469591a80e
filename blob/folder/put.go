// SPDX-License-Identifier: Apache-2.0

package folder

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/coffer-backup/coffer/blob"
)

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := blob.ValidName(name); err != nil {
		return err
	}
	// Whoever opens or tidies the destination may take away the temporary file before it is locked, or an empty folder. That is no
	// more than bad luck, so we begin again.
	err := s.put(ctx, name, data)
	for tries := 1; errors.Is(err, fs.ErrNotExist) && tries < maxTries; tries++ {
		err = s.put(ctx, name, data)
	}
	if err != nil {
		return s.explain("put", name, err)
	}
	return nil
}

const maxTries = 5

func (s *Store) put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir := path.Dir(name)
	if err := s.makeDir(dir); err != nil {
		return occupied(err)
	}
	temp, release, err := s.writeTemp(ctx, data)
	if err != nil {
		return err
	}
	defer release()
	// After a link this is the object's second name, after a failure the only one.
	// A crash before it leaves a leftover, which the next Open removes.
	defer s.root.Remove(temp)

	if err := s.syncListed(); err != nil {
		return err
	}
	if err := s.present(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}

	// A crash before this line: no object. After it: the whole object, for its
	// bytes are durable; its name may still be lost until the folder is flushed.
	if err := s.publish(temp, name); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return s.exists(name)
		}
		return occupied(err)
	}
	return syncDir(s.root.Open(dir))
}

// writeTemp makes data durable in a new temporary file and returns its name. The file is
// locked until release is called, where locks work. When it fails, it leaves no file.
func (s *Store) writeTemp(ctx context.Context, data []byte) (name string, release func(), err error) {
	if err := s.makeDir(tempDir); err != nil {
		return "", nil, err
	}
	temp := path.Join(tempDir, rand.Text())
	file, err := s.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", nil, err
	}
	lockWritten(file)
	// Before it was locked it may have been taken for a leftover.
	_, err = s.root.Lstat(temp)
	if err == nil {
		err = fill(ctx, file, data)
	}
	if err == nil {
		release, err = keepLocked(file)
	}
	if err != nil {
		file.Close()
		s.root.Remove(temp)
		return "", nil, err
	}
	return temp, release, nil
}

func fill(ctx context.Context, file *os.File, data []byte) error {
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return flush(file)
}

// makeDir makes the folder and its parents, and their entries durable before
// anything in them is acknowledged, even if another writer made them just now.
func (s *Store) makeDir(dir string) error {
	if dir == "." {
		return nil
	}
	parent := path.Dir(dir)
	if err := s.makeDir(parent); err != nil {
		return err
	}
	err := s.root.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, done := s.synced.Load(dir); done && err != nil {
		return nil
	}
	if err := syncDir(s.root.Open(parent)); err != nil {
		return err
	}
	s.synced.Store(dir, nil)
	return nil
}

// noteListed remembers that a List reads this folder. Objects in it may be of a
// writer who was killed between naming them and flushing the folder.
func (s *Store) noteListed(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed[dir] = true
}

// syncListed makes what was listed durable, before an object that may refer to
// it. It waits until the next Put, so that who only reads does not pay for it.
func (s *Store) syncListed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for dir := range s.listed {
		if err := syncDir(s.root.Open(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		delete(s.listed, dir)
	}
	return nil
}

// exists tells an object under name from something else that is in its place.
// The object's writer may not have come to flush the folder, and never may.
func (s *Store) exists(name string) error {
	info, err := s.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: something that is not an object has this name", blob.ErrName)
	}
	if err := syncDir(s.root.Open(path.Dir(name))); err != nil {
		return err
	}
	return blob.ErrExists
}

// syncDir makes the entries of an opened folder durable, and closes it.
func syncDir(dir *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(flushDir(dir), dir.Close())
}
