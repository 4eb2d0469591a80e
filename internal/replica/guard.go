// SPDX-License-Identifier: Apache-2.0

package replica

import "github.com/cockroachdb/pebble/v2/vfs"

// guarded is the file system that Pebble is given. Pebble never hears that a change
// of the disk failed: it would panic where it was the fsync of a folder, and again
// where an Open that failed left its goroutines behind, and take the process with it.
type guarded struct {
	vfs.FS
	health *health
}

func (g guarded) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, category)
	g.health.mustDo(err)
	return guardedFile{f, g.health}, nil
}

func (g guarded) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(from, to, category)
	g.health.mustDo(err)
	return guardedFile{f, g.health}, nil
}

func (g guarded) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	g.health.mustDo(err)
	return guardedFile{f, g.health}, nil
}

func (g guarded) Rename(from, to string) error {
	g.health.mustDo(g.FS.Rename(from, to))
	return nil
}

type guardedFile struct {
	vfs.File
	health *health
}

func (f guardedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.health.mustDo(err)
	f.health.written.Add(uint64(n))
	return n, nil
}

func (f guardedFile) Sync() error {
	f.health.mustDo(f.File.Sync())
	f.health.syncs.Add(1)
	return nil
}

func (f guardedFile) SyncData() error {
	f.health.mustDo(f.File.SyncData())
	f.health.syncs.Add(1)
	return nil
}

func (f guardedFile) Close() error {
	f.health.mustDo(f.File.Close())
	return nil
}

// mustDo returns only where err is nil, as Fatalf does not return either.
func (h *health) mustDo(err error) {
	if err != nil {
		h.fail(err)
		park()
	}
}
