// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	dav "github.com/emersion/go-webdav"

	"github.com/coffer-backup/coffer/blob"
)

// An object is put in five steps, each one request:
//
//	MKCOL  .coffer/ID/                         a folder of this Put alone
//	PUT    .coffer/ID/ID                       the bytes
//	MOVE   .coffer/ID/ to .coffer/HASH/        the claim: HASH is of the object's name
//	MOVE   .coffer/HASH/ID to NAME             the object appears
//	DELETE .coffer/HASH/                       the claim is given up
//
// Only the claim decides. A server renames a folder in one step of its file system, which fails where a folder with
// something in it has the name already; its own checks, made before, are for the usual case. While a claim stands, no other writer
// of this name comes to its fourth step, and when it is given up the object is there, for the check to find.
//
// Crashes: before the claim, a leftover. After it, an object that is still to appear: the next writer of the name, who finds the claim
// taken and no object, takes the fourth step for the one who made it. Every ID is new, so that a step that is
// late by any time finds nothing to act on. Leftovers of either kind go after a day.
const (
	hiddenFolder = ".coffer"
	maxTries     = 20
)

// errAgain means that others got in the way in a manner that leaves nothing to do but to begin again.
var errAgain = errors.New("others are putting objects of this name")

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := blob.ValidName(name); err != nil {
		return err
	}
	err := errAgain
	for tries := 0; errors.Is(err, errAgain) && tries < maxTries; tries++ {
		err = s.put(ctx, name, data)
	}
	switch {
	case errors.Is(err, errAgain):
		err = fmt.Errorf("%w: %w", blob.ErrUnreachable, err)
	case errors.Is(err, blob.ErrNotFound):
		err = fmt.Errorf("%w: its folder has been removed (%v)", blob.ErrUnreachable, err)
	}
	if err != nil {
		return s.explain("put", name, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, name string, data []byte) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if err := s.makeFolder(ctx, parentOf(name)); err != nil {
		return err
	}
	id, hash := strings.ToLower(rand.Text()), sha256.Sum256([]byte(name))
	p := &putting{
		store: s, name: name, data: data, id: id,
		work:  s.path(hiddenFolder + "/" + id + "/"),
		claim: s.path(hiddenFolder + "/" + hex.EncodeToString(hash[:]) + "/"),
	}
	if err := p.upload(ctx); err != nil {
		p.discard(ctx, p.work)
		return err
	}
	err := s.move(ctx, p.work, p.claim)
	switch status(err) {
	case 0:
		if err == nil {
			return p.publish(ctx)
		}
	// The last two are how servers put it that find out late.
	case http.StatusPreconditionFailed, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusConflict:
		return p.lost(ctx, retried(err))
	}
	p.discard(ctx, p.work)
	return err
}

// putting is one try to put an object.
type putting struct {
	store       *Store
	name        string
	data        []byte
	id          string
	work, claim string // paths of folders
}

func (p *putting) upload(ctx context.Context) error {
	switch err := p.store.dav.Mkdir(ctx, p.work); {
	case status(err) == http.StatusConflict, errors.Is(err, blob.ErrNotFound):
		p.store.forget()
		return errAgain
	case err != nil && !(status(err) == http.StatusMethodNotAllowed && retried(err)):
		return err
	}
	req, err := p.store.request(ctx, http.MethodPut, p.work+p.id, http.Header{"Content-Type": {"application/octet-stream"}}, p.data)
	if err != nil {
		return err
	}
	_, err = p.store.client.Do(req)
	if status(err) == http.StatusConflict || errors.Is(err, blob.ErrNotFound) {
		return errAgain // somebody took the folder for a leftover
	}
	return err
}

// publish gives the object its name. The claim is ours.
func (p *putting) publish(ctx context.Context) error {
	err := p.store.move(ctx, p.claim+p.id, p.store.path(p.name))
	switch {
	case err == nil:
	case status(err) == http.StatusPreconditionFailed, errors.Is(err, blob.ErrNotFound):
		// Another object is there; or an earlier try of ours did it, or another writer in our stead: then our bytes are no longer here.
		_, here := p.store.stat(ctx, p.claim+p.id)
		err = p.settle(ctx, errors.Is(here, blob.ErrNotFound))
	case status(err) == http.StatusConflict: // its folder is gone, or it is a folder itself
		p.store.folders.Clear()
		err = p.settle(ctx, false)
	}
	p.discard(ctx, p.claim)
	return err
}

// lost finds out who took the claim. If our request was sent twice, it may be we.
func (p *putting) lost(ctx context.Context, sentTwice bool) error {
	if sentTwice {
		if _, err := p.store.stat(ctx, p.claim+p.id); err == nil {
			return p.publish(ctx)
		}
	}
	defer p.discard(ctx, p.work)
	err := p.settle(ctx, sentTwice)
	if !errors.Is(err, errAgain) {
		return err
	}
	if err := p.help(ctx); err != nil {
		return err
	}
	return p.settle(ctx, sentTwice)
}

// settle says what became of the name: blob.ErrExists, or nil where it may be our object and has our bytes, or errAgain if
// nothing has it.
func (p *putting) settle(ctx context.Context, mayBeOurs bool) error {
	found, err := p.store.stat(ctx, p.store.path(p.name))
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return errAgain
	case err != nil:
		return err
	case found.collection:
		return fmt.Errorf("%w: a folder has this name", blob.ErrName)
	case mayBeOurs && found.sizeBytes == int64(len(p.data)):
		same, err := p.store.same(ctx, p.name, p.data)
		if errors.Is(err, blob.ErrNotFound) {
			return errAgain
		}
		if err != nil || same {
			return err
		}
	}
	return blob.ErrExists
}

// help takes the last two steps for whoever holds the claim, who may be dead.
func (p *putting) help(ctx context.Context) error {
	found, _, err := p.store.readFolder(ctx, p.claim)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range found {
		if isID(c.name) && !c.collection {
			err := p.store.move(ctx, p.claim+c.name, p.store.path(p.name))
			if status(err) == http.StatusPreconditionFailed || errors.Is(err, blob.ErrNotFound) {
				err = nil
			}
			if err != nil {
				return err
			}
		}
	}
	p.discard(ctx, p.claim)
	return nil
}

// discard removes a folder of ours. Where it fails, it leaves a leftover.
func (p *putting) discard(ctx context.Context, folder string) {
	if ctx.Err() == nil {
		p.store.dav.RemoveAll(ctx, folder)
	}
}

func (s *Store) move(ctx context.Context, from, to string) error {
	return s.dav.Move(ctx, from, to, &dav.MoveOptions{NoOverwrite: true})
}

// status returns the status of an answer that is no success, or 0.
func status(err error) int {
	if refused, ok := errors.AsType[*statusError](err); ok {
		return refused.code
	}
	return 0
}

// retried reports whether the refused request had been sent before.
func retried(err error) bool {
	refused, ok := errors.AsType[*statusError](err)
	return ok && refused.tries > 1
}
