// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"strings"

	"github.com/coffer-backup/coffer/blob"
)

// List implements [blob.Store]. It keeps a hash of each name until it ends, to show one of two files of a name.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		listed := 0
		for e, err := range s.objects(ctx, prefix) {
			if err != nil {
				yield(blob.Info{}, s.explain("list", prefix, err))
				return
			}
			listed++
			if !yield(e.info(), nil) {
				return
			}
		}
		if listed > 0 {
			return
		}
		if err := s.present(ctx); err != nil {
			yield(blob.Info{}, s.explain("list", prefix, err))
		}
	}
}

func (s *Store) objects(ctx context.Context, prefix string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(entry{}, err)
			return
		}
		if !beginsName(prefix) {
			return
		}
		query := isIn(s.parent)
		if end := strings.LastIndexByte(prefix, '/'); end >= 0 {
			query = isBelow(prefix[:end]) + " and " + query
		}
		seen := names{maphash.MakeSeed(), maphash.MakeSeed(), map[[2]uint64]bool{}}
		for e, err := range s.pages(ctx, query) {
			if err != nil {
				yield(e, err)
				return
			}
			if !strings.HasPrefix(e.name, prefix) || blob.ValidName(e.name) != nil {
				continue
			}
			if seen.add(e.name) {
				// Which one is the object is asked when it is read: in a very large Drive the order is not kept.
				s.known.forget(e.name)
				continue
			}
			s.known.put(e)
			if !yield(e, nil) {
				return
			}
		}
		for _, e := range s.known.recentBelow(prefix, seen.has) {
			switch _, err := s.service.stat(ctx, e.id, "id"); {
			case errors.Is(err, blob.ErrNotFound):
				s.known.lose(e)
				continue
			case err != nil:
				yield(entry{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// beginsName is false for what begins no valid name for sure, so that no question is asked.
func beginsName(prefix string) bool {
	return !strings.HasPrefix(prefix, "/") && !strings.ContainsFunc(prefix, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("._-/", r))
	})
}

// explain says what was asked for. The context's error and io.EOF are passed on as they are.
func (s *Store) explain(op, name string, err error) error {
	return fmt.Errorf("%s %q at %q: %w", op, name, s, err)
}

// names is a set of names that keeps only hashes; the server cannot make some that collide, for it does not know the seeds.
type names struct {
	seed, seed2 maphash.Seed
	hashes      map[[2]uint64]bool
}

func (n names) hash(name string) [2]uint64 {
	return [2]uint64{maphash.String(n.seed, name), maphash.String(n.seed2, name)}
}

func (n names) has(name string) bool { return n.hashes[n.hash(name)] }

// add reports whether the name was there already.
func (n names) add(name string) bool {
	h := n.hash(name)
	was := n.hashes[h]
	n.hashes[h] = true
	return was
}
