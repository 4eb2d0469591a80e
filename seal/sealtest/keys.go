// SPDX-License-Identifier: Apache-2.0

package sealtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coffer-backup/coffer/seal"
)

func testKeys(f *fixture) {
	before := f.keys()
	a, b := f.newKey(), f.newKey()
	for range 2 {
		got := f.keys()
		f.lists(a, true)
		f.lists(b, true)
		slices.Sort(got)
		if len(got) != len(before)+2 || len(slices.Compact(got)) != len(got) {
			f.Fatalf("%d keys became %d", len(before), len(got))
		}
		f.reopen()
	}
	f.check(f.Destroy(f.Context(), a))
	f.lists(a, false)
	f.lists(b, true)
}

func testMany(f *fixture) {
	const many = 24
	sealed := map[seal.KeyID][]byte{}
	for range many {
		id := f.newKey()
		sealed[id] = f.seal(id, []byte(id), aad)
	}
	if len(sealed) != many {
		f.Fatal("two keys of one id")
	}
	gone := f.made[:many/2]
	for _, id := range gone {
		f.check(f.Destroy(f.Context(), id))
	}
	f.reopen()
	for id, b := range sealed {
		alive := !slices.Contains(gone, id)
		f.lists(id, alive)
		if alive {
			f.opens(id, b, aad, []byte(id))
		} else {
			f.refuses(seal.ErrNoKey, id, b, aad)
		}
	}
}

func testDestroy(f *fixture) {
	id, other := f.newKey(), f.newKey()
	sealed, others := f.seal(id, secret, aad), f.seal(other, secret, aad)
	for range 3 { // at once, when repeated, and after a restart
		f.check(f.Destroy(f.Context(), id))
		f.refuses(seal.ErrNoKey, id, sealed, aad)
		_, err := f.Seal(f.Context(), id, secret, aad)
		f.is(err, seal.ErrNoKey)
		f.lists(id, false)
		f.opens(other, others, aad, secret)
		f.reopen()
		f.refuses(seal.ErrNoKey, id, sealed, aad)
		f.lists(id, false)
	}
}

// testRotation does what a core does with its epoch key, with a restart between any two steps.
func testRotation(f *fixture) {
	old := f.newKey()
	oldSealed := f.seal(old, secret, aad)
	for epoch := range 3 {
		f.reopen()
		f.opens(old, oldSealed, aad, secret)
		id := f.newKey()
		f.reopen()
		next := fmt.Appendf(nil, "epoch key %d", epoch)
		sealed := f.seal(id, next, aad)
		f.reopen()
		f.opens(old, oldSealed, aad, secret)
		f.opens(id, sealed, aad, next)
		f.check(f.Destroy(f.Context(), old))
		f.reopen()
		f.refuses(seal.ErrNoKey, old, oldSealed, aad)
		f.opens(id, sealed, aad, next)
		old, oldSealed = id, f.seal(id, secret, aad)
	}
}

func testCancelled(f *fixture) {
	id := f.newKey()
	sealed, before := f.seal(id, secret, aad), len(f.keys())
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	for name, err := range everyMethod(ctx, f.Sealer, id, sealed) {
		if !errors.Is(err, context.Canceled) {
			f.Errorf("%s: %v", name, err)
		}
	}
	f.opens(id, sealed, aad, secret)
	if now := len(f.keys()); now != before {
		f.Errorf("%d keys became %d", before, now)
	}
}

// testCancelledMeanwhile ends contexts while a slow device may be in the middle of a call, one call at a time: such a call has its effect or not, and fails with whatever fits but
// what would be a lie. What comes after it finds the sealer in order, and no late answer.
func testCancelledMeanwhile(f *fixture) {
	id := f.newKey()
	sealed, before := f.seal(id, secret, aad), f.keys()
	for range 3 {
		gone := f.newKey()
		before = append(before, gone)
		for name, method := range map[string]func(context.Context) error{
			"NewKey":  func(ctx context.Context) error { _, err := f.NewKey(ctx); return err },
			"Seal":    func(ctx context.Context) error { _, err := f.Seal(ctx, id, secret, aad); return err },
			"Open":    func(ctx context.Context) error { _, err := f.Open(ctx, id, sealed, aad); return err },
			"Keys":    func(ctx context.Context) error { _, err := f.Keys(ctx); return err },
			"Destroy": func(ctx context.Context) error { return f.Destroy(ctx, gone) },
		} {
			ctx, cancel := context.WithCancel(f.Context())
			go cancel()
			if err := method(ctx); isLie(err) {
				f.Errorf("%s: %v", name, err)
			}
			cancel()
			f.settles(id, sealed)
		}
		f.check(f.Destroy(f.Context(), gone))
		f.lists(gone, false)
	}
	f.reopen()
	f.opens(id, sealed, aad, secret)
	for _, made := range f.keys() {
		if !slices.Contains(before, made) {
			f.made = append(f.made, made) // by a NewKey that nobody waited for
		}
	}
}

