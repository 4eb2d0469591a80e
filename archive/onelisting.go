// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"

	"github.com/coffer-backup/coffer/blob"
)

// oneListing is a destination that answers what a commit asks before it puts its head from one listing of the archive: the keyrings, the heads and
// the packs as they were at one time, after all else was stored. With the head that is put, it is over.
type oneListing struct {
	blob.Store
	heads string // prefix of their names
	dirs  map[string][]blob.Info
	over  atomic.Bool
}

// listOnce puts a oneListing into the destination's place until the returned function is called.
func (a *Archive) listOnce(ctx context.Context) (end func(), err error) {
	o := &oneListing{Store: a.store, heads: a.name(dirHeads, ""), dirs: map[string][]blob.Info{}}
	for _, dir := range []string{dirKeys, dirHeads, dirPacks} {
		o.dirs[a.name(dir, "")] = nil
	}
	prefix := a.name("", "")
	for info, err := range a.store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", prefix, err)
		}
		dir, _, _ := strings.Cut(strings.TrimPrefix(info.Name, prefix), "/")
		if infos, ok := o.dirs[prefix+dir+"/"]; ok {
			o.dirs[prefix+dir+"/"] = append(infos, info)
		}
	}
	a.store = o
	return func() { a.store = o.Store }, nil
}

func (o *oneListing) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	infos, ok := o.dirs[prefix]
	if !ok || o.over.Load() {
		return o.Store.List(ctx, prefix)
	}
	return func(yield func(blob.Info, error) bool) {
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (o *oneListing) Put(ctx context.Context, name string, data []byte) error {
	if strings.HasPrefix(name, o.heads) {
		o.over.Store(true)
	}
	return o.Store.Put(ctx, name, data)
}
