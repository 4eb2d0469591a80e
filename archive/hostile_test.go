// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/coffer-backup/coffer/archive/format"
	"github.com/coffer-backup/coffer/blob"
)

// TestForgedListing has archives as only somebody with the key can make them. Whatever they say, nothing is written outside the
// target, a clear error names the damage, and what is sound is restored.
func TestForgedListing(t *testing.T) {
	dir := forgedDir
	link := forgedLink
	type leaves = [][]format.Entry
	for _, test := range []struct {
		name   string
		leaves func(f *forger) leaves
		sound  string // paths that a restore that keeps going brings back
	}{
		{"parent element", func(f *forger) leaves {
			return leaves{{dir(""), f.file("../escaped", "x")}}
		}, ""},
		{"parent element inside", func(f *forger) leaves {
			return leaves{{dir(""), dir("a"), f.file("a/../../escaped", "x")}}
		}, ""},
		{"absolute", func(f *forger) leaves {
			return leaves{{dir(""), f.file("/tmp/coffer-test-escaped", "x")}}
		}, ""},
		{"NUL", func(f *forger) leaves {
			return leaves{{dir(""), f.file("a\x00b", "x")}}
		}, ""},
		{"dot", func(f *forger) leaves {
			return leaves{{dir(""), f.file("./a", "x")}}
		}, ""},
		{"below a link", func(f *forger) leaves {
			return leaves{{dir(""), link("a", ".."), f.file("a/escaped", "x")}}
		}, ""},
		{"below a link, in another leaf", func(f *forger) leaves {
			return leaves{{dir(""), link("a", "..")}, {f.file("a/escaped", "x")}}
		}, ". a"},
		{"below a link, behind a gap", func(f *forger) leaves {
			return leaves{{dir(""), link("a", "..")}, nil, {f.file("a/escaped", "x")}, {f.file("b", "sound")}}
		}, ". a b"},
		{"below a file, behind a gap", func(f *forger) leaves {
			return leaves{{dir(""), f.file("a", "x")}, nil, {f.file("a/below", "x")}, {f.file("b", "sound")}}
		}, ". a b"},
		{"twice", func(f *forger) leaves {
			return leaves{{dir(""), f.file("a", "one"), f.file("a", "two")}}
		}, ""},
		{"twice, behind a gap", func(f *forger) leaves {
			return leaves{{dir(""), f.file("a", "1"), f.file("c", "2")}, nil, {f.file("b", "3"), f.file("c", "4")}, {f.file("d", "sound")}}
		}, ". a c d"},
		{"out of order", func(f *forger) leaves {
			return leaves{{dir(""), f.file("b", "x"), f.file("a", "x")}}
		}, ""},
		{"folder missing behind a gap", func(f *forger) leaves {
			return leaves{{dir("")}, nil, {f.file("lost/folder/file", "x"), link("lost/link", "file")}}
		}, ". lost lost/folder lost/folder/file lost/link"},
		{"no folder at the root", func(f *forger) leaves {
			return leaves{{f.file("", "x")}}
		}, ""},
		{"link at the root", func(f *forger) leaves {
			return leaves{{link("", "/")}}
		}, ""},
		{"no root", func(f *forger) leaves {
			return leaves{{f.file("a", "x")}}
		}, ""},
		{"too few segments", func(f *forger) leaves {
			e := f.file("a", "x")
			e.Size = format.SegmentSize + 1
			return leaves{{dir(""), e}}
		}, ""},
		{"too long a segment", func(f *forger) leaves {
			e := f.file("a", "four")
			e.Size = 3
			return leaves{{dir(""), e, f.file("b", "sound")}}
		}, ". b"},
		{"too short a segment", func(f *forger) leaves {
			e := f.file("a", "four")
			e.Size = 5
			return leaves{{dir(""), e, f.file("b", "sound")}}
		}, ". b"},
		{"too large a file", func(f *forger) leaves {
			e := f.file("a", "x")
			e.Size = 1 << 60
			return leaves{{dir(""), e}}
		}, ""},
		{"a list of another length", func(f *forger) leaves {
			e := f.file("a", "x")
			e.Size, e.Segments = 100*format.SegmentSize, []format.ContentID{f.content(make([]byte, 32*99))}
			return leaves{{dir(""), e, f.file("b", "sound")}}
		}, ". b"},
		{"a list too long", func(f *forger) leaves {
			e := f.file("a", "x")
			e.Size, e.Segments = 100*format.SegmentSize, []format.ContentID{f.content(make([]byte, 32*101))}
			return leaves{{dir(""), e, f.file("b", "sound")}}
		}, ". b"},
		{"a list of rubbish", func(f *forger) leaves {
			e := f.file("a", "x")
			e.Size, e.Segments = 100*format.SegmentSize, []format.ContentID{f.content([]byte("rubbish"))}
			return leaves{{dir(""), e, f.file("b", "sound")}}
		}, ". b"},
		{"a content in no pack", func(f *forger) leaves {
			e := f.file("a", "x")
			e.Segments = []format.ContentID{{1}}
			return leaves{{dir(""), e, f.file("b", "sound")}}
		}, ". b"},
		{"a leaf of rubbish", func(f *forger) leaves {
			return leaves{{dir("")}, nil, {f.file("b", "sound")}}
		}, ". b"},
		{"a link to nothing", func(f *forger) leaves {
			return leaves{{dir(""), link("a", ""), link("b", "x\x00y"), link("c", strings.Repeat("x", 5000)), f.file("d", "sound")}}
		}, ". d"},
		{"the private folder", func(f *forger) leaves {
			return leaves{{dir(""), dir(workName), link(workName+"/link", "x"), f.file(workName+"/"+stateName, "x")}}
		}, ". " + nameRules{}.hashed(workName) + " " + nameRules{}.hashed(workName) + "/" + stateName + " " + nameRules{}.hashed(workName) + "/link"},
		{"pages in no layer", database1(func(f *forger) []format.Layer { return nil }, 1), ". b"},
		{"pages beyond the layers", database1(func(f *forger) []format.Layer {
			return []format.Layer{{Groups: []format.Group{{ID: f.content(make([]byte, 4096)), Runs: []format.Run{{Count: 1}}}}}}
		}, 2), ". b"},
		{"a page missing between", database1(func(f *forger) []format.Layer {
			return []format.Layer{{Groups: []format.Group{{ID: f.content(make([]byte, 4*4096)), Runs: []format.Run{{Count: 2}, {First: 3, Slot: 2, Count: 2}}}}}}
		}, 4), ". b"},
		{"a group too short", database1(func(f *forger) []format.Layer {
			return []format.Layer{{Groups: []format.Group{{ID: f.content(make([]byte, 4095)), Runs: []format.Run{{Count: 1}}}}}}
		}, 1), ". b"},
		{"a group in no pack", database1(func(f *forger) []format.Layer {
			return []format.Layer{{Groups: []format.Group{{ID: format.ContentID{1}, Runs: []format.Run{{Count: 1}}}}}}
		}, 1), ". b"},
		{"a slot out of range", database1(func(f *forger) []format.Layer {
			return []format.Layer{{Groups: []format.Group{{ID: f.content(make([]byte, 4096)), Runs: []format.Run{{Slot: 2047, Count: 1}}}}}}
		}, 1), ". b"},
		{"a group too large", database1(func(f *forger) []format.Layer {
			return []format.Layer{{Groups: []format.Group{{ID: f.content(make([]byte, 2<<20)), Runs: []format.Run{{Count: 512}}}}}}
		}, 512), ". b"},
		{"a database of all pages", database1(func(f *forger) []format.Layer {
			return []format.Layer{{Groups: []format.Group{{ID: f.content(make([]byte, 4096)), Runs: []format.Run{{First: 1<<32 - 3, Count: 1}}}}}}
		}, 1<<32-1), ". b"},
		{"a layer of rubbish", func(f *forger) leaves {
			return leaves{{dir(""), {Path: "a", Type: TypeDatabase, ModTime: forgedTime, PageSize: 4096, Size: 4096,
				Layers: []format.ContentID{f.content([]byte("rubbish"))}}, f.file("b", "sound")}}
		}, ". b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			f := w.forger()
			f.snapshot(test.leaves(f)...)
			for _, overwrite := range []bool{false, true} {
				outside := t.TempDir()
				target := filepath.Join(outside, "target")
				_, err := f.a.Restore(t.Context(), RestoreConfig{Dir: target, Overwrite: overwrite})
				if strings.HasPrefix(test.name, "the private") {
					must(t, err)
				} else if err == nil || !errors.Is(err, ErrDamaged) && !strings.HasPrefix(test.name, "a link") {
					t.Errorf("restore: %v", err)
				}
				target = filepath.Join(outside, "kept going")
				r, err := f.a.Restore(t.Context(), RestoreConfig{Dir: target, Overwrite: overwrite, KeepGoing: true})
				must(t, err)
				if len(r.Problems) == 0 {
					t.Error("nothing is reported")
				}
				for _, p := range strings.Fields(test.sound) {
					if _, err := os.Lstat(filepath.Join(target, p)); err != nil {
						t.Errorf("%q was not restored; problems: %v", p, r.Problems)
					}
				}
				if got := readTree(t, target); len(got) != max(1, len(strings.Fields(test.sound))) {
					t.Errorf("it restored %v", got)
				}
				os.RemoveAll(filepath.Join(outside, "target"))
				os.RemoveAll(target)
				if got := readTree(t, outside); len(got) != 1 {
					t.Errorf("outside there is %v", got)
				}
			}
			v, err := f.a.Verify(t.Context(), VerifyConfig{ReadAll: true})
			must(t, err)
			if (len(v.Damage) > 0) != !strings.Contains(test.name, "link to nothing") && !strings.HasPrefix(test.name, "the private") {
				t.Errorf("verify says %v", v.Damage)
			}
		})
	}
	if _, err := os.Lstat("/tmp/coffer-test-escaped"); err == nil {
		t.Error("an absolute path was written to")
	}
}

