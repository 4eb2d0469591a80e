// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func (d *device) cachedIndexes() (paths []string) {
	d.w.t.Helper()
	paths, err := filepath.Glob(filepath.Join(d.state, "cache", "indexes", "*"))
	must(d.w.t, err)
	return paths
}

// TestIndexCacheIsAHint: whatever becomes of it, a backup reads the same.
func TestIndexCacheIsAHint(t *testing.T) {
	_, d := history(t)
	if got, want := len(d.cachedIndexes()), len(d.mustOpen().head.Indexes); got != want {
		t.Errorf("%d indexes are kept, the head names %d", got, want)
	}
	for what, spoil := range map[string]func(path string) error{
		"removed":   os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 10) },
		"altered": func(path string) error {
			data, err := os.ReadFile(path)
			must(t, err)
			return os.WriteFile(path, flipMiddle(slices.Clone(data)), 0o600)
		},
	} {
		for _, path := range d.cachedIndexes() {
			must(t, spoil(path))
		}
		if r := d.mustBackup(); !r.Unchanged || len(r.Notices) > 0 {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

// TestReadAllReadsIndexes: a person who wants all to be read does not get an index from the cache.
func TestReadAllReadsIndexes(t *testing.T) {
	w, d := history(t)
	for _, name := range w.names(dirIndexes) {
		w.corrupt(name, flipMiddle)
	}
	if r := d.mustBackup(); !r.Unchanged {
		t.Errorf("what is altered cannot be seen in a listing: %+v", r)
	}
	d.config.ReadAll = true
	if r := d.mustBackup(); r.Unchanged || len(r.Notices) == 0 {
		t.Errorf("with ReadAll: %+v", r)
	}
	w.dropLost(d)
	checkAftermath(w, d)
}
