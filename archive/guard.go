// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/coffer-backup/coffer/blob"
)

// maxListed bounds how many objects a destination may list before it is called hostile. So many packs are 16 TiB.
var maxListed = 1 << 20

// maxListedSize is more than any object has, and so little that the sizes of all that may be listed can be added up.
const maxListedSize = 1 << 40

// A guarded destination is held to the contract of package blob in what the code behind relies on, so that a hostile or broken
// one can neither make it run for ever nor out of bounds.
type guarded struct{ blob.Store }

func guard(store blob.Store) blob.Store {
	if _, ok := store.(guarded); ok {
		return store
	}
	return guarded{store}
}

func (g guarded) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	n, err := g.Store.ReadAt(ctx, name, p, off)
	if n < 0 || n > len(p) || n < len(p) && err == nil {
		return 0, fmt.Errorf("the destination answers a request for %d bytes with %d", len(p), n)
	}
	return n, err
}

func (g guarded) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		n := 0
		for info, err := range g.Store.List(ctx, prefix) {
			if n++; err == nil && n > maxListed {
				err = fmt.Errorf("%w: the destination lists more than %d objects below %q", ErrDamaged, maxListed, prefix)
			}
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			if !strings.HasPrefix(info.Name, prefix) { // not asked for: another archive's, or no name at all
				continue
			}
			info.SizeBytes = min(max(info.SizeBytes, 0), maxListedSize)
			if !yield(info, nil) {
				return
			}
		}
	}
}
