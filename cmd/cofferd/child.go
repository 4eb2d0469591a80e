// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/coffer-backup/coffer/internal/proc"
)

// child is a cofferd dev in a process of its own, so that what it takes is not what its clients take.
type child struct {
	cmd      *exec.Cmd
	dir      string
	replicas int
	ended    chan struct{} // closed when the process has
}

// errChild means that a child ended by itself.
var errChild = errors.New("the vault ended")

// startChild starts a vault without limits that keeps all it has, its log included, in dir.
func startChild(dir string, replicas, partitions int) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := &child{dir: dir, replicas: replicas, ended: make(chan struct{})}
	c.cmd = exec.Command(program, "dev", "--no-limits", "--quiet", "--dir", dir, "--listen", "127.0.0.1:0", "--ready-file", c.file("ready"),
		"--replicas", strconv.Itoa(replicas), "--partitions", strconv.Itoa(partitions))
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.cmd.Wait() // what went wrong is in the log
		close(c.ended)
	}()
	return c, nil
}

func (c *child) file(name string) string { return filepath.Join(c.dir, name) }

// url waits until it serves.
func (c *child) url(ctx context.Context) (string, error) {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if text, err := os.ReadFile(c.file("ready")); err == nil {
			return strings.TrimSpace(string(text)), nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// whileAlive returns a context that ends with the process, for which its cause then has the log.
func (c *child) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-c.ended:
			cancel(fmt.Errorf("%w: %s\n%s", errChild, c.cmd.ProcessState, c.lastWords()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// lastWords are the end of its log.
func (c *child) lastWords() []byte {
	const enough = 4096
	log, err := os.Open(c.file("log"))
	if err != nil {
		return nil
	}
	defer log.Close()
	log.Seek(-enough, io.SeekEnd) // a shorter log is read from its beginning
	text, _ := io.ReadAll(io.LimitReader(log, enough))
	return text
}

// stop ends it in an orderly way, or after a while in any way. Windows knows only the latter.
func (c *child) stop() {
	if c.cmd.Process.Signal(os.Interrupt) != nil {
		c.cmd.Process.Kill()
	}
	select {
	case <-c.ended:
	case <-time.After(drainTimeout):
		c.cmd.Process.Kill()
		<-c.ended
	}
}

func (c *child) cpu() (host, core time.Duration) {
	pid := c.cmd.Process.Pid
	if c.replicas == 1 {
		return proc.CPUOf(pid), cpuOfChildren(pid)
	}
	host = proc.CPUOf(pid) + cpuOfChildren(pid) // the gateway and every host; a host's child is its core
	for _, node := range proc.ChildrenOf(pid) {
		core += cpuOfChildren(node)
	}
	return host, core
}

// diskBytes is the size of the vault's files, which come and go meanwhile.
func (c *child) diskBytes() (sum uint64) {
	vault := c.file("vault")
	if c.replicas > 1 {
		vault = newFleetNode(c.dir, 1).dir // one copy of the data, which every replica has
	}
	filepath.WalkDir(vault, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				sum += uint64(info.Size())
			}
		}
		return nil
	})
	return sum
}
