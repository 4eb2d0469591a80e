// SPDX-License-Identifier: Apache-2.0

package blobtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/blob"
	"github.com/coffer-backup/coffer/blob/blobtest"
)

// call does one operation on the object "x", and a List of everything.
var call = map[string]func(context.Context, blob.Store) error{
	blobtest.OpPut: func(ctx context.Context, s blob.Store) error { return s.Put(ctx, "x", []byte("data")) },
	blobtest.OpReadAt: func(ctx context.Context, s blob.Store) error {
		_, err := s.ReadAt(ctx, "x", make([]byte, 4), 0)
		return err
	},
	blobtest.OpList: func(ctx context.Context, s blob.Store) error {
		for _, err := range s.List(ctx, "") {
			if err != nil {
				return err
			}
		}
		return nil
	},
	blobtest.OpDelete: func(ctx context.Context, s blob.Store) error { return s.Delete(ctx, "x") },
}

func TestFaultBeforeAndAfter(t *testing.T) {
	for op, do := range call {
		for _, after := range []bool{false, true} {
			inner := blobtest.Memory()
			if op != blobtest.OpPut {
				if err := inner.Put(t.Context(), "x", []byte("data")); err != nil {
					t.Fatal(err)
				}
			}
			store := &blobtest.Faulty{Store: inner}
			if hook := blobtest.Nth(op, 1, blob.ErrUnreachable); after {
				store.After = hook
			} else {
				store.Before = hook
			}
			if err := do(t.Context(), store); !errors.Is(err, blob.ErrUnreachable) {
				t.Errorf("%s, after %v: %v; want the fault", op, after, err)
			}
			there := call[blobtest.OpReadAt](t.Context(), inner) == nil
			want := op != blobtest.OpDelete
			if op == blobtest.OpPut || op == blobtest.OpDelete {
				want = after == (op == blobtest.OpPut)
			}
			if there != want {
				t.Errorf("%s, after %v: the object is there: %v", op, after, there)
			}
			if store.Ops()[op] != 1 {
				t.Errorf("%s counted %d times", op, store.Ops()[op])
			}
		}
	}
}

func TestTorn(t *testing.T) {
	store := &blobtest.Faulty{Store: blobtest.Memory(), Before: blobtest.FromNth(blobtest.OpPut, 1, blobtest.Torn(2))}
	err := store.Put(t.Context(), "x", []byte("data"))
	if torn, ok := errors.AsType[blobtest.Torn](err); !ok || torn != 2 {
		t.Errorf("Put: %v; want Torn(2)", err)
	}
	if err := store.Put(t.Context(), "y", []byte("data")); !errors.Is(err, blobtest.ErrInjected) {
		t.Errorf("Put after the tear: %v; want ErrInjected", err)
	}
	got, err := blobtest.Read(t.Context(), store.Store, "x")
	if string(got) != "da" || err != nil {
		t.Errorf("Read = %q, %v; want the first two bytes", got, err)
	}
	if _, err := blobtest.Read(t.Context(), store.Store, "y"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Read(y): %v; want ErrNotFound", err)
	}
}

func TestNthAndFromNth(t *testing.T) {
	ops := []string{blobtest.OpPut, blobtest.OpList, blobtest.OpPut, blobtest.OpList, blobtest.OpPut}
	for _, c := range []struct {
		hook blobtest.Hook
		want []bool
	}{
		{blobtest.Nth(blobtest.OpPut, 2, io.ErrNoProgress), []bool{false, false, true, false, false}},
		{blobtest.Nth("", 2, io.ErrNoProgress), []bool{false, true, false, false, false}},
		{blobtest.FromNth(blobtest.OpPut, 2, io.ErrNoProgress), []bool{false, false, true, true, true}},
		{blobtest.FromNth("", 4, io.ErrNoProgress), []bool{false, false, false, true, true}},
	} {
		var got []bool
		for _, op := range ops {
			got = append(got, c.hook(op, "x") == io.ErrNoProgress)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("failed %v; want %v", got, c.want)
		}
	}
}

func TestCountersBesideCalls(t *testing.T) {
	store := &blobtest.Faulty{Store: blobtest.Memory(), After: blobtest.Nth(blobtest.OpReadAt, 1, blobtest.ErrInjected)}
	if err := store.Put(t.Context(), "x", []byte("data")); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			call[blobtest.OpReadAt](t.Context(), store)
			store.Ops()[blobtest.OpPut] = 99 // a copy
			store.Bytes()[blobtest.OpPut] = 99
		})
	}
	calls.Wait()
	if ops := store.Ops(); ops[blobtest.OpPut] != 1 || ops[blobtest.OpReadAt] != 8 {
		t.Errorf("Ops = %v", ops)
	}
	if b := store.Bytes(); b[blobtest.OpPut] != 4 || b[blobtest.OpReadAt] != 32 {
		t.Errorf("Bytes = %v", b)
	}
}

func TestCorrupt(t *testing.T) {
	store := &blobtest.Faulty{Store: blobtest.Memory(), Before: func(op, _ string) error {
		if op == blobtest.OpPut {
			return nil
		}
		return blobtest.ErrInjected
	}}
	if err := store.Put(t.Context(), "x", []byte("data")); err != nil {
		t.Fatal(err)
	}
	err := blobtest.Corrupt(t.Context(), store, "x", func(b []byte) []byte {
		b[0] ^= 1
		return append(b, '!')
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := blobtest.Read(t.Context(), store.Store, "x")
	if !bytes.Equal(got, []byte("eata!")) || err != nil {
		t.Errorf("Read = %q, %v", got, err)
	}
	if store.Ops()[blobtest.OpPut] != 1 {
		t.Errorf("Corrupt was counted: %v", store.Ops())
	}
	if err := blobtest.Corrupt(t.Context(), store, "none", bytes.Clone); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Corrupt of nothing: %v; want ErrNotFound", err)
	}
}
