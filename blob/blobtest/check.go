// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/coffer-backup/coffer/blob"
)

// Run makes the check and returns what broke the contract, or nil. A light check puts a tenth of the objects and bytes: enough for a
// person's own account, too little to see where a provider's lists are cut into pages.
//
// When ctx ends, the check fails, and removes all the same what it put.
func (c Check) Run(ctx context.Context, store blob.Store, light bool) error {
	v := &verdict{ctx: ctx}
	v.apart(func() { c.run(newFixture(v, store, light)) })
	for _, clean := range v.cleanups {
		v.apart(clean)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return v.err()
}

// verdict stands for *testing.T. It keeps the first failures; the rest follow from them, most likely.
type verdict struct {
	ctx      context.Context
	cleanups []func()

	mu       sync.Mutex
	failures []error
	more     int
}

const maxFailures = 5

// apart runs f in a goroutine of its own, which a Fatal in it ends. A driver that breaks the rules of an iterator panics.
func (v *verdict) apart(f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			if broken := recover(); broken != nil {
				v.Errorf("panic: %v", broken)
			}
		}()
		f()
	}()
	<-ended
}

func (v *verdict) add(failure error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.failures) == maxFailures {
		v.more++
		return
	}
	v.failures = append(v.failures, failure)
}

func (v *verdict) err() error {
	if v.more > 0 {
		v.failures = append(v.failures, fmt.Errorf("and %d more like these", v.more))
	}
	return errors.Join(v.failures...)
}

func (v *verdict) Helper()                  {}
func (v *verdict) Cleanup(f func())         { v.cleanups = append(v.cleanups, f) }
func (v *verdict) Context() context.Context { return v.ctx }

func (v *verdict) Error(args ...any) {
	v.add(errors.New(strings.TrimSuffix(fmt.Sprintln(args...), "\n")))
}

func (v *verdict) Errorf(format string, args ...any) { v.add(asError(format, args)) }

func (v *verdict) Fatal(args ...any) {
	v.Error(args...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

// asError keeps the errors among the arguments that say that the destination is not to be had, so that callers can tell this from a
// broken promise.
func asError(format string, args []any) error {
	failure := &brokenPromise{text: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		err, ok := arg.(error)
		if ok && (errors.Is(err, blob.ErrUnreachable) || errors.Is(err, blob.ErrDenied) || errors.Is(err, blob.ErrFull)) {
			failure.causes = append(failure.causes, err)
		}
	}
	return failure
}

type brokenPromise struct {
	text   string
	causes []error
}

func (b *brokenPromise) Error() string   { return b.text }
func (b *brokenPromise) Unwrap() []error { return b.causes }
