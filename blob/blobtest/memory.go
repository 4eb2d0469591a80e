// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/blob"
)

// Memory returns an empty destination that lives in memory, for tests. It keeps
// the whole contract but durability: its objects go with the process.
func Memory() blob.Store {
	return &memory{objects: map[string]object{}}
}

type memory struct {
	mu      sync.RWMutex
	objects map[string]object
}

type object struct {
	data    []byte
	modTime time.Time
}

func (m *memory) Put(ctx context.Context, name string, data []byte) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[name]; taken {
		return fmt.Errorf("put %q: %w", name, blob.ErrExists)
	}
	m.objects[name] = object{bytes.Clone(data), time.Now()}
	return nil
}

func (m *memory) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := check(ctx, name); err != nil {
		return 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	found, ok := m.objects[name]
	if !ok {
		return 0, fmt.Errorf("read %q: %w", name, blob.ErrNotFound)
	}
	if len(p) == 0 {
		return 0, nil
	}
	return bytes.NewReader(found.data).ReadAt(p, off)
}

func (m *memory) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		m.mu.RLock()
		now := maps.Clone(m.objects)
		m.mu.RUnlock()
		for name, found := range now {
			if err := ctx.Err(); err != nil {
				yield(blob.Info{}, fmt.Errorf("list %q: %w", prefix, err))
				return
			}
			if !strings.HasPrefix(name, prefix) {
				continue
			}
			if !yield(blob.Info{Name: name, SizeBytes: int64(len(found.data)), ModTime: found.modTime}, nil) {
				return
			}
		}
	}
}

func (m *memory) Delete(ctx context.Context, name string) error {
	if err := check(ctx, name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; !ok {
		return fmt.Errorf("delete %q: %w", name, blob.ErrNotFound)
	}
	delete(m.objects, name)
	return nil
}

func (m *memory) String() string { return "memory" }

func check(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return blob.ValidName(name)
}

// Read returns all bytes of an object. It is for tests: a size that a
// destination tells is not bounded.
func Read(ctx context.Context, store blob.Store, name string) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(&reader{ctx, store, name}, 0, 1<<62))
}

type reader struct {
	ctx   context.Context
	store blob.Store
	name  string
}

func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	return r.store.ReadAt(r.ctx, r.name, p, off)
}
