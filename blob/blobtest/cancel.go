// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/coffer-backup/coffer/blob"
)

func testCancelledBefore(f *fixture) {
	f.put("x", []byte("x"))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	f.wantErr("Put", f.store.Put(ctx, f.name("new"), []byte("new")), context.Canceled)
	f.wantAbsent("new")
	_, err := f.store.ReadAt(ctx, f.name("x"), make([]byte, 1), 0)
	f.wantErr("ReadAt", err, context.Canceled)
	f.wantErr("Delete", f.store.Delete(ctx, f.name("x")), context.Canceled)
	f.wantObject("x", []byte("x"))
	err = nil
	for _, listErr := range f.store.List(ctx, f.folder) {
		err = listErr
	}
	f.wantErr("List", err, context.Canceled)
}

// testCancelledMiddle cancels a Put where the driver looks at its context the
// first time, the second time, and so on, until it no longer looks.
func testCancelledMiddle(f *fixture) {
	for look := range f.of(64, 12) {
		name, data := fmt.Sprintf("x%d", look), content(byte(look), f.of(2<<20, 128<<10))
		ctx := newCountdown(f.ctx, look)
		err := f.store.Put(ctx, f.name(name), data)
		if err != nil {
			f.wantErr("Put", err, context.Canceled)
		}
		got, readErr := Read(f.ctx, f.store, f.name(name))
		switch absent := errors.Is(readErr, blob.ErrNotFound); {
		case absent && err == nil:
			f.Fatalf("look %d: Put returned nil, and there is no object", look)
		case absent:
			if infos := f.list(f.name(name)); len(infos) != 0 {
				f.Fatalf("look %d: List finds what ReadAt does not: %+v", look, infos)
			}
		case readErr != nil || string(got) != string(data):
			f.Fatalf("look %d: %d of %d bytes, %v", look, len(got), len(data), readErr)
		}
		if ctx.Err() == nil {
			return
		}
	}
}

// testCancelledReading cancels listings and reads like that. What is cut short must not look like all that there is.
func testCancelledReading(f *fixture) {
	const objects = 12
	data := content(1, 300_000)
	for i := range objects {
		f.put(fmt.Sprintf("d%d/x%d", i%3, i), nil)
	}
	f.put("x", data)
	for look := range f.of(48, 12) {
		ctx := newCountdown(f.ctx, look)
		seen, err := 0, error(nil)
		for _, err = range f.store.List(ctx, f.name("d")) {
			if err == nil {
				seen++
			}
		}
		if err == nil && seen != objects {
			f.Fatalf("look %d: List ends without an error after %d of %d objects", look, seen, objects)
		}
		if err != nil {
			f.wantErr("List", err, context.Canceled)
		}
		listed := ctx.Err() == nil

		ctx = newCountdown(f.ctx, look)
		p := make([]byte, len(data))
		n, err := f.store.ReadAt(ctx, f.name("x"), p, 0)
		switch {
		case err != nil:
			f.wantErr("ReadAt", err, context.Canceled)
		case n != len(p) || string(p) != string(data):
			f.Fatalf("look %d: ReadAt gives %d of %d bytes, without an error", look, n, len(p))
		}
		if listed && ctx.Err() == nil {
			return
		}
	}
}

// countdown is a context that cancels itself when it is looked at for the nth
// time, so that a test can stop a driver at each of its steps without a clock.
type countdown struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

func newCountdown(parent context.Context, looks int) *countdown {
	c := &countdown{}
	c.Context, c.cancel = context.WithCancel(parent)
	c.left.Store(int64(looks))
	return c
}

func (c *countdown) look() {
	if c.left.Add(-1) < 0 {
		c.cancel()
	}
}

func (c *countdown) Err() error {
	c.look()
	return c.Context.Err()
}

func (c *countdown) Done() <-chan struct{} {
	c.look()
	return c.Context.Done()
}
