// SPDX-License-Identifier: Apache-2.0

package webdav

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tryOut does in the hidden folder what an archive relies on. A server that replaces what it was told not to would lose
// backups without a word; one that is merely not set up for WebDAV is better named now than at the first backup.
func (s *Store) tryOut(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	var trials [2]*putting
	for i := range trials {
		id := strings.ToLower(rand.Text())
		trials[i] = &putting{store: s, data: []byte("coffer tries out this server: " + id), id: id, work: s.path(hiddenFolder + "/" + id + "/")}
		defer trials[i].discard(ctx, trials[i].work)
		if err := trials[i].upload(ctx); err != nil {
			return err
		}
	}
	one, two := trials[0], trials[1]
	if err := s.mustRefuse(ctx, one.work, two.work); err != nil {
		return err
	}
	if err := s.mustRefuse(ctx, one.work+one.id, two.work+two.id); err != nil {
		return err
	}
	name := hiddenFolder + "/" + two.id + "/" + two.id
	part := make([]byte, 100)
	n, err := s.readAt(ctx, name, part, 7)
	if err != io.EOF {
		return fmt.Errorf("it gives back a part of an object with: %w", err)
	}
	whole, err := s.same(ctx, name, two.data)
	if err != nil {
		return err
	}
	if !whole || !bytes.Equal(part[:n], two.data[7:]) {
		return errors.New("it gives back other bytes than it was given")
	}
	return nil
}

func (s *Store) mustRefuse(ctx context.Context, from, to string) error {
	err := s.move(ctx, from, to)
	if err == nil {
		return errors.New("the server replaces what it was told not to (Overwrite: F); it cannot hold an archive")
	}
	if status(err) == 0 {
		return err
	}
	return nil
}
