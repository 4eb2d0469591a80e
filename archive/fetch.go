// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/coffer-backup/coffer/archive/format"
)

// A want is one content that somebody needs; what is theirs to know it by.
type want struct {
	location
	id         format.ContentID
	what, part uint32
}

const (
	fetchSize = 2 * format.SegmentSize // most that one read asks for
	fetchGap  = 64 << 10               // reading this much in vain is cheaper than another request
)

// fetch reads the wanted contents in the order they lie in the packs, neighbours with one read, on several goroutines, and calls
// take for each. take may be called by several goroutines at once, gets either a content, valid during the call, or an error,
// and ends the fetch by returning one. wants is sorted in place.
func (a *Archive) fetch(ctx context.Context, wants []want, take func(w want, content []byte, err error) error) error {
	slices.SortFunc(wants, func(x, y want) int {
		return cmp.Or(cmp.Compare(x.pack, y.pack), cmp.Compare(x.offset, y.offset), cmp.Compare(x.what, y.what), cmp.Compare(x.part, y.part))
	})
	g, ctx := errgroup.WithContext(ctx)
	ranges := make(chan []want)
	g.Go(func() error {
		defer close(ranges)
		for len(wants) > 0 {
			n := rangeOf(wants)
			select {
			case ranges <- wants[:n]:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			wants = wants[n:]
		}
		return nil
	})
	for range workers() {
		g.Go(func() error {
			var sealed, plain []byte
			for ws := range ranges {
				if sealed == nil {
					sealed, plain = make([]byte, fetchSize), make([]byte, 0, format.GroupSize)
				}
				if err := a.fetchRange(ctx, ws, sealed, plain, take); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// rangeOf returns how many of the wants, which are sorted, one read can serve.
func rangeOf(wants []want) int {
	first := wants[0]
	end := int64(first.offset) + first.sealed()
	for i, w := range wants[1:] {
		if w.pack != first.pack || int64(w.offset) > end+fetchGap || int64(w.offset)+w.sealed()-int64(first.offset) > fetchSize {
			return i + 1
		}
		end = max(end, int64(w.offset)+w.sealed())
	}
	return len(wants)
}

func (a *Archive) fetchRange(ctx context.Context, ws []want, sealed, plain []byte, take func(want, []byte, error) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	first, size := ws[0], int64(0)
	for _, w := range ws {
		size = max(size, int64(w.offset-first.offset)+w.sealed())
	}
	sealed = sealed[:size]
	n, readErr := a.readPack(ctx, first.pack, sealed, int64(first.offset))
	if lost(readErr) && !errors.Is(readErr, ErrDamaged) && len(ws) > 1 { // find out which of them can be read
		for i := range ws {
			if err := a.fetchRange(ctx, ws[i:i+1], sealed[:0:cap(sealed)], plain, take); err != nil {
				return err
			}
		}
		return nil
	}
	for i := 0; i < len(ws); {
		var content []byte
		err := readErr
		from := int64(ws[i].offset - first.offset)
		if end := from + ws[i].sealed(); end <= int64(n) {
			content, err = a.openContent(ws[i].id, ws[i].location, sealed[from:end], plain)
		}
		for first := i; i < len(ws) && ws[i].id == ws[first].id && ws[i].location == ws[first].location; i++ {
			if i > first && ctx.Err() != nil { // there can be very many of one; but what was read is not thrown away
				return context.Cause(ctx)
			}
			if err := take(ws[i], content, err); err != nil {
				return err
			}
		}
	}
	return nil
}
