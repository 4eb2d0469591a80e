// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/coffer-backup/coffer/blob"
)

// What a hook and a counter call the methods of a store.
const (
	OpPut    = "put"
	OpReadAt = "readat"
	OpList   = "list"
	OpDelete = "delete"
)

// ErrInjected is a cause of failure that no real driver has.
var ErrInjected = errors.New("injected fault")

// Hook decides the fate of one call: nil lets it pass, an error makes it fail
// with that error. name is the object's, or the prefix of a List. Many
// goroutines may call a hook at once.
type Hook func(op, name string) error

// Torn is an error for a Before hook. A Put that meets it stores only the first
// so many bytes of its object, and fails. That is what the contract forbids, and what a
// destination that lies about durability leaves after a loss of power.
type Torn int

func (t Torn) Error() string { return fmt.Sprintf("injected fault: only %d bytes were stored", int(t)) }

// Faulty passes every call on to its Store and fails those that its hooks pick.
// Set the fields before the first call.
//
//	store := &blobtest.Faulty{
//		Store: blobtest.Memory(),
//		After: blobtest.Nth(blobtest.OpPut, 3, blob.ErrUnreachable),
//	}
type Faulty struct {
	blob.Store

	// Before runs before the effect: when it fails, the call is lost.
	Before Hook

	// After runs after an effect that succeeded: when it fails, the effect is there and
	// only the answer is lost. A List has by then yielded everything; a ReadAt has
	// filled p, but says 0 bytes.
	After Hook

	mu    sync.Mutex
	ops   map[string]int
	bytes map[string]int64
}

// Ops returns how often each operation was called, also where it failed.
func (f *Faulty) Ops() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.ops)
}

// Bytes returns how many bytes OpPut stored and OpReadAt read, also where the answer
// was lost.
func (f *Faulty) Bytes() map[string]int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.bytes)
}

// Put implements [blob.Store].
func (f *Faulty) Put(ctx context.Context, name string, data []byte) error {
	if err := f.before(OpPut, name); err != nil {
		if torn, ok := errors.AsType[Torn](err); ok {
			return errors.Join(err, f.Store.Put(ctx, name, data[:min(int(torn), len(data))]))
		}
		return err
	}
	if err := f.Store.Put(ctx, name, data); err != nil {
		return err
	}
	return f.after(OpPut, name, len(data))
}

// ReadAt implements [blob.Store].
func (f *Faulty) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := f.before(OpReadAt, name); err != nil {
		return 0, err
	}
	n, err := f.Store.ReadAt(ctx, name, p, off)
	if err != nil && err != io.EOF {
		return n, err
	}
	if fault := f.after(OpReadAt, name, n); fault != nil {
		return 0, fault
	}
	return n, err
}

// List implements [blob.Store].
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if err := f.before(OpList, prefix); err != nil {
			yield(blob.Info{}, err)
			return
		}
		for info, err := range f.Store.List(ctx, prefix) {
			if !yield(info, err) || err != nil {
				return
			}
		}
		if err := f.after(OpList, prefix, 0); err != nil {
			yield(blob.Info{}, err)
		}
	}
}

// Delete implements [blob.Store].
func (f *Faulty) Delete(ctx context.Context, name string) error {
	if err := f.before(OpDelete, name); err != nil {
		return err
	}
	if err := f.Store.Delete(ctx, name); err != nil {
		return err
	}
	return f.after(OpDelete, name, 0)
}

func (f *Faulty) before(op, name string) error {
	f.mu.Lock()
	if f.ops == nil {
		f.ops, f.bytes = map[string]int{}, map[string]int64{}
	}
	f.ops[op]++
	f.mu.Unlock()
	if f.Before == nil {
		return nil
	}
	return f.Before(op, name)
}

func (f *Faulty) after(op, name string, sizeBytes int) error {
	f.mu.Lock()
	f.bytes[op] += int64(sizeBytes)
	f.mu.Unlock()
	if f.After == nil {
		return nil
	}
	return f.After(op, name)
}

// Nth fails the nth call of op, counted from 1, with err, and no other. An op
// of "" counts calls of every kind.
func Nth(op string, n int, err error) Hook {
	var calls atomic.Int64
	return func(called, _ string) error {
		if (op == "" || op == called) && calls.Add(1) == int64(n) {
			return err
		}
		return nil
	}
}

// FromNth fails the nth call of op like Nth, and every later call of any kind: as a
// Before hook it is a caller killed there, or a destination that went away.
// Later calls fail with err too, or with ErrInjected where that is Torn.
func FromNth(op string, n int, err error) Hook {
	later := err
	if _, torn := errors.AsType[Torn](err); torn {
		later = ErrInjected
	}
	var down atomic.Bool
	nth := Nth(op, n, err)
	return func(called, name string) error {
		if down.Load() {
			return later
		}
		if err := nth(called, name); err != nil {
			down.Store(true)
			return err
		}
		return nil
	}
}

// Corrupt replaces the bytes of an object by mutate of them, as whoever holds the
// destination can. mutate may change its argument in place. Hooks
// and counters of a Faulty store do not notice.
func Corrupt(ctx context.Context, store blob.Store, name string, mutate func([]byte) []byte) error {
	if faulty, ok := store.(*Faulty); ok {
		store = faulty.Store
	}
	data, err := Read(ctx, store, name)
	if err != nil {
		return err
	}
	if err := store.Delete(ctx, name); err != nil {
		return err
	}
	return store.Put(ctx, name, mutate(data))
}
