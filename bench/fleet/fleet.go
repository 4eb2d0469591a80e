// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coffer-backup/coffer/internal/operator"
	"github.com/coffer-backup/coffer/internal/proc"
)

// fleet is a cofferd dev that runs, and its nodes.
type fleet struct {
	bin, dir string
	size     int
	flags    []string
	url      string
	dev      *exec.Cmd
	ended    chan struct{} // closed when dev has
}

// newFleet makes a fleet and waits until it serves.
func (b *bench) newFleet(ctx context.Context, replicas, partitions int) (*fleet, error) {
	dir, err := os.MkdirTemp(b.scratch, "dev-")
	if err != nil {
		return nil, err
	}
	f := &fleet{bin: b.bin, dir: dir, size: replicas, flags: []string{"--replicas", strconv.Itoa(replicas), "--partitions", strconv.Itoa(partitions)}}
	begin := time.Now()
	if err := f.start(ctx); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	progress("%d replicas, %d partitions: made in %.1f s", replicas, partitions, time.Since(begin).Seconds())
	return f, nil
}

func (f *fleet) program() string { return filepath.Join(f.bin, "cofferd") }

// start starts the fleet, a new one or that of the folder.
func (f *fleet) start(ctx context.Context) error {
	ready := filepath.Join(f.dir, "ready")
	args := append([]string{"dev", "--no-limits", "--quiet", "--dir", f.dir, "--listen", "127.0.0.1:0", "--ready-file", ready}, f.flags...)
	f.dev = exec.Command(f.program(), args...)
	if err := begin(f.dev, filepath.Join(f.dir, "log")); err != nil {
		return err
	}
	f.ended = make(chan struct{})
	go func(dev *exec.Cmd, ended chan struct{}) {
		dev.Wait() // what went wrong is in the log
		close(ended)
	}(f.dev, f.ended)
	return f.until(ctx, time.Minute, "serves", func() bool {
		text, err := os.ReadFile(ready)
		f.url = strings.TrimSpace(string(text))
		return err == nil && f.url != ""
	})
}

// begin starts a process whose output goes to a file. It is in a group of its own: this program stops it in order.
func begin(cmd *exec.Cmd, log string) error {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}

const stopTimeout = 40 * time.Second

// stop ends dev, which ends every node, whoever started it.
func (f *fleet) stop() error {
	if f.ended == nil {
		return nil
	}
	f.dev.Process.Signal(os.Interrupt)
	select {
	case <-f.ended:
	case <-time.After(stopTimeout):
		f.dev.Process.Kill()
		<-f.ended
	}
	for slot := range f.size { // of a dev that did not end in order
		if s, err := f.node(slot + 1).Status(context.Background()); err == nil {
			syscall.Kill(s.PID, syscall.SIGKILL)
		}
	}
	return nil
}

func (f *fleet) folder(slot int) string         { return filepath.Join(f.dir, fmt.Sprintf("replica-%d", slot)) }
func (f *fleet) config(slot int) string         { return filepath.Join(f.folder(slot), "node.toml") }
func (f *fleet) node(slot int) *operator.Client { return operator.NewClient(f.folder(slot)) }

// startNode starts a node that was killed.
func (f *fleet) startNode(slot int) error {
	cmd := exec.Command(f.program(), "vault", "run", "--quiet", "--config", f.config(slot))
	if err := begin(cmd, filepath.Join(f.folder(slot), "log")); err != nil {
		return err
	}
	go cmd.Wait() // dev stops it
	return nil
}

// kill ends a node and its core as a loss of power would, but for the disk's cache.
func (f *fleet) kill(ctx context.Context, slot int) error {
	s, err := f.node(slot).Status(ctx)
	if err != nil {
		return err
	}
	for _, core := range proc.ChildrenOf(s.PID) {
		syscall.Kill(core, syscall.SIGKILL)
	}
	return syscall.Kill(s.PID, syscall.SIGKILL)
}

// statuses are those of the nodes that answer.
func (f *fleet) statuses(ctx context.Context) (list []operator.Status) {
	for slot := range f.size {
		if s, err := f.node(slot + 1).Status(ctx); err == nil {
			list = append(list, s)
		}
	}
	return list
}

// whole waits, where there are several, until every node is up, connected with all others and up to date.
func (f *fleet) whole(ctx context.Context) error {
	if f.size == 1 {
		return nil // cofferd dev is the node
	}
	return f.until(ctx, time.Minute, "is whole", func() bool {
		list := f.statuses(ctx)
		for _, s := range list {
			connected := 0
			for _, p := range s.Peers {
				if p.Connected {
					connected++
				}
			}
			if !s.Serving || connected != f.size-1 || s.Behind() > 16 {
				return false
			}
		}
		return len(list) == f.size
	})
}

// until polls.
func (f *fleet) until(ctx context.Context, most time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-f.ended:
			return fmt.Errorf("the fleet ended before it %s\n%s", what, f.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("until the fleet %s: %w\n%s", what, ctx.Err(), f.lastWords())
		}
	}
	return nil
}

// lastWords are the end of dev's log.
func (f *fleet) lastWords() string {
	text, _ := os.ReadFile(filepath.Join(f.dir, "log"))
	return string(text[max(0, len(text)-2048):])
}
