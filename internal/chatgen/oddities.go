// SPDX-License-Identifier: Apache-2.0

package chatgen

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// writeOddities adds what a file system may hold besides ordinary files.
func writeOddities(dir string) error {
	when := historyStart.Add(12345 * time.Microsecond)
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	sparse := func(w io.Writer) error {
		f := w.(*os.File)
		if _, err := f.WriteAt([]byte("one island in four megabytes of holes"), 1<<20); err != nil {
			return err
		}
		return f.Truncate(4 << 20)
	}
	for _, f := range []struct {
		path    string
		perm    os.FileMode
		content func(io.Writer) error
	}{
		{"Media/.nomedia", 0o644, text("")},
		{"Backups/backup_settings.json", 0o600, text("{\"schedule\": \"daily\", \"videos\": true}\n")},
		{"Backups/clean.sh", 0o755, text("#!/bin/sh\nrm -f ./*.tmp\n")},
		{"Backups/preallocated.bin", 0o644, sparse},
		{oddName, 0o644, text("a name that this system allows and others may not\n")},
	} {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(f.path)), f.perm, when, f.content); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "Media", "Statuses"), 0o700); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // where a symbolic link needs a privilege
		return nil
	}
	return os.Symlink("Images", filepath.Join(dir, "Media", "Camera"))
}
