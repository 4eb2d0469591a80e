// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"strings"

	"github.com/coffer-backup/coffer/blob"
)

// oneListing is what a commit asks for before it puts its head, by prefix: the keyrings, the heads and the packs as they were at one
// time, after all else was stored.
type oneListing map[string][]blob.Info

func (a *Archive) listOnce(ctx context.Context) (oneListing, error) {
	one := oneListing{}
	for _, dir := range []string{dirKeys, dirHeads, dirPacks} {
		one[a.name(dir, "")] = nil
	}
	prefix := a.name("", "")
	for info, err := range a.store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		dir, _, _ := strings.Cut(strings.TrimPrefix(info.Name, prefix), "/")
		if infos, ok := one[prefix+dir+"/"]; ok {
			one[prefix+dir+"/"] = append(infos, info)
		}
	}
	return one, nil
}
