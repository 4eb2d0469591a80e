// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

const (
	// leftoverAge is how long a folder in the hidden one may belong to a living writer. By the server's clock alone: it
	// says in one answer what time it is and when the folder was made. Whoever loses a folder to a clock that jumps begins again.
	leftoverAge = 24 * time.Hour

	// maxRemovals bounds what one run spends on leftovers.
	maxRemovals = 100
)

// prepare makes sure that the hidden folder is there, and removes leftovers in it. It does so once.
func (s *Store) prepare(ctx context.Context) error {
	select {
	case s.hidden <- struct{}{}:
		defer func() { <-s.hidden }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.ready {
		return nil
	}
	folder := s.path(hiddenFolder + "/")
	found, now, err := s.readFolder(ctx, folder)
	if errors.Is(err, blob.ErrNotFound) {
		err = s.mkcol(ctx, folder)
		if status(err) == http.StatusConflict {
			err = fmt.Errorf("%w: its folder has been removed", blob.ErrUnreachable)
		}
	}
	if err != nil {
		return err
	}
	removals := 0
	for _, c := range found {
		old := !now.IsZero() && !c.modTime.IsZero() && now.Sub(c.modTime) > leftoverAge
		if old && c.collection && (isID(c.name) || isHash(c.name)) && removals < maxRemovals && ctx.Err() == nil {
			s.dav.RemoveAll(ctx, folder+c.name+"/") // a claim too: its holder, if it lives, begins again
			removals++
		}
	}
	s.ready = true
	return nil
}

// forget has the next Put look again whether its folders are there.
func (s *Store) forget() {
	s.hidden <- struct{}{}
	s.ready = false
	<-s.hidden
	s.folders.Clear()
}

// isID tells the names that Put makes for its folders.
func isID(name string) bool {
	return len(name) == 26 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func isHash(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == hex.EncodedLen(sha256.Size)
}

// makeFolder makes a folder and its parents, if they are not there. Its name is empty or ends with a slash.
func (s *Store) makeFolder(ctx context.Context, folder string) error {
	if folder == "" {
		return nil
	}
	if _, known := s.folders.Load(folder); known {
		return nil
	}
	found, err := s.stat(ctx, s.path(folder))
	if errors.Is(err, blob.ErrNotFound) {
		if err := s.makeFolder(ctx, parentOf(strings.TrimSuffix(folder, "/"))); err != nil {
			return err
		}
		err = s.mkcol(ctx, s.path(folder))
		if status(err) == http.StatusConflict {
			s.folders.Clear()
			return errAgain
		}
		found.collection = true
	}
	if err != nil {
		return err
	}
	if !found.collection {
		return fmt.Errorf("%w: an object has the name of one of its folders", blob.ErrName)
	}
	s.folders.Store(folder, nil)
	return nil
}

// mkcol makes a folder that others may be making as well.
func (s *Store) mkcol(ctx context.Context, path string) error {
	err := s.dav.Mkdir(ctx, path)
	if err == nil || status(err) == http.StatusConflict {
		return err
	}
	found, statErr := s.stat(ctx, path)
	switch {
	case statErr != nil:
		return err
	case !found.collection:
		return fmt.Errorf("%w: an object has the name of one of its folders", blob.ErrName)
	}
	return nil
}

// makeRoot makes the folder at the path and its parents.
func (s *Store) makeRoot(ctx context.Context, folder string) error {
	err := s.mkcol(ctx, folder)
	parent := path.Dir(strings.TrimSuffix(folder, "/"))
	if status(err) != http.StatusConflict || parent == "/" {
		return err
	}
	if err := s.makeRoot(ctx, parent+"/"); err != nil {
		return err
	}
	return s.mkcol(ctx, folder)
}