// database1 makes a listing with a database of some pages.
func database1(layers func(f *forger) []format.Layer, pages int64) func(f *forger) [][]format.Entry {
	return func(f *forger) [][]format.Entry {
		e := format.Entry{Path: "a", Type: TypeDatabase, ModTime: forgedTime, PageSize: 4096, Size: pages * 4096}
		for _, l := range layers(f) {
			e.Layers = append(e.Layers, f.content(l.Encode()))
		}
		return [][]format.Entry{{forgedDir(""), e, f.file("b", "sound")}}
	}
}

// TestForgedMemory: what an archive claims takes no memory before it is there.
func TestForgedMemory(t *testing.T) {
	const bound = 100 << 20
	t.Run("bombs", func(t *testing.T) {
		w := newWorld(t)
		f := w.forger()
		var streamed bytes.Buffer
		z, err := zstd.NewWriter(&streamed)
		must(t, err)
		_, err = io.CopyN(z, zeroReader{}, 1<<30)
		must(t, err)
		must(t, z.Close())
		z, err = zstd.NewWriter(nil)
		must(t, err)
		atOnce := z.EncodeAll(make([]byte, 256<<20), nil)
		e := f.file("sound", "sound")
		entries := []format.Entry{forgedDir("")}
		pack := f.a.keyring.NewPack(nil)
		for i, bomb := range [][]byte{streamed.Bytes(), atOnce} {
			for _, size := range []uint32{1, format.MaxRecordSize} {
				id := f.a.keyring.Hasher().Content([]byte{byte(i), byte(size)})
				pack.Append(format.Record{ID: id, Coding: format.Zstd, Size: size, Stored: uint32(len(bomb))}, bomb)
				entries = append(entries, format.Entry{Path: string(rune('a' + len(entries))), Type: TypeFile, Size: int64(size), Segments: []format.ContentID{id}})
			}
		}
		f.pack(pack)
		f.snapshot(append(entries, e))
		var r *RestoreReport
		if took := allocated(func() {
			r, err = f.a.Restore(t.Context(), RestoreConfig{Dir: filepath.Join(t.TempDir(), "target"), KeepGoing: true})
		}); took > bound {
			t.Errorf("it took %d bytes", took)
		}
		must(t, err)
		if len(r.Problems) != 4 || r.Files != 2 {
			t.Errorf("report: %+v", r)
		}
	})
	t.Run("database of all pages", func(t *testing.T) {
		w := newWorld(t)
		f := w.forger()
		group := format.Group{ID: f.content(make([]byte, 4096)), Runs: []format.Run{{First: 1<<32 - 3, Count: 1}}}
		layer := f.content((&format.Layer{Groups: []format.Group{group}}).Encode())
		f.snapshot([]format.Entry{forgedDir(""), {Path: "a", Type: TypeDatabase, PageSize: 65536, Size: (1<<32 - 1) * 65536, Layers: []format.ContentID{layer}}})
		if took := allocated(func() {
			_, err := f.a.Restore(t.Context(), RestoreConfig{Dir: filepath.Join(t.TempDir(), "target")})
			wantErr(t, "restore", err, ErrDamaged)
		}); took > bound {
			t.Errorf("it took %d bytes", took)
		}
	})
	t.Run("file of more segments than memory", func(t *testing.T) {
		w := newWorld(t)
		f := w.forger()
		data := random(1, format.SegmentSize)
		list := f.content(bytes.Repeat(format.EncodeIDs([]format.ContentID{f.content(data)}), format.ListSegments))
		const lists = 8 // 4 TiB, which file systems still hold
		e := format.Entry{Path: "a", Type: TypeFile, Size: lists * format.ListSegments * format.SegmentSize}
		for range lists {
			e.Segments = append(e.Segments, list)
		}
		f.snapshot([]format.Entry{forgedDir(""), e})
		ctx, cancel := context.WithCancel(t.Context())
		a := f.a
		defer func(n int) { batchWants = n }(batchWants)
		batchWants = 1000
		reads := 0
		a.store = &counting{Store: w.store, count: func(name string, size int) error {
			if size == format.SegmentSize+16 {
				if reads++; reads == 1 {
					cancel()
				}
			}
			return nil
		}}
		if took := allocated(func() {
			_, err := a.Restore(ctx, RestoreConfig{Dir: filepath.Join(t.TempDir(), "target")})
			wantErr(t, "restore", err, context.Canceled)
		}); took > bound {
			t.Errorf("it took %d bytes", took)
		}
	})
	t.Run("long paths", func(t *testing.T) {
		long := strings.TrimSuffix(strings.Repeat(strings.Repeat("x", 200)+"/", 300), "/") // 60 KB, shared by all
		p := newPlacer(nameRules{})
		if took := held(func() any {
			for i := range 20_000 {
				e := forgedDir(long + "/" + string([]byte{byte('a' + i/676), byte('a' + i/26%26), byte('a' + i%26)}))
				p.place(&e)
			}
			return p
		}); took > 10<<20 {
			t.Errorf("20,000 folders take %d bytes", took)
		}
	})
}

