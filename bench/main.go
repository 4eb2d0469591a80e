// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command bench measures coffer against tar | zstd | age and restic, in turn, on
// one generated chat store, and prints a table for docs/PERFORMANCE.md.
//
// Each figure is the median of the rounds; in every round all contenders do the
// same step one after the other, and the next round begins with another one. The
// page cache is warm, so the figures are those of the programs and not of the
// disk; dirty pages are written out before each step. Contenders are measured from
// outside. Memory is the most that a contender's processes held together, and what
// is below this program's own 10 MB cannot be told.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// bench is one run of the benchmark.
type bench struct {
	rounds   int
	steps    []string
	scale    float64
	days     int
	tiny     int
	scratch  string
	pristine string // the generated store, which is never changed
	bin      string
	results  results
}

var allSteps = []string{"first", "same", "restore", "verify", "dump", "day2", "kill", "daily", "tiny"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	b := bench{results: make(results)}
	flag.IntVar(&b.rounds, "rounds", 3, "how often each step is measured")
	only := flag.String("only", strings.Join(allSteps, ","), "the `steps` to measure")
	flag.Float64Var(&b.scale, "scale", 1, "size of the store, as a part of 3.1 GB")
	flag.IntVar(&b.days, "days", 100, "daily snapshots, on a store of a tenth of the size")
	flag.IntVar(&b.tiny, "tiny", 200_000, "tiny files")
	scratch := flag.String("scratch", os.TempDir(), "the `folder` to work in; needs seven times the store's size")
	flag.StringVar(&b.pristine, "store", "", "a `folder` with a generated store, or where to keep one for the next run")
	flag.StringVar(&b.bin, "bin", "bin", "the `folder` of coffer, age and age-keygen")
	flag.Parse()

	b.steps = strings.Split(*only, ",")
	for _, step := range b.steps {
		if !slices.Contains(allSteps, step) {
			return fmt.Errorf("no step %q; there are %s", step, strings.Join(allSteps, ","))
		}
	}
	var err error
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if b.scratch, err = os.MkdirTemp(*scratch, "coffer-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.scratch)
	if b.pristine == "" {
		b.pristine = filepath.Join(b.scratch, "pristine")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.report(ctx, os.Stdout)
}

func (b *bench) measure(ctx context.Context) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", b.path("chatgen"), "./internal/chatgen/cmd/chatgen")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the generator: %w: %s", err, out)
	}
	if err := b.chatStore(ctx); err != nil {
		return err
	}
	for round := range b.rounds {
		for _, stage := range []func(context.Context, int) error{b.history, b.killed, b.tinyFiles} {
			if err := stage(ctx, round); err != nil {
				return err
			}
		}
	}
	return b.daily(ctx)
}

func (b *bench) path(name string) string { return filepath.Join(b.scratch, name) }

func (b *bench) wants(steps ...string) bool {
	return slices.ContainsFunc(steps, func(s string) bool { return slices.Contains(b.steps, s) })
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
