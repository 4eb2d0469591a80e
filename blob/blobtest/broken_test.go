// SPDX-License-Identifier: Apache-2.0

package blobtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// broken is a store with one broken promise: a field that is set replaces its
// method.
type broken struct {
	blob.Store
	put    func(ctx context.Context, name string, data []byte) error
	readAt func(ctx context.Context, name string, p []byte, off int64) (int, error)
	list   func(ctx context.Context, prefix string) iter.Seq2[blob.Info, error]
	delete func(ctx context.Context, name string) error
}

func (b *broken) Put(ctx context.Context, name string, data []byte) error {
	if b.put != nil {
		return b.put(ctx, name, data)
	}
	return b.Store.Put(ctx, name, data)
}

func (b *broken) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if b.readAt != nil {
		return b.readAt(ctx, name, p, off)
	}
	return b.Store.ReadAt(ctx, name, p, off)
}

func (b *broken) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	if b.list != nil {
		return b.list(ctx, prefix)
	}
	return b.Store.List(ctx, prefix)
}

func (b *broken) Delete(ctx context.Context, name string) error {
	if b.delete != nil {
		return b.delete(ctx, name)
	}
	return b.Store.Delete(ctx, name)
}

// brokenPromises names, for each fault, the subtest that must find it.
var brokenPromises = []struct {
	fault, subtest string
	build          func(blob.Store) *broken
}{
	{"put replaces", "put does not replace", func(m blob.Store) *broken {
		return &broken{put: func(ctx context.Context, name string, data []byte) error {
			err := m.Put(ctx, name, data)
			if errors.Is(err, blob.ErrExists) {
				return blobtest.Corrupt(ctx, m, name, func([]byte) []byte { return data })
			}
			return err
		}}
	}},
	{"all writers win", "one writer wins", func(m blob.Store) *broken {
		return &broken{put: func(ctx context.Context, name string, data []byte) error {
			if err := m.Put(ctx, name, data); !errors.Is(err, blob.ErrExists) {
				return err
			}
			return nil
		}}
	}},
	{"put shows a part first", "one writer wins", func(m blob.Store) *broken {
		var mu sync.Mutex
		readToEnd := make(chan struct{}, 1)
		return &broken{
			put: func(ctx context.Context, name string, data []byte) error {
				mu.Lock()
				defer mu.Unlock()
				if err := m.Put(ctx, name, data[:len(data)/2]); err != nil {
					return err
				}
				<-readToEnd
				return blobtest.Corrupt(ctx, m, name, func([]byte) []byte { return data })
			},
			readAt: func(ctx context.Context, name string, p []byte, off int64) (int, error) {
				n, err := m.ReadAt(ctx, name, p, off)
				if err == io.EOF {
					select {
					case readToEnd <- struct{}{}:
					default:
					}
				}
				return n, err
			},
		}
	}},
	{"put keeps data", "put does not keep its data", func(m blob.Store) *broken {
		var kept sync.Map
		return &broken{
			put: func(ctx context.Context, name string, data []byte) error {
				kept.Store(name, data)
				return m.Put(ctx, name, data)
			},
			readAt: func(ctx context.Context, name string, p []byte, off int64) (int, error) {
				if n, err := m.ReadAt(ctx, name, p, off); err != nil && err != io.EOF || len(p) == 0 || off < 0 {
					return n, err
				}
				data, _ := kept.Load(name)
				return bytes.NewReader(data.([]byte)).ReadAt(p, off)
			},
		}
	}},
	{"a cancelled put tears", "cancelled in the middle", func(m blob.Store) *broken {
		return &broken{put: func(ctx context.Context, name string, data []byte) error {
			err := m.Put(ctx, name, data)
			if err == nil && ctx.Err() != nil {
				blobtest.Corrupt(context.WithoutCancel(ctx), m, name, func(b []byte) []byte { return b[:len(b)/2] })
				return ctx.Err()
			}
			return err
		}}
	}},
	{"a cancelled list looks whole", "reading cancelled in the middle", func(m blob.Store) *broken {
		return &broken{list: func(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
			return func(yield func(blob.Info, error) bool) {
				for info, err := range m.List(ctx, prefix) {
					if errors.Is(err, context.Canceled) || !yield(info, err) {
						return
					}
				}
			}
		}}
	}},
	{"a cancelled read looks whole", "reading cancelled in the middle", func(m blob.Store) *broken {
		return &broken{readAt: func(ctx context.Context, name string, p []byte, off int64) (int, error) {
			n, err := m.ReadAt(ctx, name, p, off)
			if ctx.Err() != nil && len(p) > 1 {
				return n / 2, nil
			}
			return n, err
		}}
	}},
	{"put is not cancelled", "cancelled before", func(m blob.Store) *broken {
		return &broken{put: func(ctx context.Context, name string, data []byte) error {
			return m.Put(context.WithoutCancel(ctx), name, data)
		}}
	}},
	{"names are cleaned", "names", func(m blob.Store) *broken {
		return &broken{put: func(ctx context.Context, name string, data []byte) error {
			return m.Put(ctx, strings.ToLower(path.Clean(name)), data)
		}}
	}},
	{"short reads without io.EOF", "read ranges", func(m blob.Store) *broken {
		return &broken{readAt: func(ctx context.Context, name string, p []byte, off int64) (int, error) {
			n, err := m.ReadAt(ctx, name, p, off)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}}
	}},
	{"io.EOF with a full buffer", "read ranges", func(m blob.Store) *broken {
		return &broken{readAt: func(ctx context.Context, name string, p []byte, off int64) (int, error) {
			n, err := m.ReadAt(ctx, name, p, off)
			if _, more := m.ReadAt(ctx, name, make([]byte, 1), off+int64(len(p))); err == nil && more == io.EOF {
				err = io.EOF
			}
			return n, err
		}}
	}},
	{"delete of nothing succeeds", "delete", func(m blob.Store) *broken {
		return &broken{delete: func(ctx context.Context, name string) error {
			if err := m.Delete(ctx, name); !errors.Is(err, blob.ErrNotFound) {
				return err
			}
			return nil
		}}
	}},
	{"prefix is a folder", "list by prefix", func(m blob.Store) *broken {
		return &broken{list: func(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
			if prefix != "" {
				prefix = strings.TrimSuffix(prefix, "/") + "/"
			}
			return m.List(ctx, prefix)
		}}
	}},
	{"list misses what is above a page", "many objects", func(m blob.Store) *broken {
		return &broken{list: func(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
			return func(yield func(blob.Info, error) bool) {
				listed := 0
				for info, err := range m.List(ctx, prefix) {
					if listed++; listed > 1000 || !yield(info, err) {
						return
					}
				}
			}
		}}
	}},
	{"list goes on", "list stops when told", func(m blob.Store) *broken {
		return &broken{list: func(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
			return func(yield func(blob.Info, error) bool) {
				for info, err := range m.List(ctx, prefix) {
					yield(info, err)
				}
			}
		}}
	}},
	{"list fails beside deletes", "list beside deletes", func(m blob.Store) *broken {
		return &broken{list: func(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
			return func(yield func(blob.Info, error) bool) {
				for info, err := range m.List(ctx, prefix) {
					if err == nil {
						_, err = m.ReadAt(ctx, info.Name, nil, 0)
					}
					if !yield(info, err) || err != nil {
						return
					}
				}
			}
		}}
	}},
	{"an object hides a folder", "object and folder of one name", func(m blob.Store) *broken {
		return &broken{readAt: func(ctx context.Context, name string, p []byte, off int64) (int, error) {
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				if _, err := m.ReadAt(ctx, dir, nil, 0); err == nil {
					return 0, blob.ErrNotFound
				}
			}
			return m.ReadAt(ctx, name, p, off)
		}}
	}},
}

