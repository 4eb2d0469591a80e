// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// An object is one that is named by its digest, on its way from one destination to another.
type object struct {
	name   string
	digest format.Digest
	size   int64 // as a listing says; 0: unknown
	limit  int   // what any such object has at most
}

// most is how many bytes are taken of it: one that is longer than its listing says is not whole.
func (o object) most() int {
	if o.size > 0 {
		return int(min(o.size, int64(o.limit)))
	}
	return o.limit
}

func limitOf(t format.Type) int {
	if t == format.TypePack {
		return format.MaxPackSize
	}
	return format.MaxObjectSize
}

const (
	transfers     = 8        // objects under way at once
	transferBytes = 32 << 20 // what they may hold in memory, and what a kill costs: two packs; a larger object goes alone
)

// transfer calls do for each object, several at once, and ends with the first error.
func transfer(ctx context.Context, objects []object, do func(context.Context, object) error) error {
	memory := semaphore.NewWeighted(transferBytes)
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(transfers)
	for _, o := range objects {
		weight := min(int64(o.most()), transferBytes)
		if err := memory.Acquire(working, weight); err != nil {
			break // which the group's error explains, or the caller's context
		}
		g.Go(func() error {
			defer memory.Release(weight)
			return do(working, o)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// readNamed reads an object and checks that it is what it is named by. What it is not is ErrDamaged; what is not there, blob.ErrNotFound.
func readNamed(ctx context.Context, store blob.Store, o object) ([]byte, error) {
	if o.size > int64(o.limit) {
		return nil, fmt.Errorf("%w: object %s is larger than any such object may be", ErrDamaged, o.name)
	}
	data, err := readAll(ctx, store, o.name, o.most())
	if err != nil {
		return nil, &objectError{o.name, err}
	}
	if format.DigestOf(data) != o.digest {
		return nil, fmt.Errorf("%w: object %s does not have the contents it is named by", ErrDamaged, o.name)
	}
	return data, nil
}
