// SPDX-License-Identifier: Apache-2.0

package gdrive

import (
	"context"
	"fmt"
	"strconv"
)

// Quota is what Google says of the account's storage, which it shares with mail and photographs. Without a limit, LimitBytes is 0.
type Quota struct {
	UsedBytes, LimitBytes int64
}

// Quota asks for the storage of the account.
func (s *Store) Quota(ctx context.Context) (q Quota, err error) {
	err = s.service.do(ctx, func(ctx context.Context) error {
		about, err := s.service.drive.About.Get().Fields("storageQuota(limit,usage)").Context(ctx).Do()
		if err != nil {
			return err
		}
		if about.StorageQuota == nil || about.StorageQuota.Limit < 0 || about.StorageQuota.Usage < 0 {
			return nonsense("a quota that is none")
		}
		q = Quota{about.StorageQuota.Usage, about.StorageQuota.Limit}
		return nil
	})
	if err != nil {
		return Quota{}, fmt.Errorf("ask %s for its quota: %w", s, err)
	}
	return q, nil
}

func (q Quota) String() string {
	gib := func(n int64) string { return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB" }
	if q.LimitBytes == 0 {
		return gib(q.UsedBytes) + " used"
	}
	return gib(q.UsedBytes) + " of " + gib(q.LimitBytes) + " used"
}
