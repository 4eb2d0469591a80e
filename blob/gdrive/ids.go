// SPDX-License-Identifier: Apache-2.0

package gdrive

import "context"

// ids is a stock of ids for new files, which Drive hands out by the hundred. With an id of its own an upload can be repeated after a lost answer: the
// second is refused, and makes no second file.
type ids struct {
	turn  chan struct{} // holds one element while nobody uses the stock, so that many writers make one request
	stock []string
}

const idsPerRequest = 100

func newIDs() ids {
	i := ids{turn: make(chan struct{}, 1)}
	i.turn <- struct{}{}
	return i
}

func (s *Store) newID(ctx context.Context) (id string, err error) {
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-s.ids.turn:
	}
	defer func() { s.ids.turn <- struct{}{} }()
	if len(s.ids.stock) == 0 {
		if s.ids.stock, err = s.service.generateIDs(ctx, s.space()); err != nil {
			return "", err
		}
	}
	last := len(s.ids.stock) - 1
	id, s.ids.stock = s.ids.stock[last], s.ids.stock[:last]
	return id, nil
}

func (s *service) generateIDs(ctx context.Context, space string) (ids []string, err error) {
	err = s.do(ctx, func(ctx context.Context) error {
		answer, err := s.drive.Files.GenerateIds().Count(idsPerRequest).Space(space).Type("files").Fields("ids").Context(ctx).Do()
		if err != nil {
			return err
		}
		if n := len(answer.Ids); n == 0 || n > idsPerRequest {
			return nonsense("%d new ids", n)
		}
		for _, id := range answer.Ids {
			if !validID(id) {
				return nonsense("a new id %.64q", id)
			}
		}
		ids = answer.Ids
		return nil
	})
	return ids, err
}

// space is what Drive calls the part of a user's files where a parent lies.
func (s *Store) space() string {
	if s.parent == hidden {
		return hidden
	}
	return "drive"
}