// TestForgedFileReadsNothing: of a file that cannot be whole nothing is fetched.
func TestForgedFileReadsNothing(t *testing.T) {
	w := newWorld(t)
	f := w.forger()
	e := f.file("a", string(random(1, format.SegmentSize)))
	e.Size = 2 * format.SegmentSize
	e.Segments = append(e.Segments, format.ContentID{1})
	f.snapshot([]format.Entry{forgedDir(""), e})
	f.a.store = &counting{Store: w.store, count: func(_ string, size int) error {
		if size > format.SegmentSize {
			t.Errorf("%d bytes were read", size)
		}
		return nil
	}}
	restoreTo(t, f.a, RestoreConfig{KeepGoing: true})
}

// pack stores a finished pack and its index.
func (f *forger) pack(w *format.PackWriter) {
	t := f.w.t
	pack, data := w.Finish()
	must(t, f.a.put(t.Context(), f.a.name(dirPacks, pack.Name.String()), data))
	indexes, err := f.a.putIndexes(t.Context(), []format.Pack{pack})
	must(t, err)
	must(t, f.a.commit(t.Context(), func(h *format.Head) error {
		h.Indexes = append(h.Indexes, indexes...)
		return nil
	}))
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// allocated returns how many bytes a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// held returns how many bytes are held by what a function makes.
func held(f func() any) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(made)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// A liar is a destination that answers what it likes.
type liar struct {
	blob.Store
	readAt func(name string, p []byte, n int, err error) (int, error)
	list   func(prefix string) iter.Seq2[blob.Info, error]
}

func (l *liar) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	n, err := l.Store.ReadAt(ctx, name, p, off)
	if l.readAt != nil {
		return l.readAt(name, p, n, err)
	}
	return n, err
}

