// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// indexTrust is how long a backup takes an index from the device's cache, if the destination lists it with its size, before it reads
// the destination's own again. So one that was altered there, which a listing does not show, is found within this time.
const indexTrust = 7 * 24 * time.Hour

// A backupStore is the destination as one backup uses it. Index objects are also kept on the device, sealed as they are: they never
// change, so that a backup need not fetch all of them each time. One that is kept counts only if it has the digest that names it. And what a
// commit asks before its head is answered from one listing.
type backupStore struct {
	blob.Store
	a       *Archive
	prefix  string // of names of indexes
	dir     string
	fetch   bool // read all indexes from the destination, and only keep them
	present map[format.Mark]int64

	one atomic.Pointer[oneListing] // while a commit looks around

	mu   sync.Mutex
	name string // the last one that was read
	data []byte
}

func newBackupStore(a *Archive, stateDir string, fetch bool, present map[format.Mark]int64) *backupStore {
	return &backupStore{
		Store: a.store, a: a, prefix: a.name(dirIndexes, ""), dir: filepath.Join(stateDir, "cache", "indexes"), fetch: fetch, present: present,
	}
}

func (c *backupStore) digest(name string) (format.Digest, bool) {
	rest, ok := strings.CutPrefix(name, c.prefix)
	if !ok {
		return format.Digest{}, false
	}
	return format.ParseDigest(rest)
}

func (c *backupStore) path(d format.Digest) string { return filepath.Join(c.dir, d.String()) }

// ReadAt reads an index as a whole at its first touch, with one request.
func (c *backupStore) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	d, ok := c.digest(name)
	if !ok {
		return c.Store.ReadAt(ctx, name, p, off)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name != name {
		if data := c.load(ctx, name, d); data != nil {
			c.name, c.data = name, data
		} else {
			return c.Store.ReadAt(ctx, name, p, off)
		}
	}
	n := copy(p, c.data[min(off, int64(len(c.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// load returns an index that is whole, or nil: then the caller finds out what is wrong with it.
func (c *backupStore) load(ctx context.Context, name string, d format.Digest) []byte {
	size, there := c.present[format.Mark{Type: format.TypeIndex, Name: d}]
	if !there || size <= 0 || size > format.MaxObjectSize {
		return nil
	}
	if !c.fetch {
		if data := c.kept(d, size); data != nil {
			return data
		}
	}
	data := make([]byte, size+1)
	n, err := c.Store.ReadAt(ctx, name, data, 0)
	if err != io.EOF || int64(n) != size || format.DigestOf(data[:n]) != d {
		return nil
	}
	c.keep(d, data[:n])
	return data[:n]
}

// kept returns an index from the device's disk, or nil.
func (c *backupStore) kept(d format.Digest, size int64) []byte {
	info, err := os.Stat(c.path(d))
	if err != nil || info.Size() != size {
		return nil
	}
	if age := c.a.now().Sub(info.ModTime()); age < 0 || age > indexTrust {
		return nil
	}
	data, err := os.ReadFile(c.path(d))
	if err != nil || format.DigestOf(data) != d {
		return nil
	}
	return data
}

// keep stores an index on the device, as of now. That it fails costs time only.
func (c *backupStore) keep(d format.Digest, data []byte) {
	if os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	temp := c.path(d) + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		os.Remove(temp)
		return
	}
	now := c.a.now()
	if os.Chtimes(temp, now, now) != nil || os.Rename(temp, c.path(d)) != nil {
		os.Remove(temp)
	}
}

// List answers from the one listing while there is one.
func (c *backupStore) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	if one := c.one.Load(); one != nil {
		if infos, ok := (*one)[prefix]; ok {
			return func(yield func(blob.Info, error) bool) {
				for _, info := range infos {
					if !yield(info, nil) {
						return
					}
				}
			}
		}
	}
	return c.Store.List(ctx, prefix)
}

// Put also keeps the index: what was stored is what would be read.
func (c *backupStore) Put(ctx context.Context, name string, data []byte) error {
	if strings.HasPrefix(name, c.a.name(dirHeads, "")) {
		c.one.Store(nil) // what follows must see what is there then
	}
	err := c.Store.Put(ctx, name, data)
	if d, ok := c.digest(name); ok && err == nil {
		c.keep(d, data)
	}
	return err
}

// tidy removes what the newest head does not name.
func (c *backupStore) tidy() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	live := map[string]bool{}
	for _, d := range c.a.head.Indexes {
		live[d.String()] = true
	}
	for _, e := range entries {
		if !live[e.Name()] {
			os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
}
