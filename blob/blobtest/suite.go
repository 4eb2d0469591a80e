// SPDX-License-Identifier: Apache-2.0

// Package blobtest is the conformance suite that every driver of package blob
// must pass, and the stores that tests of its callers use: one in memory, and
// one that fails on demand.
//
// The suite guarantees that a driver that passes keeps those promises of the
// contract that can be seen from one process. It cannot see durability, which
// takes a loss of power, nor two machines. It trusts the destination to be otherwise
// idle below one folder of a random name, touches nothing outside it, and removes what it put.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	randv2 "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coffer-backup/coffer/blob"
)

// Run tests a driver against the contract of [blob.Store]. Each subtest calls open once
// and works below a folder of its own, so open may lead to one and the same
// destination each time, even one in use. It puts about 3,000 objects and
// 130 MB, and removes them.
//
//	func TestDriver(t *testing.T) {
//		blobtest.Run(t, func(t *testing.T) blob.Store { return open(t) })
//	}
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) { c.run(newFixture(t, open(t), false)) })
	}
}

// Check is one part of the contract, with what finds out whether a store keeps it.
type Check struct {
	Name string // what is checked, a few words
	run  func(*fixture)
}

// Checks returns the whole suite, for those who have a destination and no go test.
func Checks() []Check { return slices.Clone(checks) }

var checks = []Check{
	{"put is read back", testPut},
	{"put does not replace", testPutIfAbsent},
	{"one writer wins", testWriters},
	{"put does not keep its data", testDataNotKept},
	{"read ranges", testReadRanges},
	{"delete", testDelete},
	{"not found", testNotFound},
	{"names", testNames},
	{"object and folder of one name", testNameIsFolder},
	{"cancelled before", testCancelledBefore},
	{"cancelled in the middle", testCancelledMiddle},
	{"reading cancelled in the middle", testCancelledReading},
	{"list follows put and delete", testListFollows},
	{"list by prefix", testListPrefix},
	{"list stops when told", testListStops},
	{"list beside deletes", testListBesideDeletes},
	{"many objects", testMany},
}

// tester is what the suite needs of *testing.T.
type tester interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// fixture is a store with helpers that end the test when the store fails.
type fixture struct {
	tester
	store  blob.Store
	ctx    context.Context
	folder string
	light  bool
}

// of is a number of objects, rounds or bytes: the suite's, or what people can wait and pay for.
func (f *fixture) of(whole, light int) int {
	if f.light {
		return light
	}
	return whole
}

func newFixture(t tester, store blob.Store, light bool) *fixture {
	f := &fixture{t, store, t.Context(), "blobtest-" + strings.ToLower(rand.Text()), light}
	t.Cleanup(func() {
		f.ctx = context.WithoutCancel(f.ctx)
		names := f.list(f.folder)
		f.parallel(len(names), func(i int) error { return store.Delete(f.ctx, names[i].Name) })
	})
	return f
}

// name returns the full name of the test's object rest.
func (f *fixture) name(rest string) string { return f.folder + "/" + rest }

func (f *fixture) put(rest string, data []byte) {
	f.Helper()
	if err := f.store.Put(f.ctx, f.name(rest), data); err != nil {
		f.Fatalf("Put(%s): %v", rest, err)
	}
}

func (f *fixture) delete(rest string) {
	f.Helper()
	if err := f.store.Delete(f.ctx, f.name(rest)); err != nil {
		f.Fatalf("Delete(%s): %v", rest, err)
	}
}

// wantObject fails the test unless the object holds data and nothing more.
func (f *fixture) wantObject(rest string, data []byte) {
	f.Helper()
	got, err := Read(f.ctx, f.store, f.name(rest))
	if err != nil {
		f.Fatalf("read %s: %v", rest, err)
	}
	if !bytes.Equal(got, data) {
		f.Fatalf("%s: %d bytes read, not the %d that were put", rest, len(got), len(data))
	}
}

func (f *fixture) wantAbsent(rest string) {
	f.Helper()
	n, err := f.store.ReadAt(f.ctx, f.name(rest), make([]byte, 1), 0)
	if n != 0 || !errors.Is(err, blob.ErrNotFound) {
		f.Fatalf("ReadAt(%s) = %d, %v; want 0, ErrNotFound", rest, n, err)
	}
}

func (f *fixture) wantErr(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s: %v; want %v", what, err, want)
	}
}

// list returns what the store lists under a full prefix.
func (f *fixture) list(prefix string) []blob.Info {
	f.Helper()
	var infos []blob.Info
	for info, err := range f.store.List(f.ctx, prefix) {
		if err != nil {
			f.Fatalf("List(%s): %v", prefix, err)
		}
		infos = append(infos, info)
	}
	return infos
}

// parallel calls do for 0 to n-1, sixteen at a time.
func (f *fixture) parallel(n int, do func(i int) error) {
	f.Helper()
	next := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					f.Errorf("call %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

// content returns bytes that do not compress, different for each seed.
func content(seed byte, sizeBytes int) []byte {
	data := make([]byte, sizeBytes)
	if _, err := io.ReadFull(randv2.NewChaCha8([32]byte{seed}), data); err != nil {
		panic(err) // ChaCha8 never fails
	}
	return data
}
