// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/coffer-backup/coffer/internal/chatgen"
)

type demoCmd struct {
	Story demoStoryCmd `cmd:"" default:"withargs" help:"Back up made-up chats, lose the machine, restore, compare; then the same with a password and a vault."`
	Store demoStoreCmd `cmd:"" help:"Only make a chat store, of any size, for tests of your own."`
}

type storeFlags struct {
	Messages   int    `default:"${demo_messages}" help:"Messages in the database."`
	MediaFiles int    `default:"${demo_media}" help:"Pictures, videos, voice notes."`
	MediaMean  int64  `default:"${demo_mean}" placeholder:"BYTES" help:"Average size of a media file."`
	Seed       uint64 `default:"${demo_seed}" help:"The same seed makes the same store."`
}

func (f storeFlags) config() chatgen.Config {
	return chatgen.Config{Seed: f.Seed, Messages: f.Messages, MediaFiles: f.MediaFiles, MediaMeanBytes: f.MediaMean}
}

type demoStoreCmd struct {
	storeFlags
	Days int    `help:"Then let this many days pass."`
	Dir  string `arg:"" help:"A new or empty folder."`
}

func (demoStoreCmd) Help() string {
	return examples("coffer demo store chats", "coffer demo store chats --messages 1300000 --media-files 6349 --media-mean 441000    about 3 GB")
}

func (c *demoStoreCmd) Run(a *app) error {
	if err := chatgen.Generate(a.ctx, c.Dir, c.config()); err != nil {
		return err
	}
	for day := range c.Days {
		if err := chatgen.NextDay(a.ctx, c.Dir, c.config(), day+1); err != nil {
			return err
		}
	}
	if a.cli.JSON {
		return a.answer(map[string]any{"dir": c.Dir})
	}
	if !a.cli.Quiet {
		fmt.Fprintf(a.out, "Made %s.\n", printable(c.Dir))
	}
	return nil
}

type demoStoryCmd struct {
	storeFlags
	Keep     bool `help:"Keep the folder, to look at it."`
	Replicas int  `placeholder:"N" help:"Another story: a vault of so many replicas (3 or more), whose leader is killed in the middle of a recovery."`
}

func (demoStoryCmd) Help() string {
	return "The vault of the second part is the program cofferd, which must be beside this one or in the PATH."
}

func (c *demoStoryCmd) Run(a *app) error {
	dir, err := os.MkdirTemp("", "coffer-demo-")
	if err != nil {
		return err
	}
	if !c.Keep {
		defer os.RemoveAll(dir)
	}
	s := &story{a: a, dir: dir, config: c.config(), began: time.Now()}
	if c.Replicas != 0 {
		return c.tellOfReplicas(s)
	}
	for _, step := range []func() error{s.makeStore, s.setUp, s.firstDay, s.secondDay, s.loseTheMachine, s.wrongKey, s.restore, s.compare, s.flipAByte} {
		if err := step(); err != nil {
			return err
		}
	}
	v := &vaultStory{story: s}
	if err := v.tell(); err != nil {
		return err
	}
	c.end(s)
	if a.cli.JSON {
		return a.answer(map[string]any{
			"first_added_bytes": s.first.AddedBytes, "second_added_bytes": s.second.AddedBytes, "source_bytes": s.second.SourceBytes,
			"differences": []string{}, "state": v.state, "seconds": time.Since(s.began).Seconds(),
		})
	}
	return nil
}

func (c *demoStoryCmd) tellOfReplicas(s *story) error {
	if c.Replicas < 3 {
		return usagef("--replicas must be 3 or more: of fewer none may die")
	}
	f := &fleetStory{vaultStory: vaultStory{story: s}, replicas: c.Replicas}
	for _, step := range []func() error{s.makeStore, f.tell} {
		if err := step(); err != nil {
			return err
		}
	}
	c.end(s)
	if s.a.cli.JSON {
		return s.a.answer(map[string]any{
			"replicas": f.replicas, "killed": f.killed, "guesses_charged": f.charged,
			"recovery_seconds": f.took.Seconds(), "seconds": time.Since(s.began).Seconds(),
		})
	}
	return nil
}

func (c *demoStoryCmd) end(s *story) {
	s.say("Done in %s.", seconds(time.Since(s.began)))
	if c.Keep {
		s.say("Everything is in %s.", s.dir)
	}
}
