// SPDX-License-Identifier: Apache-2.0

package blobtest

import (
	"errors"
	"strings"

	"github.com/coffer-backup/coffer/blob"
)

func testNames(f *fixture) {
	for _, name := range []string{"0", "-", "_", "a.b", "a..b", "-rf", "a/b/c", "20", strings.Repeat("x", blob.MaxNameElementBytes)} {
		f.put(name, []byte(name))
		f.wantObject(name, []byte(name))
	}
	long := strings.Repeat("z", blob.MaxNameElementBytes)
	f.put(long[1:]+"/"+long+"/"+long, []byte("long"))
	f.wantObject(long[1:]+"/"+long+"/"+long, []byte("long"))

	before := len(f.list(f.folder))
	for _, name := range []string{
		"", "/", ".", "..", "../x", "A", "É", "a b", "a\\b", "a:b", "a*", "a\x00b", "a\n", "\u212a",
		"a//b", "a/", "a/.", "a/..", "a/../../../x", "a/.hidden", "a.", "a./b", "a/b/c/d",
		strings.Repeat("x", blob.MaxNameElementBytes+1), strings.Repeat("x/", 1000),
	} {
		for _, full := range []string{f.name(name), "/" + f.name(name)} {
			f.wantErr("Put", f.store.Put(f.ctx, full, []byte("data")), blob.ErrName)
			n, err := f.store.ReadAt(f.ctx, full, make([]byte, 1), 0)
			f.wantErr("ReadAt", err, blob.ErrName)
			f.wantErr("Delete", f.store.Delete(f.ctx, full), blob.ErrName)
			if infos := f.list(full + "?"); n != 0 || len(infos) != 0 {
				f.Errorf("%q: ReadAt read %d bytes, List found %+v", full, n, infos)
			}
		}
	}
	if after := len(f.list(f.folder)); after != before {
		f.Errorf("%d objects before the invalid names, %d after", before, after)
	}
}

// testNameIsFolder: a driver may hold an object beside a folder of the same
// name, or refuse; it must not lose either.
func testNameIsFolder(f *fixture) {
	want := map[string]bool{"a": true, "b/x": true}
	f.put("a", []byte("a"))
	f.put("b/x", []byte("b/x"))
	for _, name := range []string{"a/x", "a/x/y", "b"} {
		switch err := f.store.Put(f.ctx, f.name(name), []byte(name)); {
		case err == nil:
			want[name] = true
		case !errors.Is(err, blob.ErrName):
			f.Errorf("Put(%s): %v; want nil or ErrName", name, err)
		default:
			f.wantAbsent(name)
		}
	}
	for name := range want {
		f.wantObject(name, []byte(name))
	}
	if infos := f.list(f.folder + "/"); len(infos) != len(want) {
		f.Errorf("List: %+v; want %v", infos, want)
	}
}