func (l *liar) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	if l.list != nil {
		if seq := l.list(prefix); seq != nil {
			return seq
		}
	}
	return l.Store.List(ctx, prefix)
}

// TestLyingDestination: opening, verifying and restoring end with an error or with the right bytes, whatever is answered.
func TestLyingDestination(t *testing.T) {
	w, d, ids := library(t)
	var flips atomic.Uint32
	for name, readAt := range map[string]func(name string, p []byte, n int, err error) (int, error){
		"nothing":        func(string, []byte, int, error) (int, error) { return 0, nil },
		"one less":       func(_ string, p []byte, n int, err error) (int, error) { return n - 1, err },
		"one more":       func(_ string, p []byte, n int, err error) (int, error) { return len(p) + 1, nil },
		"all and more":   func(_ string, p []byte, n int, err error) (int, error) { return 1<<31 - 1, nil },
		"minus one":      func(_ string, p []byte, n int, err error) (int, error) { return -1, nil },
		"never an end":   func(_ string, p []byte, n int, err error) (int, error) { clear(p[n:]); return len(p), nil },
		"always an end":  func(_ string, p []byte, n int, err error) (int, error) { return n, io.EOF },
		"half":           func(_ string, p []byte, n int, err error) (int, error) { return n / 2, io.EOF },
		"half, no error": func(_ string, p []byte, n int, err error) (int, error) { return n / 2, nil },
		"strange error":  func(_ string, p []byte, n int, err error) (int, error) { return n / 2, errors.New("strange") },
		"other bytes each time": func(name string, p []byte, n int, err error) (int, error) {
			if i := flips.Add(1); i%3 == 0 && n > 0 {
				p[int(i*7919)%n] ^= 1
			}
			return n, err
		},
	} {
		for _, where := range []string{"", dirKeys, dirHeads, dirIndexes, dirSnapshots, dirPacks} {
			t.Run(name+" of "+where, func(t *testing.T) {
				dev := *d
				dev.store = &liar{Store: w.store, readAt: func(name string, p []byte, n int, err error) (int, error) {
					if strings.Contains(name, "/"+where) {
						return readAt(name, p, n, err)
					}
					return n, err
				}}
				a, err := dev.open()
				if err != nil {
					return
				}
				defer a.Close()
				if _, err := a.Verify(t.Context(), VerifyConfig{ReadAll: true}); err != nil {
					t.Logf("verify: %v", err)
				}
				dir := filepath.Join(t.TempDir(), "target")
				if _, err := a.Restore(t.Context(), RestoreConfig{Dir: dir, KeepGoing: true}); err != nil {
					t.Logf("restore: %v", err)
				}
				if _, err := os.Stat(dir); err != nil {
					return
				}
				os.RemoveAll(filepath.Join(dir, workName))
				for p, line := range readTree(t, dir) {
					if want := w.want[ids[2]][p]; line != want && !strings.HasPrefix(line, "d") {
						t.Errorf("%q is %s instead of %s", p, line, want)
					}
				}
			})
		}
	}
}

