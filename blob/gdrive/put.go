// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

const (
	// smallBytes and less go in one request with their name. To ask first whether the name is taken would cost as much as they do.
	smallBytes = 512 << 10

	// tick is the resolution of Drive's times. A file made within it may be older than ours by its id alone, so ours is compared only when it is over.
	tick = 2 * time.Millisecond

	// listPatience is how long a new file may be missing in lists.
	listPatience = 2 * time.Minute

	cleanupTime = 30 * time.Second
)

var errNotListed = fmt.Errorf("%w: Google Drive has stored the object and does not list it after %v; try again later", blob.ErrUnreachable, listPatience)

// Put implements [blob.Store], with the limits that the package's documentation names.
func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	if err := blob.ValidName(name); err != nil {
		return err
	}
	if err := s.put(ctx, name, data); err != nil {
		if errors.Is(err, blob.ErrFull) {
			if q, quotaErr := s.Quota(ctx); quotaErr == nil {
				err = fmt.Errorf("%w; %v", err, q)
			}
		}
		return s.explain("put", name, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, name string, data []byte) error {
	_, listed := s.known.get(name)
	if listed || len(data) > smallBytes {
		found, err := s.living(ctx, name)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return blob.ErrExists
		}
	}
	// A crash before the upload's last byte: nothing. After it: the whole object, or a second file of its name that nobody sees.
	mine, err := s.upload(ctx, name, data)
	if err != nil {
		return err
	}
	return s.settle(ctx, mine)
}

// settle decides whether mine is the object, when Drive lists it: then all files that are older are listed too, if its index keeps the order. An index that
// lags may not, so it gets about the same time again.
func (s *Store) settle(ctx context.Context, mine entry) error {
	lagged := false
	for wait := range s.listWaits(ctx) {
		if wait.err != nil {
			return wait.err
		}
		found, err := s.holders(ctx, mine.name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(e entry) bool { return e.id == mine.id }) {
			lagged = true
			continue
		}
		if lagged {
			lagged = false
			continue
		}
		first, err := s.firstLiving(ctx, found, mine.id)
		if err != nil {
			return err
		}
		if first.id == mine.id {
			s.known.noteRecent(mine)
			return nil
		}
		s.known.put(first)
		s.withdraw(ctx, mine)
		return blob.ErrExists
	}
	return errNotListed
}

// firstLiving returns the first of the files of one name that is really there, for those deleted may be listed for a while. The file sure is.
func (s *Store) firstLiving(ctx context.Context, found []entry, sure string) (entry, error) {
	for _, e := range found {
		if e.id == sure {
			return e, nil
		}
		switch _, err := s.service.stat(ctx, e.id, "id"); {
		case err == nil:
			return e, nil
		case !errors.Is(err, blob.ErrNotFound):
			return entry{}, err
		}
		s.known.lose(e)
	}
	return entry{}, blob.ErrNotFound
}

// living returns the object of a name as its only element, or nothing.
func (s *Store) living(ctx context.Context, name string) ([]entry, error) {
	found, err := s.holders(ctx, name)
	if err != nil {
		return nil, err
	}
	first, err := s.firstLiving(ctx, found, "")
	if errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	return []entry{first}, err
}

// withdraw removes our file beside an older one. If it cannot, the older one is the object all the same.
func (s *Store) withdraw(ctx context.Context, mine entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	s.remove(ctx, mine)
}

type listWait struct{ err error }

// listWaits paces questions for what was made just now: at once, and then ever more seldom until listPatience is over. It ends with an error when ctx does.
func (s *Store) listWaits(ctx context.Context) iter.Seq[listWait] {
	return func(yield func(listWait) bool) {
		began := time.Now()
		for wait := tick; time.Since(began) < listPatience; wait = min(2*wait, 10*time.Second) {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				yield(listWait{context.Cause(ctx)})
				return
			case <-timer.C:
			}
			if !yield(listWait{}) {
				return
			}
		}
	}
}
