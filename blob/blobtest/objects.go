// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/coffer-backup/coffer/blob"
)

func testPut(f *fixture) {
	for i, sizeBytes := range []int{0, 1, 4096, 20 << 20} {
		name, data := fmt.Sprintf("a/b.%d/object_%d-", i, sizeBytes), content(byte(i), sizeBytes)
		f.put(name, data)
		f.wantObject(name, data)
		infos := f.list(f.name(name))
		if len(infos) != 1 || infos[0].Name != f.name(name) || infos[0].SizeBytes != int64(sizeBytes) || infos[0].ModTime.IsZero() {
			f.Errorf("List after Put of %d bytes: %+v", sizeBytes, infos)
		}
	}
}

func testPutIfAbsent(f *fixture) {
	first := content(1, 1000)
	f.put("x", first)
	for _, second := range [][]byte{content(2, 1000), first, nil} {
		f.wantErr("second Put", f.store.Put(f.ctx, f.name("x"), second), blob.ErrExists)
		f.wantObject("x", first)
	}
	f.delete("x")
	f.put("x", content(3, 10))
	f.wantObject("x", content(3, 10))
}

// testWriters lets writers of one name race, before a reader who must see nothing or all.
func testWriters(f *fixture) {
	const writers, sizeBytes = 8, 256 << 10
	var data [writers][]byte
	for i := range data {
		data[i] = content(byte(i), sizeBytes)
	}
	for round := range f.of(10, 2) {
		name := fmt.Sprintf("race/%d", round)
		var done atomic.Bool
		var reader, puts sync.WaitGroup
		reader.Go(func() {
			for last := false; !last; {
				last = done.Load()
				got, err := Read(f.ctx, f.store, f.name(name))
				nothing, all := errors.Is(err, blob.ErrNotFound) && len(got) == 0, err == nil && len(got) == sizeBytes
				if !nothing && !all {
					f.Errorf("read beside Put: %d of %d bytes, %v", len(got), sizeBytes, err)
					return
				}
			}
		})
		var winner atomic.Pointer[[]byte]
		for i := range data {
			puts.Go(func() {
				switch err := f.store.Put(f.ctx, f.name(name), data[i]); {
				case err == nil && !winner.CompareAndSwap(nil, &data[i]):
					f.Error("two writers of one name succeeded")
				case err != nil && !errors.Is(err, blob.ErrExists):
					f.Errorf("Put beside Put: %v", err)
				}
			})
		}
		puts.Wait()
		done.Store(true)
		reader.Wait()
		if winner.Load() == nil {
			f.Fatal("no writer succeeded")
		}
		f.wantObject(name, *winner.Load())
	}
}

func testDataNotKept(f *fixture) {
	data := content(1, 5000)
	f.put("x", data)
	if !bytes.Equal(data, content(1, 5000)) {
		f.Error("Put changed its data")
	}
	clear(data)
	f.wantObject("x", content(1, 5000))
}

func testReadRanges(f *fixture) {
	const sizeBytes = 100_000
	data := content(1, sizeBytes)
	f.put("x", data)
	f.put("empty", nil)
	for _, c := range []struct {
		name     string
		off      int64
		len, got int
		err      error
	}{
		{"x", 0, 10, 10, nil},
		{"x", 0, sizeBytes, sizeBytes, nil},
		{"x", 0, sizeBytes + 1, sizeBytes, io.EOF},
		{"x", 50_000, 1000, 1000, nil},
		{"x", sizeBytes - 10, 10, 10, nil},
		{"x", sizeBytes - 10, 11, 10, io.EOF},
		{"x", sizeBytes, 1, 0, io.EOF},
		{"x", sizeBytes + 1, 1, 0, io.EOF},
		{"x", 1 << 40, 100, 0, io.EOF},
		{"x", 0, 0, 0, nil},
		{"x", sizeBytes + 1, 0, 0, nil},
		{"empty", 0, 0, 0, nil},
		{"empty", 0, 1, 0, io.EOF},
	} {
		p := make([]byte, c.len)
		n, err := f.store.ReadAt(f.ctx, f.name(c.name), p, c.off)
		if n != c.got || err != c.err {
			f.Errorf("ReadAt(%s, %d bytes, %d) = %d, %v; want %d, %v", c.name, c.len, c.off, n, err, c.got, c.err)
		} else if n > 0 && !bytes.Equal(p[:n], data[c.off:c.off+int64(n)]) {
			f.Errorf("ReadAt(%s, %d bytes, %d): wrong bytes", c.name, c.len, c.off)
		}
	}
	if n, err := f.store.ReadAt(f.ctx, f.name("x"), make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
		f.Errorf("ReadAt before the beginning = %d, %v; want an error", n, err)
	}
}

func testDelete(f *fixture) {
	f.put("d/x", content(1, 100))
	f.put("d/xy", content(2, 100))
	f.delete("d/x")
	f.wantAbsent("d/x")
	f.wantErr("second Delete", f.store.Delete(f.ctx, f.name("d/x")), blob.ErrNotFound)
	f.wantObject("d/xy", content(2, 100))
}

func testNotFound(f *fixture) {
	f.put("d/x", content(1, 100))
	for _, name := range []string{"none", "d", "d/none", "none/x", "d/x/under"} {
		f.wantAbsent(name)
		_, err := f.store.ReadAt(f.ctx, f.name(name), nil, 0)
		f.wantErr("empty ReadAt of "+name, err, blob.ErrNotFound)
		f.wantErr("Delete of "+name, f.store.Delete(f.ctx, f.name(name)), blob.ErrNotFound)
	}
	f.wantObject("d/x", content(1, 100))
	if infos := f.list(f.name("none/")); len(infos) != 0 {
		f.Errorf("List of a folder that is not there: %+v", infos)
	}
}
