// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fspath"

	"github.com/coffer-backup/coffer/blob"
)

// Store is a remote of rclone's that holds objects.
type Store struct {
	f      fs.Fs
	name   string
	way    way
	limit  limiter
	names  locks
	sleep  func(ctx context.Context, d time.Duration) error
	tidied atomic.Bool
}

var _ blob.Store = (*Store)(nil)

// way is how an object comes under its name, whole; see put.go.
type way int

const (
	direct way = iota // the provider shows an object when it has all of it
	move              // from a temporary name
	link              // from a temporary name, and the server refuses a name that is taken
)

// open reaches a remote. With create it makes the folder; without, the folder must be there, where the provider knows folders.
func open(ctx context.Context, text string, create bool) (*Store, error) {
	remote, kind, err := parse(text)
	if err != nil {
		return nil, err
	}
	f, err := fs.NewFs(ctx, remote)
	if errors.Is(err, fs.ErrorIsFile) {
		return nil, errors.New("a file is where the archive's folder should be")
	}
	if err != nil {
		return nil, classify(fmt.Errorf("open the remote: %w", err))
	}
	s := &Store{f: f, name: nameOf(f), sleep: sleep}
	if s.way, err = wayOf(f, kind); err != nil {
		return nil, err
	}
	return s, s.retry(ctx, func() error { return s.reach(ctx, create) })
}

// parse refuses a connection string with a secret in it, and has an SFTP server make hard links: with them alone a name that
// is taken is refused.
func parse(text string) (remote, kind string, err error) {
	info, _, _, _, err := fs.ParseRemote(text)
	if errors.Is(err, fs.ErrorNotFoundInConfigFile) {
		return "", "", fmt.Errorf("rclone's configuration has no remote of this name (%w); make one with rclone config", err)
	}
	if err != nil {
		return "", "", err
	}
	parsed, err := fspath.Parse(text)
	if err != nil {
		return "", "", err
	}
	for _, option := range info.Options {
		if _, given := parsed.Config[option.Name]; given && (option.IsPassword || option.Sensitive) {
			return "", "", fmt.Errorf("%s is nothing for a command, which other users can see; put it into rclone's configuration", option.Name)
		}
	}
	if info.Name == "sftp" {
		text = parsed.ConfigString + ",copy_is_hardlink=true:" + parsed.Path
	}
	return text, info.Name, nil
}

// nameOf names the remote without what a connection string may say.
func nameOf(f fs.Fs) string {
	name, _, _ := strings.Cut(f.Name(), "{")
	return "rclone:" + name + ":" + f.Root()
}

func wayOf(f fs.Fs, kind string) (way, error) {
	can := f.Features()
	switch {
	case kind == "sftp" && can.Copy != nil:
		return link, nil
	case !can.PartialUploads:
		return direct, nil
	case can.Move != nil:
		return move, nil
	}
	return 0, errors.New("this kind of remote shows objects that are half written, and cannot rename them; it cannot hold an archive")
}

// reach finds or makes the folder. A provider of buckets has no folders to look for.
func (s *Store) reach(ctx context.Context, create bool) error {
	switch {
	case create:
		return s.f.Mkdir(ctx, "")
	case s.f.Features().BucketBased:
		return nil
	}
	_, err := s.f.List(ctx, "")
	if errors.Is(err, fs.ErrorDirNotFound) {
		return fmt.Errorf("%w: the folder %s does not exist there; create it, or look whether this is the right remote", blob.ErrUnreachable, s.f.Root())
	}
	return err
}

// String names the remote and its folder.
func (s *Store) String() string { return s.name }

// LimitUpload implements [helper.UploadLimiter].
func (s *Store) LimitUpload(bytesPerSecond int64) { s.limit.set(bytesPerSecond) }