// isLie means that an error says of a key that lives, or of a sealer that is open, what is not so.
func isLie(err error) bool {
	return errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrTampered) || errors.Is(err, seal.ErrClosed)
}

// settles opens what it can open until that succeeds: a device that is still busy with a call that nobody waits for may refuse the next, and calls may be repeated.
func (f *fixture) settles(id seal.KeyID, sealed []byte) {
	f.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		got, err := f.Open(f.Context(), id, sealed, aad)
		if err == nil && bytes.Equal(got, secret) {
			return
		}
		if err == nil || isLie(err) || time.Now().After(end) {
			f.Fatalf("after a call that was cancelled: %q, %v", got, err)
		}
	}
}

func testClosed(f *fixture) {
	id := f.newKey()
	sealed := f.seal(id, secret, aad)
	closed := f.Sealer
	f.check(closed.Close())
	f.check(closed.Close())
	for name, err := range everyMethod(f.Context(), closed, id, sealed) {
		if !errors.Is(err, seal.ErrClosed) {
			f.Errorf("%s: %v", name, err)
		}
	}
	f.reopen()
	f.opens(id, sealed, aad, secret)
	// The old one must not come to life with the new one.
	_, err := closed.Open(f.Context(), id, sealed, aad)
	f.is(err, seal.ErrClosed)
}

func everyMethod(ctx context.Context, s seal.Sealer, id seal.KeyID, sealed []byte) map[string]error {
	errs := map[string]error{}
	_, errs["NewKey"] = s.NewKey(ctx)
	_, errs["Seal"] = s.Seal(ctx, id, secret, aad)
	_, errs["Open"] = s.Open(ctx, id, sealed, aad)
	errs["Destroy"] = s.Destroy(ctx, id)
	_, errs["Keys"] = s.Keys(ctx)
	return errs
}

// testConcurrent lets several workers rotate keys of their own. It says most under the race detector.
func testConcurrent(f *fixture) {
	shared := f.newKey()
	sharedSealed := f.seal(shared, secret, aad)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- rotate(f.Context(), f.Sealer, shared, sharedSealed) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			f.Error(err)
		}
	}
	f.opens(shared, sharedSealed, aad, secret)
}

func rotate(ctx context.Context, s seal.Sealer, shared seal.KeyID, sharedSealed []byte) error {
	id, err := s.NewKey(ctx)
	if err != nil {
		return err
	}
	mine, err := s.Seal(ctx, id, []byte(id), aad)
	if err != nil {
		return err
	}
	got, err := s.Open(ctx, id, mine, aad)
	if err != nil || !bytes.Equal(got, []byte(id)) {
		return fmt.Errorf("own secret: %w", err)
	}
	if got, err = s.Open(ctx, shared, sharedSealed, aad); err != nil || !bytes.Equal(got, secret) {
		return fmt.Errorf("shared secret: %w", err)
	}
	if ids, err := s.Keys(ctx); err != nil || !slices.Contains(ids, id) || !slices.Contains(ids, shared) {
		return fmt.Errorf("keys: %v, %w", ids, err)
	}
	if err := s.Destroy(ctx, id); err != nil {
		return err
	}
	if _, err := s.Open(ctx, id, mine, aad); !errors.Is(err, seal.ErrNoKey) {
		return fmt.Errorf("opened after it was destroyed: %w", err)
	}
	return nil
}

// testDestroyBesideOpen: an Open that began before a Destroy may succeed, one that returns after it may not.
func testDestroyBesideOpen(f *fixture) {
	id := f.newKey()
	sealed := f.seal(id, secret, aad)
	var destroyed sync.WaitGroup
	destroyed.Add(2)
	for range 2 {
		go func() {
			defer destroyed.Done()
			if err := f.Destroy(f.Context(), id); err != nil {
				f.Error(err)
			}
			if _, err := f.Open(f.Context(), id, sealed, aad); !errors.Is(err, seal.ErrNoKey) {
				f.Errorf("opened after it was destroyed: %v", err)
			}
		}()
	}
	for range 20 {
		got, err := f.Open(f.Context(), id, sealed, aad)
		if err == nil && !bytes.Equal(got, secret) || err != nil && !errors.Is(err, seal.ErrNoKey) {
			f.Errorf("beside a destroy: %v", err)
		}
	}
	destroyed.Wait()
}
