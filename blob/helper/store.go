// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/coffer-backup/coffer/blob"
)

var _ blob.Store = (*Store)(nil)

// Put implements [blob.Store]. It refuses more than MaxObjectBytes.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	err := check(ctx, name)
	if err == nil && len(data) > MaxObjectBytes {
		err = fmt.Errorf("%d bytes are more than go through a helper", len(data))
	}
	if err == nil {
		err = s.put(ctx, name, data)
	}
	return s.explain(opPut, name, err)
}

func (s *Store) put(ctx context.Context, name string, data []byte) error {
	on, err := s.live(ctx)
	if err != nil {
		return err
	}
	c := &call{op: opPut, cost: int64(len(data)) + requestCost}
	if err := on.begin(ctx, c); err != nil {
		return err
	}
	on.willSend(c, len(data) == 0)
	if err := on.send(ctx, put{c.id, uint32(len(data)), name}); err != nil {
		on.forget(c)
		return err
	}
	for len(data) > 0 {
		size := min(len(data), maxChunk)
		on.willSend(c, size == len(data))
		if err := on.send(ctx, chunk{c.id, data[:size]}); err != nil {
			break // and wait will see why
		}
		data = data[size:]
	}
	return on.wait(ctx, c)
}

// ReadAt implements [blob.Store].
func (s *Store) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	err := check(ctx, name)
	if err == nil && off < 0 {
		err = fmt.Errorf("offset %d is before the beginning", off)
	}
	n := 0
	for err == nil {
		// The helper's memory is bounded, so a range may take several requests.
		part := p[n:min(len(p), n+MaxObjectBytes)]
		var got int
		got, err = s.readAt(ctx, name, part, off+int64(n))
		if n += got; n == len(p) {
			break
		}
	}
	if err == io.EOF {
		return n, err
	}
	return n, s.explain(opRead, name, err)
}

func (s *Store) readAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	on, err := s.live(ctx)
	if err != nil {
		return 0, err
	}
	c := &call{op: opRead, cost: int64(len(p)) + requestCost, p: p}
	if err := on.begin(ctx, c); err != nil {
		return 0, err
	}
	if err := on.send(ctx, read{c.id, uint64(off), uint32(len(p)), name}); err != nil {
		on.forget(c)
		return 0, err
	}
	if err := on.wait(ctx, c); err != nil && err != io.EOF {
		return 0, err
	} else {
		return c.got, err
	}
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, name string) error {
	err := check(ctx, name)
	if err == nil {
		err = s.remove(ctx, name)
	}
	return s.explain(opDelete, name, err)
}

func (s *Store) remove(ctx context.Context, name string) error {
	on, err := s.live(ctx)
	if err != nil {
		return err
	}
	c := &call{op: opDelete, cost: requestCost}
	if err := on.begin(ctx, c); err != nil {
		return err
	}
	if err := on.send(ctx, remove{c.id, name}); err != nil {
		on.forget(c)
		return err
	}
	return on.wait(ctx, c)
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		err := ctx.Err()
		if err == nil && len(prefix) <= maxName { // a longer one begins no name
			err = s.list(ctx, prefix, yield)
		}
		if err != nil && err != errStop {
			yield(blob.Info{}, s.explain(opList, prefix, err))
		}
	}
}

// errStop means that the loop's body wants no more.
var errStop = errors.New("stop")

func (s *Store) list(ctx context.Context, prefix string, yield func(blob.Info, error) bool) error {
	on, err := s.live(ctx)
	if err != nil {
		return err
	}
	c := &call{op: opList, cost: 1, prefix: prefix}
	if err := on.begin(ctx, c); err != nil {
		return err
	}
	if err := on.send(ctx, list{c.id, prefix}); err != nil {
		on.forget(c)
		return err
	}
	defer on.abandon(c)
	defer on.cancel(c) // the body may want no more, or panic
	for {
		infos, err := on.nextPage(ctx, c)
		if infos == nil || err != nil {
			return err
		}
		for _, i := range infos {
			if !yield(i, nil) {
				return errStop
			}
		}
	}
}

// String says what the helper calls its destination. It is bounded, and can be printed.
func (s *Store) String() string { return s.name }

func check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return blob.ValidName(name)
}

func (s *Store) explain(o op, name string, err error) error {
	if err == nil || errors.Is(err, blob.ErrName) && o != opPut {
		return err
	}
	return fmt.Errorf("%s %.64q at %s: %w", o, name, s.name, err)
}