const brokenEnv = "COFFER_TEST_BROKEN_STORE"

// TestBroken runs in a child process of TestSuiteFindsFaults.
func TestBroken(t *testing.T) {
	fault := os.Getenv(brokenEnv)
	if fault == "" {
		t.Skip("only in the child processes of TestSuiteFindsFaults")
	}
	for _, promise := range brokenPromises {
		if promise.fault == fault {
			blobtest.Run(t, func(*testing.T) blob.Store {
				memory := blobtest.Memory()
				b := promise.build(memory)
				b.Store = memory
				return b
			})
		}
	}
}

// TestSuiteFindsFaults: a suite that passes everything would look just as green.
func TestSuiteFindsFaults(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, promise := range brokenPromises {
		t.Run(promise.fault, func(t *testing.T) {
			test := exec.CommandContext(t.Context(), self, "-test.run=^TestBroken$/^"+strings.ReplaceAll(promise.subtest, " ", "_")+"$")
			test.Env = append(os.Environ(), brokenEnv+"="+promise.fault)
			output, err := test.CombinedOutput()
			want := fmt.Sprintf("--- FAIL: TestBroken/%s", strings.ReplaceAll(promise.subtest, " ", "_"))
			if err == nil || !bytes.Contains(output, []byte(want)) {
				t.Errorf("the subtest %q did not fail: %v\n%s", promise.subtest, err, output)
			}
		})
	}
}
