// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/coffer-backup/coffer/blob"
)

const (
	// maxListed bounds a listing: 64 TiB in packs of 16 MiB.
	maxListed = 4 << 20

	// maxEmptyPages bounds pages in a row on which nothing is. Amazon sends some where many objects were deleted.
	maxEmptyPages = 100
)

// pages watches the pages of one listing, so that none can go on for ever.
type pages struct {
	token   string // of the last request
	empty   int    // pages since the last object
	entries int
	most    int // entries that a listing may have
}

// turn is called before a page is asked for.
func (p *pages) turn(token string) error {
	if token != "" && token == p.token {
		return fmt.Errorf("%w: it gives the same page of a listing again", errNotS3)
	}
	if p.empty++; p.empty > maxEmptyPages {
		return fmt.Errorf("%w: its listing goes on with nothing in it", errNotS3)
	}
	p.token = token
	return nil
}

func (p *pages) entry() error {
	p.empty = 0
	if p.entries++; p.entries > p.most {
		return fmt.Errorf("%w: it lists more than %d objects", errNotS3, p.most)
	}
	return nil
}

// List implements [blob.Store]. A page that fails is asked for again from the last name on.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if blob.ValidName(prefix) != nil && blob.ValidName(prefix+"x") != nil {
			return // begins no valid name
		}
		if ctx.Err() != nil {
			yield(blob.Info{}, fmt.Errorf("list %q in %v: %w", prefix, s, context.Cause(ctx)))
			return
		}
		l := &listing{s: s, prefix: prefix, yield: yield, watch: pages{most: s.maxListed}}
		for l.moved = true; l.moved; { // as long as there is progress, patience begins anew
			l.moved, l.failed = false, nil
			err := s.do(ctx, "list", prefix, l.run)
			if err != nil && !l.stopped {
				yield(blob.Info{}, err)
				return
			}
			if l.stopped || l.failed == nil {
				return
			}
		}
	}
}

// A listing is under way.
type listing struct {
	s      *Store
	prefix string
	yield  func(blob.Info, error) bool

	watch   pages
	last    string // name that was yielded
	moved   bool   // something was, since run began
	failed  error  // after that
	stopped bool   // by the loop's body
}

func (l *listing) run(ctx context.Context, a *attempt) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.watch.token, a.pages = "", &l.watch
	noOwner := false
	options := minio.ListObjectsOptions{Prefix: l.s.prefix + l.prefix, Recursive: true, FetchOwner: &noOwner}
	if l.last != "" {
		options.StartAfter = l.s.prefix + l.last
	}
	for object := range l.s.core.ListObjectsIter(ctx, l.s.config.Bucket, options) {
		err := object.Err
		if err == nil {
			err = l.entry(object)
		}
		switch {
		case l.stopped:
			return nil
		case err != nil && l.moved && !errors.Is(err, errNotS3):
			l.failed = err // run is called again
			return nil
		case err != nil:
			return err
		}
	}
	if ctx.Err() != nil { // then the library just stops
		return context.Cause(ctx)
	}
	return nil
}

func (l *listing) entry(object minio.ObjectInfo) error {
	if err := l.watch.entry(); err != nil {
		return err
	}
	name, ours := strings.CutPrefix(object.Key, l.s.prefix)
	if !ours || !strings.HasPrefix(name, l.prefix) || blob.ValidName(name) != nil {
		return nil
	}
	if name <= l.last || object.Size < 0 {
		return fmt.Errorf("%w: it lists %q after %q, of %d bytes", errNotS3, name, l.last, object.Size)
	}
	l.last, l.moved = name, true
	l.s.seen.add(name)
	l.stopped = !l.yield(blob.Info{Name: name, SizeBytes: object.Size, ModTime: object.LastModified}, nil)
	return nil
}
