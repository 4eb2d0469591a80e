// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// report prints what was measured, and on what.
func (b *bench) report(ctx context.Context, w io.Writer) error {
	store, err := look(b.pristine)
	if err != nil {
		return err
	}
	var pages int64
	for path, file := range store.files {
		if filepath.Ext(path) == ".db" {
			pages += file.bytes / 4096
		}
	}
	fmt.Fprintf(w, "%d cores (%s), %s; %s; %s; %s; age %s. Store: %d MB in %d files.\n",
		runtime.NumCPU(), processor(), firstLine(ctx, "uname", "-sr"),
		firstLine(ctx, "restic", "version"), firstLine(ctx, "zstd", "--version"), firstLine(ctx, "tar", "--version"),
		firstLine(ctx, filepath.Join(b.bin, "age"), "--version"), store.bytes/1e6, len(store.files))
	fmt.Fprintf(w, "Medians of %d rounds, in turn, the extremes in parentheses; warm page cache, synced before each step.\n"+
		"Computed columns are not measured: they are tar's figure here times the ratio to it on another machine.\n"+
		"Daily: %d snapshots of a store of a tenth of the size. Tiny: %d files.\n\n", b.rounds, b.days, b.tiny)
	return b.results.write(w, table(int(pages)+len(store.files), b.tiny))
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, after, found := strings.Cut(string(info), "model name\t: ")
	if !found {
		return runtime.GOARCH
	}
	name, _, _ := strings.Cut(after, "\n")
	return name
}

func firstLine(ctx context.Context, args ...string) string {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return args[0] + " of unknown version"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.Trim(line, "* ")
}
