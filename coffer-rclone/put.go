// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
	"github.com/rclone/rclone/fs/object"

	"github.com/coffer-backup/coffer/blob"
)

const (
	// tempDir begins with a dot, so that no object name can reach into it.
	tempDir = ".tmp"

	// tempAge is how long a temporary object may belong to a living writer.
	tempAge = 24 * time.Hour

	// readBackBytes is up to which size an object is read back to see whether another writer came between.
	readBackBytes = 64 << 10
)

// Put implements [blob.Store], as far as rclone can: none of its calls says "unless it is there". So the name is
// looked for before, writers in this process wait for each other, and then, by the remote's way:
//
//   - link: the server makes a hard link, and refuses a taken name: the contract is kept. A server that cannot make links gets a move.
//   - move, direct: of two machines that put one name in the same moment the later one may win. What is small, as are an archive's
//     heads, is read back, so that a writer who was overtaken by then is told.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	unlock, err := s.names.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	s.tidy(ctx)
	unsure := false // whether an earlier try may have had its effect
	again := false  // whether an unknown fault has been tried again
	return s.do(ctx, "put", name, func() error {
		found, err := s.f.NewObject(ctx, name)
		switch {
		case err == nil && unsure && s.same(ctx, found, data):
			return nil
		case err == nil:
			return blob.ErrExists
		case errors.Is(err, fs.ErrorIsDir), errors.Is(err, fs.ErrorNotAFile):
			return fmt.Errorf("%w: a folder has this name", blob.ErrName)
		case !missing(err):
			return err
		}
		unsure = true
		err = s.publish(ctx, name, data)
		if err != nil && classOf(err) == nil && !again {
			// Two clients may have made one folder in the same moment, for which SFTP has no code.
			again, err = true, fserrors.RetryError(err)
		}
		return err
	})
}

func (s *Store) publish(ctx context.Context, name string, data []byte) error {
	if s.way == direct {
		stored, err := s.upload(ctx, name, data)
		if err != nil {
			return occupied(err)
		}
		return s.readBack(ctx, stored, data)
	}
	temp, err := s.upload(ctx, path.Join(tempDir, strings.ToLower(rand.Text())), data)
	if err != nil {
		return err
	}
	if s.way == link {
		err := s.link(ctx, temp, name)
		if !errors.Is(err, errNoLinks) {
			s.discard(ctx, temp)
			return err
		}
	}
	stored, err := s.f.Features().Move(ctx, temp, name)
	if err != nil {
		s.discard(ctx, temp)
		return occupied(err)
	}
	return s.readBack(ctx, stored, data)
}

// errNoLinks means that the server, or its file system, knows no hard links.
var errNoLinks = errors.New("no hard links")

// link fails if the name is taken, and then by an error that has no class in SFTP.
func (s *Store) link(ctx context.Context, temp fs.Object, name string) error {
	_, err := s.f.Features().Copy(ctx, temp, name)
	if err == nil || fserrors.ShouldRetry(err) || ctx.Err() != nil {
		return err
	}
	if _, there := s.f.NewObject(ctx, name); there == nil {
		return blob.ErrExists
	}
	return fmt.Errorf("%w (%w)", errNoLinks, err)
}

// upload makes an object of which all bytes have arrived.
func (s *Store) upload(ctx context.Context, name string, data []byte) (fs.Object, error) {
	// The hashes of the data, which some providers check, are taken from it when they are asked for.
	src := object.NewMemoryObject(name, time.Now(), data)
	stored, err := s.f.Put(ctx, s.limit.reader(ctx, bytes.NewReader(data)), src)
	if err == nil && stored.Size() != int64(len(data)) && stored.Size() >= 0 {
		err = fserrors.RetryErrorf("%d of %d bytes arrived", stored.Size(), len(data))
	}
	if err != nil {
		if stored != nil {
			s.discard(ctx, stored)
		}
		return nil, err
	}
	return stored, nil
}

// readBack looks whether the object is still ours.
func (s *Store) readBack(ctx context.Context, stored fs.Object, data []byte) error {
	if len(data) <= readBackBytes && !s.same(ctx, stored, data) {
		return fmt.Errorf("%w: another writer put it in the same moment", blob.ErrExists)
	}
	return nil
}

func (s *Store) same(ctx context.Context, stored fs.Object, data []byte) bool {
	if stored.Size() >= 0 && stored.Size() != int64(len(data)) {
		return false
	}
	if len(data) == 0 {
		return true
	}
	in, err := stored.Open(ctx)
	if err != nil {
		return false
	}
	defer in.Close()
	got, err := io.ReadAll(io.LimitReader(in, int64(len(data))+1))
	return err == nil && bytes.Equal(got, data)
}

// discard removes what nobody will look for, also when ctx has ended.
func (s *Store) discard(ctx context.Context, temp fs.Object) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer stop()
	_ = temp.Remove(ctx) // else it is removed as a leftover
}

// tidy removes, once, what writers that were killed have left. It does what it can.
func (s *Store) tidy(ctx context.Context) {
	if s.way == direct || !s.tidied.CompareAndSwap(false, true) {
		return
	}
	entries, err := s.f.List(ctx, tempDir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if left, ok := entry.(fs.Object); ok && time.Since(left.ModTime(ctx)) > tempAge {
			_ = left.Remove(ctx)
		}
	}
}