// TestEndlessDestination lists without end, and lists nonsense.
func TestEndlessDestination(t *testing.T) {
	w, d, _ := library(t)
	endless := func(info blob.Info) iter.Seq2[blob.Info, error] {
		return func(yield func(blob.Info, error) bool) {
			for yield(info, nil) {
			}
		}
	}
	for _, dir := range []string{dirKeys, dirHeads, dirIndexes, dirSnapshots, dirPacks} {
		prefix := w.id.String() + "/" + dir
		dev := *d
		dev.store = &liar{Store: w.store, list: func(p string) iter.Seq2[blob.Info, error] {
			if p == prefix {
				return endless(blob.Info{Name: prefix + "foreign", SizeBytes: -1})
			}
			return nil
		}}
		a, err := dev.open()
		if err == nil {
			_, err = a.Verify(t.Context(), VerifyConfig{})
			a.Close()
		}
		wantErr(t, dir, err, ErrDamaged)
	}
	foreign := w.id.String() + "/" + dirPacks + strings.Repeat("0", 64)
	dev := *d
	dev.store = &liar{Store: w.store, list: func(p string) iter.Seq2[blob.Info, error] {
		if !strings.HasPrefix(foreign, p) {
			return nil
		}
		return func(yield func(blob.Info, error) bool) {
			for info, err := range w.store.List(t.Context(), p) {
				info.SizeBytes = -5
				if !yield(info, err) {
					return
				}
			}
			for _, name := range []string{foreign, w.id.String() + "/" + dirPacks + "../x", "x", "", w.id.String() + "/" + dirPacks} {
				if !yield(blob.Info{Name: name, SizeBytes: -1 << 62}, nil) {
					return
				}
			}
		}
	}}
	v, err := dev.mustOpen().Verify(t.Context(), VerifyConfig{ReadAll: true})
	must(t, err)
	if !reports(v, foreign) {
		t.Errorf("verify does not name %s: %v", foreign, v.Damage)
	}
}

// TestSilentDestination never answers. Whoever waits can still stop.
func TestSilentDestination(t *testing.T) {
	w, d, _ := library(t)
	a := d.mustOpen()
	ctx, cancel := context.WithCancel(t.Context())
	a.store = &silent{w.store, cancel}
	_, err := a.Restore(ctx, RestoreConfig{Dir: filepath.Join(t.TempDir(), "target"), KeepGoing: true})
	wantErr(t, "restore", err, context.Canceled)
}

// silent gives up on its caller's behalf when it is asked for a pack, and answers only then.
type silent struct {
	blob.Store
	cancel func()
}

func (s *silent) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if strings.Contains(name, dirPacks) {
		s.cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return s.Store.ReadAt(ctx, name, p, off)
}
