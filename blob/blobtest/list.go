// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// wantList fails the test unless the prefix lists exactly these names, each once.
func (f *fixture) wantList(prefix string, rests ...string) {
	f.Helper()
	var got []string
	for _, info := range f.list(f.name(prefix)) {
		got = append(got, strings.TrimPrefix(info.Name, f.folder+"/"))
	}
	slices.Sort(got)
	slices.Sort(rests)
	if !slices.Equal(got, rests) {
		f.Errorf("List(%q) = %q; want %q", prefix, got, rests)
	}
}

func testListFollows(f *fixture) {
	f.wantList("")
	f.put("a", nil)
	f.wantList("", "a")
	f.put("d/b", []byte("b"))
	f.put("d/e/c", []byte("c"))
	f.wantList("", "a", "d/b", "d/e/c")
	f.delete("d/b")
	f.wantList("", "a", "d/e/c")
	f.put("d/b", []byte("again"))
	f.wantList("d/", "d/b", "d/e/c")
	f.delete("a")
	f.delete("d/b")
	f.delete("d/e/c")
	f.wantList("")
}

func testListPrefix(f *fixture) {
	all := []string{"a", "ab/c", "ab/cd", "ab/ce/f", "abc", "b"}
	for _, name := range all {
		f.put(name, []byte(name))
	}
	f.wantList("", all...)
	f.wantList("a", "a", "ab/c", "ab/cd", "ab/ce/f", "abc")
	f.wantList("ab", "ab/c", "ab/cd", "ab/ce/f", "abc")
	f.wantList("ab/", "ab/c", "ab/cd", "ab/ce/f")
	f.wantList("ab/c", "ab/c", "ab/cd", "ab/ce/f")
	f.wantList("ab/ce", "ab/ce/f")
	f.wantList("ab/ce/f", "ab/ce/f")
	f.wantList("ab/ce/f/")
	f.wantList("a/")
	f.wantList("c")
	f.wantList("B")
	f.wantList("../")
	f.wantList("*")

	found := 0
	for _, prefix := range []string{"", f.folder[:len(f.folder)-1]} {
		for _, info := range f.list(prefix) {
			if strings.HasPrefix(info.Name, f.folder+"/") {
				found++
			}
		}
	}
	if found != 2*len(all) {
		f.Errorf("%d objects found from above the folder; want %d twice", found, len(all))
	}
}

func testListStops(f *fixture) {
	for i := range 10 {
		f.put(fmt.Sprintf("d%d/x", i%3)+fmt.Sprint(i), nil)
	}
	for stop := 1; stop <= 10; stop++ {
		seen := 0
		for _, err := range f.store.List(f.ctx, f.folder) {
			if err != nil {
				f.Fatal(err)
			}
			if seen++; seen == stop {
				break // a driver that goes on yielding panics here
			}
		}
		if seen != stop {
			f.Errorf("%d objects seen; want %d", seen, stop)
		}
	}
}

// testListBesideDeletes deletes every second object when a listing has begun: the
// others must all be listed, once.
func testListBesideDeletes(f *fixture) {
	objects := f.of(300, 40)
	name := func(i int) string { return fmt.Sprintf("d%d/x%d", i%3, i) }
	f.parallel(objects, func(i int) error { return f.store.Put(f.ctx, f.name(name(i)), []byte("x")) })

	var deletes sync.Once
	seen := map[string]int{}
	for info, err := range f.store.List(f.ctx, f.folder) {
		if err != nil {
			f.Fatalf("List beside Delete: %v", err)
		}
		seen[info.Name]++
		deletes.Do(func() {
			f.parallel(objects/2, func(i int) error { return f.store.Delete(f.ctx, f.name(name(2*i+1))) })
		})
	}
	for i := range objects {
		if times := seen[f.name(name(i))]; times > 1 || times == 0 && i%2 == 0 {
			f.Errorf("%s is listed %d times", name(i), times)
		}
	}
	if rest := len(f.list(f.folder)); rest != objects/2 {
		f.Errorf("%d objects listed after the deletes; want %d", rest, objects/2)
	}
}

func testMany(f *fixture) {
	objects := f.of(2500, 100)
	name := func(i int) string { return fmt.Sprintf("many/%02x/%d", i%7, i) }
	f.parallel(objects, func(i int) error {
		return f.store.Put(f.ctx, f.name(name(i)), make([]byte, i))
	})
	sizes := map[string]int64{}
	for _, info := range f.list(f.folder) {
		if _, twice := sizes[info.Name]; twice {
			f.Errorf("%s is listed twice", info.Name)
		}
		sizes[info.Name] = info.SizeBytes
	}
	for i := range objects {
		if size, ok := sizes[f.name(name(i))]; !ok || size != int64(i) {
			f.Errorf("%s: listed %v with %d bytes; want %d", name(i), ok, size, i)
		}
	}
	if len(sizes) != objects {
		f.Errorf("%d objects listed; want %d", len(sizes), objects)
	}
}
