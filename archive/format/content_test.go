// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// volatile reports whether an online backup writes the byte, by SQLite's description of its file format.
func volatile(offset int) bool {
	for _, field := range []int{24, 40, 92, 96} { // change counter, schema cookie, version-valid-for, SQLite version: four bytes each
		if field <= offset && offset < field+4 {
			return true
		}
	}
	return false
}

func TestPageIDs(t *testing.T) {
	h := NewKeyring(NewID()).Hasher()
	for _, size := range []int{MinPageSize, 1024, 4096, MaxPageSize} {
		first := bytes.Repeat([]byte{9}, size)
		copy(first, sqliteMagic)
		other := bytes.Clone(first)
		other[0] = 'X'
		for _, c := range []struct {
			what   string
			number uint32
			page   []byte
			masked bool
		}{{"page 1", 1, first, true}, {"page 2", 2, first, false}, {"page 1 without the magic", 1, other, false}} {
			id := h.Page(c.number, c.page)
			for i := len(sqliteMagic); i < min(size, 200); i++ {
				altered := bytes.Clone(c.page)
				altered[i] ^= 0x40
				if same := h.Page(c.number, altered) == id; same != (c.masked && volatile(i)) {
					t.Errorf("%s of %d bytes: byte %d altered, same id: %v", c.what, size, i, same)
				}
			}
		}
		if !bytes.HasPrefix(first, []byte(sqliteMagic)) || first[24] != 9 {
			t.Error("Page writes to the page")
		}
	}
	for n := range MinPageSize { // no page is so short, but nothing else may happen
		h.Page(1, []byte(sqliteMagic + string(make([]byte, MinPageSize)))[:n])
	}
}

func TestHashesAreSeparate(t *testing.T) {
	kr := NewKeyring(NewID())
	content := []byte("content")
	id := kr.Hasher().Content(content)
	if kr.Next().Hasher().Content(content) != id {
		t.Error("a change of the key changes content ids")
	}
	page := kr.Hasher().Page(2, content)
	if bytes.HasPrefix(id[:], page[:]) {
		t.Error("pages and contents are hashed under one key")
	}
	for name, other := range map[string]*Keyring{
		"another archive": {NewID(), kr.masters}, "another master key": {kr.archive, NewKeyring(kr.archive).masters},
	} {
		if other.Hasher().Content(content) == id || other.Hasher().Page(2, content) == page {
			t.Errorf("%s has the same ids", name)
		}
	}
	if id.IsHole() || !Hole.IsHole() {
		t.Error("IsHole is wrong")
	}
}

func TestHashersDoNotMix(t *testing.T) {
	h := NewKeyring(NewID()).Hasher()
	want := h.Content([]byte("one"))
	h.Content([]byte("another"))
	h.Page(1, []byte("a page"))
	h.Cut("a path")
	if h.Content([]byte("one")) != want {
		t.Error("an id depends on what was hashed before")
	}
	var clones sync.WaitGroup
	for i := range 8 {
		clone := h.Clone()
		clones.Go(func() {
			for range 100 {
				clone.Content(fmt.Append(nil, i))
				if clone.Content([]byte("one")) != want {
					t.Error("a clone gives another id")
				}
			}
		})
	}
	clones.Wait()
}

// A leaf ends at about one path in 256, and at other paths in each archive.
func TestCuts(t *testing.T) {
	cuts := func() (n []int) {
		h := NewKeyring(NewID()).Hasher()
		for i := range 100_000 {
			if h.Cut(fmt.Sprint("media/", i)) {
				n = append(n, i)
			}
		}
		return n
	}
	a, b := cuts(), cuts()
	if slices.Equal(a, b) {
		t.Error("two archives cut alike")
	}
	for _, n := range []int{len(a), len(b)} {
		if n < 250 || n > 550 { // 390 expected; seven standard deviations
			t.Errorf("%d cuts in 100,000 paths", n)
		}
	}
}
