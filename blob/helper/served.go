// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/coffer-backup/coffer/blob"
)

func (s *server) put(f put) error {
	c := &served{id: f.id, op: opPut, cost: int(f.size) + requestCost, name: f.name, size: int(f.size)}
	if err := s.begin(c); err != nil {
		return err
	}
	c.data = make([]byte, 0, c.size) // within the budget
	s.storeIfWhole(c)
	return nil
}

func (s *server) chunk(f chunk) error {
	c := s.find(f.id)
	if c == nil || c.op != opPut || len(c.data) == c.size || len(f.data) > c.size-len(c.data) {
		return fmt.Errorf("bytes for request %d, which waits for none", f.id)
	}
	c.data = append(c.data, f.data...)
	s.storeIfWhole(c)
	return nil
}

// storeIfWhole begins the put once all bytes are there. Before that, only the goroutine of handle knows of it.
func (s *server) storeIfWhole(c *served) {
	if len(c.data) < c.size {
		return
	}
	s.running.Go(func() {
		err := blob.ValidName(c.name)
		if err == nil {
			err = s.store.Put(c.ctx, c.name, c.data)
		}
		s.finish(c, err)
	})
}

// cancel ends a request early. It may have been answered meanwhile.
func (s *server) cancel(id uint64) error {
	c := s.find(id)
	switch {
	case c == nil:
	case c.op == opPut && len(c.data) < c.size:
		s.finish(c, context.Canceled)
	default:
		c.cancel()
	}
	return nil
}

func (s *server) read(c *served, f read) {
	s.finish(c, s.readTo(c, f))
}

func (s *server) readTo(c *served, f read) error {
	if err := blob.ValidName(f.name); err != nil {
		return err
	}
	p := make([]byte, f.size) // within the budget
	n, err := s.store.ReadAt(c.ctx, f.name, p, int64(f.off))
	if n < 0 || n > len(p) || err == nil && n < len(p) || err == io.EOF && n == len(p) {
		return fmt.Errorf("the store read %d of %d bytes, and says %v", n, len(p), err)
	}
	if err != nil && err != io.EOF {
		return err
	}
	for p = p[:n]; len(p) > 0 && c.ctx.Err() == nil; {
		size := min(len(p), maxChunk)
		if err := s.write(piece{c.id, p[:size]}); err != nil {
			return err
		}
		p = p[size:]
	}
	if len(p) > 0 {
		return c.ctx.Err()
	}
	return err
}

func (s *server) list(c *served, prefix string) {
	s.finish(c, s.listPages(c, prefix))
}

// listPages sends pages, and no more than window of them before the client has read one.
func (s *server) listPages(c *served, prefix string) error {
	next, room := page{id: c.id}, window
	flush := func() error {
		if room == 0 {
			select {
			case <-c.more:
				room++
			case <-c.ctx.Done():
				return c.ctx.Err()
			}
		}
		room--
		err := s.write(next)
		next.infos = next.infos[:0]
		return err
	}
	for i, err := range s.store.List(c.ctx, prefix) {
		if err != nil {
			return err
		}
		if err := blob.ValidName(i.Name); err != nil || i.SizeBytes < 0 {
			return fmt.Errorf("the store lists %.64q of %d bytes, which is no object", i.Name, i.SizeBytes)
		}
		next.infos = append(next.infos, info{i.Name, uint64(i.SizeBytes), wireTime(i)})
		if len(next.infos) == maxPage {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(next.infos) > 0 {
		return flush()
	}
	return nil
}

func (s *server) more(id uint64) error {
	c := s.find(id)
	switch {
	case c == nil: // it has been answered meanwhile
		return nil
	case c.op == opList:
		select {
		case c.more <- struct{}{}:
			return nil
		default:
		}
	}
	return errors.New("the client has read more pages than it was sent")
}

func wireTime(i blob.Info) uint64 {
	return uint64(min(max(i.ModTime.UnixMilli(), 0), math.MaxInt64, maxTimeMs))
}
