// SPDX-License-Identifier: Apache-2.0

// Command chatgen makes chat stores for scripts, ages them by days, and works
// on their databases while something else reads them.
//
//	chatgen -dir D [-preset demo|bench|tiny200k] [-seed N] [-messages N] [-media N] [-mean BYTES] [-tiny N]
//	chatgen -dir D [the same again] -day N
//	chatgen -dir D -hammer
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/coffer-backup/coffer/internal/chatgen"
)

var presets = map[string]chatgen.Config{
	"demo":     chatgen.Demo,
	"bench":    chatgen.Bench,
	"tiny200k": {Seed: 1, Messages: 1_000, MediaFiles: 20, MediaMeanBytes: 50_000, TinyFiles: 200_000},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir := flag.String("dir", "", "the store's folder")
	preset := flag.String("preset", "demo", strings.Join(slices.Sorted(maps.Keys(presets)), ", "))
	seed := flag.Uint64("seed", 0, "another store of the same shape (default the preset's)")
	messages := flag.Int("messages", 0, "messages (default the preset's)")
	media := flag.Int("media", 0, "media files (default the preset's)")
	mean := flag.Int64("mean", 0, "average bytes of a media file (default the preset's)")
	tiny := flag.Int("tiny", 0, "tiny files (default the preset's)")
	day := flag.Int("day", 0, "apply this day's changes to the store, which exists, and was made with the same flags")
	hammer := flag.Bool("hammer", false, "write to the store's database until SIGINT, SIGTERM or the end of a piped standard input")
	flag.Parse()
	c, ok := presets[*preset]
	if !ok || *dir == "" || flag.NArg() > 0 {
		flag.Usage()
		return fmt.Errorf("chatgen: give -dir and, if any, a known -preset")
	}
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "seed":
			c.Seed = *seed
		case "messages":
			c.Messages, c.Chats = *messages, 0
		case "media":
			c.MediaFiles = *media
		case "mean":
			c.MediaMeanBytes = *mean
		case "tiny":
			c.TinyFiles = *tiny
		}
	})
	switch {
	case *hammer:
		return runHammer(ctx, *dir)
	case *day > 0:
		return chatgen.NextDay(ctx, *dir, c, *day)
	}
	return chatgen.Generate(ctx, *dir, c)
}

// runHammer prints "ready" after the first commit and the number of commits
// at the end. It ends with standard input only if that is a pipe, since
// scripts start it in the background with none.
func runHammer(ctx context.Context, dir string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	db := filepath.Join(dir, filepath.FromSlash(chatgen.MessageDatabase))
	commits, err := chatgen.HammerNotify(ctx, db, func() { fmt.Println("ready") })
	fmt.Printf("%d commits\n", commits)
	return err
}
