// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// The size of the generator's preset of 3.1 GB.
const (
	fullMessages = 1_300_000
	fullMedia    = 6_349
)

// generate makes a store in a process of its own: the system counts what a process
// held before exec among the peak of what it then runs, so whatever this process
// holds would show in the figures of small contenders.
func (b *bench) generate(ctx context.Context, dir string, args ...string) error {
	out, err := exec.CommandContext(ctx, b.path("chatgen"), append([]string{"-dir", dir}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("generate %s: %w: %s", dir, err, out)
	}
	return nil
}

// scaled returns the generator's flags for a part of the preset; the whole of it
// has its own number of chats, which other sizes do not.
func scaled(by float64) []string {
	if by == 1 {
		return []string{"-preset", "bench"}
	}
	return []string{
		"-preset", "bench",
		"-messages", strconv.Itoa(int(fullMessages * by)), "-media", strconv.Itoa(int(fullMedia * by)),
	}
}

// chatStore makes sure that the pristine store is there.
func (b *bench) chatStore(ctx context.Context) error {
	if _, err := os.Stat(b.pristine); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b.progress("generating a store")
	return b.generate(ctx, b.pristine, scaled(b.scale)...)
}

// freshStore copies the pristine store, so that each round begins on the same day.
// All rounds use one path, because contenders find the previous backup by it.
func (b *bench) freshStore(ctx context.Context) (string, error) {
	dir := b.path("store")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", b.pristine, dir).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("copy the store: %w: %s", err, out)
	}
	settle()
	return dir, nil
}

// settle lets the store grow older than the two seconds within which careful
// tools read a changed file again.
func settle() { time.Sleep(3 * time.Second) }

// contents is what a folder holds.
type contents struct {
	files map[string]written
	bytes int64
}

type written struct {
	bytes int64
	at    time.Time
}

func look(dir string) (contents, error) {
	c := contents{files: make(map[string]written)}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreGone(err)
		}
		c.files[path] = written{info.Size(), info.ModTime()}
		c.bytes += info.Size()
		return nil
	})
	return c, err
}

// ignoreGone: a contender may be at work, and remove its temporary files.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// since is the size of the files in c that were not there before, or were another's.
func (c contents) since(before contents) (bytes int64) {
	for path, file := range c.files {
		if file != before.files[path] {
			bytes += file.bytes
		}
	}
	return bytes
}

// onePicture names some media file of the store, the same one in every round.
func onePicture(store string) (string, error) {
	var pictures []string
	c, err := look(filepath.Join(store, "Media"))
	if err != nil {
		return "", err
	}
	for path, file := range c.files {
		if 50_000 < file.bytes && file.bytes < 1_000_000 {
			pictures = append(pictures, path)
		}
	}
	if len(pictures) == 0 {
		return "", errors.New("the store holds no media file of a usual size")
	}
	slices.Sort(pictures)
	return filepath.Rel(store, pictures[len(pictures)/2])
}
